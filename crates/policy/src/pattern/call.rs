//! Calls: a name, and what its arguments must be.

use super::NamePattern;
use serde_json::Value;
use std::borrow::Cow;

/// A compiled pattern over calls of tools or methods.
///
/// As an allow it is exact: each argument it names must be there, as a text, number or truth value that one of its
/// patterns matches, or a list of nothing else. As a deny it is wide: without regard to case, and at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallPattern {
    /// As the policy's author wrote the name.
    pub written: Box<str>,
    name: NamePattern,
    arguments: Box<[Argument]>,
    wide: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    key: Box<str>,
    values: Box<[NamePattern]>,
    /// As written.
    shown: Box<str>,
}

impl CallPattern {
    /// For an allow.
    pub(crate) fn exact(name: &str, arguments: &[(&str, Vec<&str>)]) -> Self {
        Self::new(name, arguments, false)
    }

    /// For a deny.
    pub(crate) fn wide(name: &str, arguments: &[(&str, Vec<&str>)]) -> Self {
        Self::new(name, arguments, true)
    }

    fn new(name: &str, arguments: &[(&str, Vec<&str>)], wide: bool) -> Self {
        let form = |text: &str| NamePattern::new(&folded(text, wide));
        let arguments = arguments.iter().map(|(key, values)| Argument {
            key: folded(key, wide).into(),
            values: values.iter().map(|value| form(value)).collect(),
            shown: values.join(", ").into(),
        });
        Self { written: name.into(), name: form(name), arguments: arguments.collect(), wide }
    }

    /// Whether the name alone fits.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.name.matches(&folded(name, self.wide))
    }

    /// Whether it takes every call of what it names.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Whether it is of this call.
    pub(crate) fn matches(&self, name: &str, arguments: &Value) -> bool {
        self.names(name) && self.arguments.iter().all(|argument| argument.is_met(arguments, self.wide))
    }

    /// What keeps the arguments from matching, for a refusal.
    pub(crate) fn missed_by(&self, arguments: &Value) -> Option<String> {
        let unmet = self.arguments.iter().find(|argument| !argument.is_met(arguments, self.wide))?;
        Some(format!("the argument {}: it allows {}", unmet.key, unmet.shown))
    }

    /// Whether, as a deny, it could take anything from `allow`.
    pub(crate) fn may_take_from(&self, allow: &Self) -> bool {
        self.name.may_overlap(&NamePattern::new(&folded(&allow.written, true)))
    }

    /// Whether, as a deny, it takes all of `allow`. Only the plain cases are found.
    pub(crate) fn takes_all_of(&self, allow: &Self) -> bool {
        let same = self.name == NamePattern::new(&folded(&allow.written, true));
        self.is_unconditional() && (same || &*self.written == "*")
    }
}

impl Argument {
    fn is_met(&self, arguments: &Value, wide: bool) -> bool {
        let found = match arguments {
            Value::Object(map) if wide => {
                return map.iter().any(|(key, value)| folded(key, true) == *self.key && self.is_in(value));
            }
            Value::Object(map) => map.get(&*self.key),
            Value::Array(list) => self.key.parse().ok().and_then(|at: usize| list.get(at)),
            _ => None,
        };
        found.is_some_and(|value| if wide { self.is_in(value) } else { self.is_all_of(value) })
    }

    fn is_all_of(&self, value: &Value) -> bool {
        match value {
            Value::Array(list) => !list.is_empty() && list.iter().all(|item| self.is_scalar(item)),
            scalar => self.is_scalar(scalar),
        }
    }

    fn is_scalar(&self, value: &Value) -> bool {
        text(value).is_some_and(|text| self.values.iter().any(|pattern| pattern.matches(&text)))
    }

    /// Whether any value at any depth matches.
    fn is_in(&self, value: &Value) -> bool {
        match value {
            Value::Array(list) => list.iter().any(|item| self.is_in(item)),
            Value::Object(map) => map.values().any(|item| self.is_in(item)),
            scalar => self.is_scalar_or_like(scalar),
        }
    }

    /// For a deny: `1.0` is 1, and case does not count.
    fn is_scalar_or_like(&self, value: &Value) -> bool {
        let whole = value.as_f64().filter(|n| n.fract() == 0.0).map(|n| format!("{n:.0}"));
        let plain = text(value).map(|text| folded(&text, true).into_owned());
        plain.into_iter().chain(whole).any(|text| self.values.iter().any(|pattern| pattern.matches(&text)))
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Without regard to case, where `wide`.
fn folded(text: &str, wide: bool) -> Cow<'_, str> {
    if !wide || text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(crate::canonical::fold_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(arguments: &[(&str, Vec<&str>)], call: (&str, Value), allows: bool, denies: bool) {
        let (name, given) = call;
        assert_eq!(CallPattern::exact("read_*", arguments).matches(name, &given), allows, "{name} {given}");
        assert_eq!(CallPattern::wide("read_*", arguments).matches(name, &given), denies, "{name} {given}");
    }

    #[test]
    fn an_allow_is_exact_and_a_deny_is_wide() {
        check(&[], ("read_file", Value::Null), true, true);
        check(&[], ("Read_File", Value::Null), false, true);
        check(&[], ("write_file", Value::Null), false, false);
        let path = [("path", vec!["/srv/*", "7"])];
        check(&path, ("read_file", json!({"path": "/srv/x"})), true, true);
        check(&path, ("read_file", json!({"path": "/SRV/x"})), false, true);
        check(&path, ("read_file", json!({"Path": "/srv/x"})), false, true);
        check(&path, ("read_file", json!({"path": ["/srv/x", "/srv/y"]})), true, true);
        check(&path, ("read_file", json!({"path": ["/srv/x", "/etc"]})), false, true);
        check(&path, ("read_file", json!({"path": []})), false, false);
        check(&path, ("read_file", json!({"path": {"deep": "/srv/x"}})), false, true);
        check(&path, ("read_file", json!({"path": 7})), true, true);
        check(&path, ("read_file", json!({"path": 7.0})), false, true);
        check(&path, ("read_file", json!({"path": "/etc"})), false, false);
        check(&path, ("read_file", json!({})), false, false);
        check(&path, ("read_file", Value::Null), false, false);
        check(&[("1", vec!["b"])], ("read_file", json!(["a", "b"])), true, true);
    }

    #[test]
    fn letters_that_a_lenient_reader_takes_for_ascii_are_folded() {
        let deny = CallPattern::wide("kiss", &[]);
        assert!(deny.names("\u{212a}i\u{17f}s") && deny.names("KISS") && !deny.names("kit"));
    }
}
