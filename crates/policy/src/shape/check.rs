//! Holds a document against the table: unknown and duplicate keys, wrong types, empty lists, what is not built.

use super::{Field, Shape};
use crate::problems::{Problems, Span};
use crate::read::scalar;
use crate::suggest;
use crate::yaml::{Key, Node, Value};
use std::collections::HashMap;

/// Reports everything about `node` that is not of this shape.
pub(crate) fn check(node: &Node, shape: &Shape, problems: &mut Problems) {
    match shape {
        Shape::List(of) => list(node, of, shape, problems),
        Shape::Object(fields) => object(node, fields, shape, problems),
        Shape::Map(_, of) => map(node, of, shape, problems),
        Shape::TextOr(fields) if matches!(node.value, Value::Map(_)) => object(node, fields, shape, problems),
        Shape::TextOr(_) => text(node, shape, problems),
        Shape::Word { now, later } => word(node, (now, later), shape, problems),
        Shape::Text => text(node, shape, problems),
        Shape::Later => {}
        Shape::Indexes => indexes(node, shape, problems),
        other => number_like(node, other, problems),
    }
}

fn list(node: &Node, of: &Shape, shape: &Shape, problems: &mut Problems) {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            problems.add(node.span, "an empty list").hint("leave the key out");
        }
        Value::List(items) => items.iter().for_each(|item| check(item, of, problems)),
        Value::Scalar(text, _) if node.kind() == "text" => {
            wrong(node, shape, problems).hint(format!("write a list, as in `[{text}]`"));
        }
        _ => drop(wrong(node, shape, problems)),
    }
}

fn indexes(node: &Node, shape: &Shape, problems: &mut Problems) {
    let Value::List(items) = &node.value else {
        return word(node, (&["all", "none"], &[]), shape, problems);
    };
    if items.is_empty() {
        problems.add(node.span, "an empty list").hint("write `none`, or leave the key out");
    }
    let mut seen = Vec::new();
    for item in items {
        match item.text().filter(|_| item.kind() == "a number").and_then(scalar::index) {
            Some(index) if seen.contains(&index) => {
                problems.add(item.span, format!("`{index}` is given twice"));
            }
            Some(index) => seen.push(index),
            None => drop(problems.add(item.span, format!("expected a number from 0, found {}", item.kind()))),
        }
    }
}

fn object(node: &Node, fields: &[Field], shape: &Shape, problems: &mut Problems) {
    let Value::Map(entries) = &node.value else {
        wrong(node, shape, problems);
        return;
    };
    duplicates(entries, problems);
    for (key, value) in entries {
        match fields.iter().find(|f| f.name == key.text) {
            Some(Field { shape: Shape::Later, .. }) => {
                problems
                    .add(key.span, format!("`{}` is not available in this version of Creel", key.text))
                    .hint("leave it out; a policy is never accepted in part");
            }
            Some(field) => check(value, &field.shape, problems),
            None => unknown_key(key, value, fields, problems),
        }
    }
    for field in fields.iter().filter(|f| f.required && node.get(f.name).is_none()) {
        problems.add(node.span.first(), format!("`{}` is missing", field.name)).hint(field.about);
    }
}

fn map(node: &Node, of: &Shape, shape: &Shape, problems: &mut Problems) {
    let Value::Map(entries) = &node.value else {
        wrong(node, shape, problems);
        return;
    };
    if entries.is_empty() {
        problems.add(node.span, "an empty mapping").hint("leave the key out");
    }
    duplicates(entries, problems);
    entries.iter().for_each(|(_, value)| check(value, of, problems));
}

fn duplicates(entries: &[(Key, Node)], problems: &mut Problems) {
    // Most mappings have a few keys, and there are tens of thousands of such; a hostile one may have a million.
    const FEW: usize = 8;
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for (at, (key, _)) in entries.iter().enumerate() {
        let first = if entries.len() <= FEW {
            entries[..at].iter().rev().find(|(k, _)| k.text == key.text).map(|(k, _)| k.span)
        } else {
            seen.insert(&key.text, key.span)
        };
        if let Some(first) = first {
            let place = problems.place(first);
            problems
                .add(key.span, format!("`{}` is given twice", key.text))
                .hint(format!("it stands at {place} already"));
        }
    }
}

fn unknown_key(key: &Key, value: &Node, fields: &[Field], problems: &mut Problems) {
    let lower = key.text.to_ascii_lowercase();
    if ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word)) {
        value.text().into_iter().for_each(|text| problems.conceal(value.span, text));
    }
    let known: Vec<&str> = fields.iter().map(|f| f.name).collect();
    let hint = match suggest::nearest(&key.text, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    problems.add(key.span, format!("unknown key `{}`", key.text)).hint(hint);
}

fn word(node: &Node, (now, later): (&[&str], &[&str]), shape: &Shape, problems: &mut Problems) {
    let Some(text) = node.text().filter(|_| node.kind() == "text") else {
        wrong(node, shape, problems);
        return;
    };
    if later.contains(&text) {
        problems
            .add(node.span, format!("`{text}` is not available in this version of Creel"))
            .hint(format!("use {}", shape.wanted()));
    } else if !now.contains(&text) {
        let hint = match suggest::nearest(text, now.iter().chain(later).copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use {}", shape.wanted()),
        };
        problems.add(node.span, format!("unknown value `{text}`")).hint(hint);
    }
}

fn text(node: &Node, shape: &Shape, problems: &mut Problems) {
    match (node.kind(), node.text()) {
        ("text", Some("")) => drop(problems.add(node.span, "an empty text")),
        ("text", _) => {}
        ("nothing", Some("~")) => wrong(node, shape, problems).hint("quote it: \"~\""),
        (_, Some(plain)) if !plain.is_empty() => {
            wrong(node, shape, problems).hint(format!("quote it: \"{plain}\""))
        }
        ("a mapping", _) => {
            wrong(node, shape, problems).hint("in YAML `: ` begins a value; quote text that has it")
        }
        _ => drop(wrong(node, shape, problems)),
    }
}

fn number_like(node: &Node, shape: &Shape, problems: &mut Problems) {
    let Value::Scalar(text, _) = &node.value else {
        wrong(node, shape, problems);
        return;
    };
    if node.kind() == "nothing" {
        wrong(node, shape, problems);
    } else if let Err(why) = scalar::check(text, node.kind(), shape) {
        let problem = problems.add(node.span, format!("`{text}` is not {}", shape.wanted()));
        problem.maybe_hint(why);
    }
}

fn wrong<'a>(node: &Node, shape: &Shape, problems: &'a mut Problems) -> &'a mut crate::problems::Found {
    problems.add(node.span, format!("expected {}, found {}", shape.wanted(), node.kind()))
}
