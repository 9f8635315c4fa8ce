//! The tier of isolation, and which of its weaknesses are accepted.

use crate::problems::{Problems, Span};
use crate::suggest;
use crate::yaml::Node;
use creel_types::{Tier, Weakness};

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    confined: Option<Span>,
    accepted: Vec<(Span, Weakness)>,
}

impl Draft {
    /// How a sandbox is held must be seen in the document that is run, as its mode must.
    pub(super) fn add(&mut self, node: &Node, included: bool, problems: &mut Problems) {
        if included {
            problems
                .add(node.span, "`isolation` in a document that is included")
                .hint("write it at the top of the document that includes this one");
        }
        let tier = node.get("tier");
        self.confined = match tier.and_then(Node::text) {
            Some("confined") => tier.map(|tier| tier.span),
            _ => None,
        };
        self.accepted.clear();
        for item in node.list("accept") {
            let Some(text) = item.text().filter(|text| !text.is_empty()) else { continue };
            match text.parse() {
                Ok(weakness) => self.accepted.push((item.span, weakness)),
                Err(()) => {
                    let names = || Weakness::ALL.into_iter().map(Weakness::name);
                    let hint = match suggest::nearest(text, names()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    problems.add(item.span, format!("no weakness is named `{text}`")).hint(hint);
                }
            }
        }
    }

    /// The tier. A weaker one needs every one of its weaknesses accepted by name.
    pub(super) fn finish(self, problems: &mut Problems) -> Tier {
        let Some(span) = self.confined else {
            if let Some((span, weakness)) = self.accepted.first() {
                problems
                    .add(
                        *span,
                        format!("`{}` is accepted, and `tier: namespaces` has no weakness", weakness.name()),
                    )
                    .hint("leave `accept` out");
            }
            return Tier::Namespaces;
        };
        let missing =
            Weakness::ALL.into_iter().filter(|weakness| !self.accepted.iter().any(|(_, w)| w == weakness));
        let missing: Vec<Weakness> = missing.collect();
        if !missing.is_empty() {
            let what =
                missing.iter().map(|w| format!("{}: {}", w.name(), w.about())).collect::<Vec<_>>().join("; ");
            let all = Weakness::ALL.map(Weakness::name).join(", ");
            problems
                .add(
                    span,
                    format!(
                        "`tier: confined` is weaker than the usual one, and this is not accepted: {what}"
                    ),
                )
                .hint(format!(
                    "where that is good enough write `isolation: {{ tier: confined, accept: [{all}] }}`"
                ));
        }
        Tier::Confined
    }
}
