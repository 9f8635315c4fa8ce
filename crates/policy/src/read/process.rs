//! The process layer.

use super::target::{self, executable, report};
use super::{path, scalar};
use crate::network::{From, Program};
use crate::pattern::ArgumentPattern;
use crate::problems::{Problems, Span};
use crate::process::{Entry, ExecRules};
use crate::yaml::Node;
use crate::{Limits, Operator, Statement};

/// Each is held against every program that is executed.
const MOST: usize = 1024;

/// What was read so far about what may be executed.
#[derive(Default)]
pub(super) struct Draft {
    allow: Vec<(Span, Entry)>,
    deny: Vec<(Span, Entry)>,
    files: Vec<String>,
}

impl Draft {
    pub(super) fn add(&mut self, node: &Node, operator: &Operator, problems: &mut Problems) {
        if node.entries().is_empty() {
            problems
                .add(node.span, "`exec` without `allow` or `deny`")
                .hint("leave it out to allow every program");
        }
        for (key, is_deny) in [("allow", false), ("deny", true)] {
            for item in node.list(key) {
                if self.allow.len() + self.deny.len() == MOST {
                    problems.add(item.span, format!("more than {MOST} entries in `exec`"));
                    return;
                }
                let entry = self.entry(item, operator, problems).map(|entry| (item.span, entry));
                if is_deny { self.deny.extend(entry) } else { self.allow.extend(entry) }
            }
        }
    }

    /// The rules, with what can only be judged when all are known: an allow that a deny takes back whole.
    pub(super) fn finish(mut self, problems: &mut Problems) -> ExecRules {
        for (span, allow) in &self.allow {
            if let Some((by, _)) = self.deny.iter().find(|(_, deny)| deny.takes_all_of(allow)) {
                let place = problems.place(*by);
                problems
                    .add(*span, format!("`{}` can never be executed: a deny takes it", allow.written))
                    .hint(format!("the deny stands at {place}; leave one of the two out"));
            }
        }
        self.files.sort();
        self.files.dedup();
        let entries =
            |list: Vec<(Span, Entry)>| list.into_iter().map(|(_, entry)| entry).collect::<Box<[_]>>();
        let allow = (!self.allow.is_empty()).then(|| entries(self.allow));
        ExecRules { allow, deny: entries(self.deny), files: self.files.into() }
    }

    /// Where each entry stands.
    pub(super) fn each(&self, mut found: impl FnMut(Span, Statement)) {
        self.allow.iter().for_each(|(span, entry)| found(*span, Statement::Run(entry.written.to_string())));
        self.deny.iter().for_each(|(span, entry)| found(*span, Statement::NotRun(entry.written.to_string())));
    }

    fn entry(&mut self, item: &Node, operator: &Operator, problems: &mut Problems) -> Option<Entry> {
        let run = if item.text().is_some() { item } else { item.get("run")? };
        let text = run.text().filter(|text| !text.is_empty())?;
        let (name, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
        if name.starts_with("tree:") {
            problems
                .add(run.span, "`tree:` says who executes, not what is executed")
                .hint("write `{ run: PROGRAM, from: [\"tree:PROGRAM\"] }`");
            return None;
        }
        let program = executable(name, run.span, operator, problems)?;
        if let Program::Path(pattern) = &program {
            self.files.extend(pattern.literal());
            // As it was written, too: a link that the operator's machine has may be another one in an image.
            if !name.contains('*') {
                let written = path::expand(name, run.span, operator, problems)?;
                self.files.push(written.to_string_lossy().into_owned());
            }
        }
        let arguments = match ArgumentPattern::new(rest) {
            Ok(pattern) => (!rest.trim().is_empty()).then_some(pattern),
            Err(error) => {
                report(error, run.span, problems);
                return None;
            }
        };
        let from = item.list("from");
        let programs: Option<Box<[_]>> =
            from.iter().map(|p| target::program(p, operator, problems)).collect();
        let from = if from.is_empty() { From(None) } else { From(Some(programs?)) };
        Some(Entry { program, arguments, from, written: text.into() })
    }
}

/// Takes over what is said; what was said before and is not said again stays.
pub(super) fn read(node: &Node, limits: &mut Limits) {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let count = |key: &str| text(key).and_then(scalar::count);
    let size = |key: &str| text(key).and_then(|t| scalar::size(t).ok());
    limits.processes = count("processes").or(limits.processes);
    limits.open_files = count("open_files").or(limits.open_files);
    limits.memory = size("memory").or(limits.memory);
    limits.swap = text("swap").and_then(|t| scalar::size_or_none(t).ok()).or(limits.swap);
    limits.file_size = size("file_size").or(limits.file_size);
    limits.disk = size("disk").or(limits.disk);
    limits.millicpus = text("cpus").and_then(scalar::millis).or(limits.millicpus);
    limits.time = text("time").and_then(|t| scalar::time(t).ok()).or(limits.time);
}
