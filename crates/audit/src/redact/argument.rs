//! Masking an argument, and the commands and URLs that arguments contain.

use super::{MASK, token};

/// Names, or parts of names, of options and variables that hold secrets.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
    "private-key",
    "private_key",
    "credential",
];

/// Names that hold a secret, in full.
const SECRET_NAMES: &[&str] =
    &["auth", "authorization", "proxy-authorization", "cookie", "bearer", "u", "user", "pw"];

/// Reads arguments in their order, because `--password` makes a secret of the next one.
#[derive(Debug, Default)]
pub(super) struct Masker {
    /// The last word was the name of a secret whose value comes next.
    expects_value: bool,
    /// The last argument was `-c`, so that a command for a shell comes next: words, not one value.
    expects_command: bool,
}

impl Masker {
    /// One argument, masked.
    pub(super) fn argument(&mut self, arg: &str) -> String {
        if std::mem::take(&mut self.expects_value) && !arg.starts_with("--") {
            return MASK.to_owned();
        }
        if std::mem::replace(&mut self.expects_command, is_command_option(arg)) {
            return self.words(arg);
        }
        if let Some((name, _)) = header(arg) {
            return format!("{name}: {MASK}");
        }
        if let Some((name, _)) = assignment(arg) {
            return format!("{name}={MASK}");
        }
        self.words(arg)
    }

    /// The words of an argument, which may be a whole command, each masked; what is between them is kept.
    fn words(&mut self, arg: &str) -> String {
        let mut out = String::with_capacity(arg.len());
        let mut rest = arg;
        let mut before = ' ';
        while let Some(separator) = rest.chars().next() {
            if is_separator(separator) {
                out.push(separator);
                before = separator;
                rest = &rest[separator.len_utf8()..];
                continue;
            }
            let end = self.word_end(rest, before);
            out.push_str(&self.word(&rest[..end]));
            rest = &rest[end..];
        }
        out
    }

    /// Where the word ends: at the closing quote when a quoted secret or header is expected, else at a separator.
    fn word_end(&self, rest: &str, before: char) -> usize {
        let quoted = matches!(before, '\'' | '"');
        let stop = |c: char| if quoted { c == before } else { is_separator(c) };
        let quoted_end = rest.find(stop).unwrap_or(rest.len());
        if self.expects_value || header(&rest[..quoted_end]).is_some() {
            return quoted_end;
        }
        rest.find(is_separator).unwrap_or(rest.len())
    }

    fn word(&mut self, word: &str) -> String {
        if std::mem::take(&mut self.expects_value) && !word.starts_with("--") {
            return MASK.to_owned();
        }
        if let Some((name, _)) = header(word) {
            return format!("{name}: {MASK}");
        }
        if let Some((name, _)) = assignment(word) {
            return format!("{name}={MASK}");
        }
        self.expects_value = word.starts_with('-') && is_secret(word);
        match word.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", url(rest)),
            None => token::masked(word).into_owned(),
        }
    }
}

/// `-c`, alone or last in a group of short options, as in `bash -lc`.
fn is_command_option(arg: &str) -> bool {
    arg.strip_prefix('-')
        .is_some_and(|rest| rest.ends_with('c') && rest.bytes().all(|b| b.is_ascii_alphabetic()))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '(' | ')' | ';' | '|' | '<' | '>')
}

/// `Name: value` where the name is that of a secret.
fn header(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_name && value.starts_with(' ') && is_secret(name)).then_some((name, value))
}

/// `NAME=value` or `--name=value` where the name is that of a secret.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (is_name && !value.is_empty() && is_secret(name)).then_some((name, value))
}

fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// What follows `://`, without credentials, and without the values of query keys that hold secrets.
fn url(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => authority.to_owned(),
    };
    let (path, query) = tail.split_once('?').map_or((tail, None), |(path, query)| (path, Some(query)));
    let path = path.split('/').map(token::masked).collect::<Vec<_>>().join("/");
    match query {
        Some(query) => {
            let pairs: Vec<String> = query.split('&').map(pair).collect();
            format!("{authority}{path}?{}", pairs.join("&"))
        }
        None => format!("{authority}{path}"),
    }
}

fn pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((key, value)) if is_secret(key) || token::is_token(value) => format!("{key}={MASK}"),
        _ => token::masked(pair).into_owned(),
    }
}
