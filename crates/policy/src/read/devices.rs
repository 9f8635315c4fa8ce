//! Devices.

use super::scalar;
use crate::yaml::{Node, Value};
use crate::{Devices, Gpus};

/// Takes over what is said; what was said before and is not said again stays.
pub(super) fn read(node: &Node, devices: &mut Devices) {
    let Some(gpu) = node.get("gpu") else { return };
    devices.gpu = match &gpu.value {
        Value::List(items) => {
            Gpus::These(items.iter().filter_map(Node::text).filter_map(scalar::index).collect())
        }
        _ if gpu.text() == Some("all") => Gpus::All,
        _ => Gpus::None,
    };
}
