//! Paths as a policy writes them.

use crate::Operator;
use crate::problems::{Problems, Span};
use std::path::{Component, Path, PathBuf};

/// The absolute path that `text` means: `~` is the operator's home, `.` the workspace.
pub(super) fn expand(
    text: &str,
    span: Span,
    operator: &Operator,
    problems: &mut Problems,
) -> Option<PathBuf> {
    match expanded(text, operator) {
        Ok(path) => Some(path),
        Err((message, hint)) => {
            problems.add(span, message).maybe_hint(hint);
            None
        }
    }
}

/// The same for a path that stands in no document.
pub(crate) fn absolute(text: &str, operator: &Operator) -> Result<PathBuf, String> {
    expanded(text, operator).map_err(|(message, _)| message)
}

type Wrong = (String, Option<String>);

fn expanded(text: &str, operator: &Operator) -> Result<PathBuf, Wrong> {
    if text.is_empty() {
        return Err(("an empty path".to_owned(), None));
    }
    if text.chars().any(char::is_control) {
        return Err(("a control character in a path".to_owned(), None));
    }
    let (root, rest) = match text.split_once('/').unwrap_or((text, "")) {
        ("", _) => (Path::new("/"), text),
        ("~", rest) => (operator.home.as_path(), rest),
        (".", rest) => (operator.workspace.as_path(), rest),
        ("..", _) => return Err(dots(text)),
        _ if text.starts_with('~') => {
            return Err((
                format!("`{text}` names another user's home"),
                Some("write the absolute path".to_owned()),
            ));
        }
        _ => {
            let hint = format!("write `./{text}` for the workspace, or an absolute path");
            return Err((format!("`{text}` does not say from where"), Some(hint)));
        }
    };
    if !root.is_absolute() {
        return Err((format!("`{text}`: what it begins with is not known here"), None));
    }
    let mut path = root.to_path_buf();
    for part in Path::new(rest.trim_start_matches('/')).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(dots(text)),
        }
    }
    Ok(path)
}

fn dots(text: &str) -> Wrong {
    let hint = "write the path that is meant, without `..`".to_owned();
    (format!("`{text}` leads upwards"), Some(hint))
}
