//! The process layer.

use super::scalar;
use crate::Limits;
use crate::yaml::Node;

/// Takes over what is said; what was said before and is not said again stays.
pub(super) fn read(node: &Node, limits: &mut Limits) {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let count = |key: &str| text(key).and_then(scalar::count);
    let size = |key: &str| text(key).and_then(|t| scalar::size(t).ok());
    limits.processes = count("processes").or(limits.processes);
    limits.open_files = count("open_files").or(limits.open_files);
    limits.memory = size("memory").or(limits.memory);
    limits.file_size = size("file_size").or(limits.file_size);
    limits.disk = size("disk").or(limits.disk);
    limits.millicpus = text("cpus").and_then(scalar::millis).or(limits.millicpus);
    limits.time = text("time").and_then(|t| scalar::time(t).ok()).or(limits.time);
}
