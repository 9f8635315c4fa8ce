//! Paths: of requests, of files, of programs.

use super::{NamePattern, PatternError};
use crate::canonical;

/// A compiled path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern(Box<[Segment]>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    /// `**`: any number of segments.
    Deep,
    /// `*`: one segment that is not empty.
    One,
    /// One segment of this form.
    Like(NamePattern),
}

const LIMIT: usize = 64;

impl PathPattern {
    /// Compiles a pattern over file paths: absolute, without `.`, `..` or empty segments.
    ///
    /// # Errors
    /// What no path could match, or `**` joined to other characters.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Self::build(text, |segment| match segment {
            "" => Err(PatternError::new("an empty segment (`//`, or a `/` at the end) matches no path")),
            "." | ".." => {
                Err(PatternError::new(format!("`{segment}` never appears in a path that is compared")))
            }
            plain => Ok(plain.to_owned()),
        })
    }

    /// Compiles a pattern over canonical request paths; a trailing slash is part of the path.
    pub(super) fn request(text: &str) -> Result<Self, PatternError> {
        Self::build(text, request_segment)
    }

    /// Compiles the same pattern over what a deny compares.
    pub(super) fn folded(text: &str) -> Result<Self, PatternError> {
        let text = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
        Self::build(text, |segment| {
            let canonical = request_segment(segment)?;
            Ok(canonical::fold_segment(canonical.split(';').next().unwrap_or_default()))
        })
    }

    fn build(text: &str, clean: impl Fn(&str) -> Result<String, PatternError>) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PatternError::new(format!("path `{text}` does not begin with `/`")));
        };
        if rest.is_empty() {
            return Ok(Self(Box::new([Segment::Like(NamePattern::new(""))])));
        }
        let segments = rest.split('/').map(|s| segment(s, &clean)).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > LIMIT {
            return Err(PatternError::new(format!("more than {LIMIT} segments in a path pattern")));
        }
        Ok(Self(segments.into()))
    }

    /// Whether the whole of `path` is what the pattern says. `path` begins with `/`.
    pub fn matches(&self, path: &str) -> bool {
        let Some(mut rest) = path.strip_prefix('/').map(Some) else { return false };
        let mut at = 0;
        // After a `**`: the pattern from there, and the path it has not yet swallowed.
        let mut retry: Option<(usize, &str)> = None;
        loop {
            match self.0.get(at) {
                Some(Segment::Deep) => {
                    at += 1;
                    let Some(left) = rest else { return self.ends_at(at) };
                    retry = Some((at, left));
                    continue;
                }
                Some(one) => {
                    if let Some((segment, after)) = rest.map(split)
                        && one.matches(segment)
                    {
                        at += 1;
                        rest = after;
                        continue;
                    }
                }
                None if rest.is_none() => return true,
                None => {}
            }
            let Some((from, left)) = retry else { return false };
            let Some(left) = split(left).1 else { return self.ends_at(from) };
            (at, rest, retry) = (from, Some(left), Some((from, left)));
        }
    }

    /// Whether the pattern from `at` on takes the end of a path.
    fn ends_at(&self, at: usize) -> bool {
        self.0[at..].iter().all(|s| matches!(s, Segment::Deep))
    }

    /// The path, when the pattern is exactly one path.
    pub fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for segment in &self.0 {
            let Segment::Like(name) = segment else { return None };
            text.push('/');
            text.push_str(name.literal()?);
        }
        Some(text)
    }

    /// Its segments, to be read by something else than a matcher.
    pub(crate) fn segments(&self) -> impl Iterator<Item = SegmentShape<'_>> {
        self.0.iter().map(|segment| match segment {
            Segment::Deep => SegmentShape::Deep,
            Segment::One => SegmentShape::One,
            Segment::Like(name) => SegmentShape::Like(name),
        })
    }

    /// Whether it covers every path there is.
    pub(super) fn is_everything(&self) -> bool {
        matches!(&*self.0, [Segment::Deep])
    }

    /// Whether some path could match both. Errs on the side of `true`.
    pub(super) fn may_overlap(&self, other: &Self) -> bool {
        overlap(&self.0, &other.0)
    }
}

/// What one segment of a pattern takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SegmentShape<'a> {
    /// Any number of segments.
    Deep,
    /// One that is not empty.
    One,
    /// One of this form.
    Like(&'a NamePattern),
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Deep => f.write_str("/**"),
            Segment::One => f.write_str("/*"),
            Segment::Like(name) => write!(f, "/{name}"),
        })
    }
}

fn request_segment(segment: &str) -> Result<String, PatternError> {
    if matches!(segment, "." | "..") {
        return Err(PatternError::new(format!("`{segment}` never appears in a path that is compared")));
    }
    let pieces: Result<Vec<_>, _> =
        segment.split('*').map(|s| canonical::encode_segment(&escape(s))).collect();
    pieces
        .map(|pieces| pieces.join("*"))
        .map_err(|e| PatternError::new(format!("no request path can match `{segment}`: {e}")))
}

/// Policies are written in Unicode, requests in escapes.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        }
    }
    out
}

fn segment(
    text: &str,
    clean: &impl Fn(&str) -> Result<String, PatternError>,
) -> Result<Segment, PatternError> {
    match text {
        "**" => Ok(Segment::Deep),
        "*" => Ok(Segment::One),
        joined if joined.contains("**") => {
            Err(PatternError::new(format!("`**` stands for whole segments, not inside one: `{joined}`"))
                .hint("write `*` within a segment, or `/**` for any number of segments"))
        }
        other => clean(other).map(|s| Segment::Like(NamePattern::new(&s))),
    }
}

impl Segment {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Deep => false,
            Self::One => !text.is_empty(),
            Self::Like(name) => name.matches(text),
        }
    }
}

fn split(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((segment, after)) => (segment, Some(after)),
        None => (rest, None),
    }
}

/// Row by row over both patterns; `row[j]` is whether the rest of `a` and `b[j..]` can meet.
fn overlap(a: &[Segment], b: &[Segment]) -> bool {
    let mut below: Vec<bool> = (0..=b.len()).map(|j| b[j..].iter().all(|s| *s == Segment::Deep)).collect();
    for x in a.iter().rev() {
        let mut row = vec![false; b.len() + 1];
        row[b.len()] = *x == Segment::Deep && below[b.len()];
        for j in (0..b.len()).rev() {
            row[j] = match (x, &b[j]) {
                (Segment::Deep, _) | (_, Segment::Deep) => below[j] || row[j + 1],
                (Segment::Like(p), Segment::Like(q)) => below[j + 1] && p.may_overlap(q),
                (Segment::One, Segment::Like(p)) | (Segment::Like(p), Segment::One) => {
                    below[j + 1] && p.literal() != Some("")
                }
                (Segment::One, Segment::One) => below[j + 1],
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_what_the_dialect_says() {
        for (pattern, yes, no) in [
            ("/x/**", &["/x", "/x/", "/x/y", "/x/y/z"][..], &["/", "/xy", "/y/x"][..]),
            ("/x/*", &["/x/y"], &["/x", "/x/", "/x/y/z"]),
            ("/**", &["/", "/a", "/a/b"], &["a"]),
            ("/", &["/"], &["/a"]),
            ("/a/**/b", &["/a/b", "/a/x/b", "/a/b/b", "/a/x/y/b"], &["/a", "/b", "/a/b/x"]),
            ("/**/.env", &["/.env", "/a/b/.env"], &["/a/x.env", "/.env/a"]),
            ("/a/*.js", &["/a/b.js", "/a/.js"], &["/a/b/c.js", "/a/b.jsx"]),
            ("/repos/*/*/actions/**", &["/repos/a/b/actions", "/repos/a/b/actions/1"], &["/repos/a/actions"]),
            ("/**/a/**/b/**", &["/a/b", "/x/a/y/b/z"], &["/b/a"]),
        ] {
            let compiled = PathPattern::request(pattern).unwrap();
            yes.iter().for_each(|p| assert!(compiled.matches(p), "{pattern} should match {p}"));
            no.iter().for_each(|p| assert!(!compiled.matches(p), "{pattern} should not match {p}"));
        }
    }

    #[test]
    fn overlap_is_denied_only_for_a_contradiction() {
        for (a, b, want) in [
            ("/repos/**", "/repos/*/actions", true),
            ("/repos/**", "/user", false),
            ("/a/*", "/a", false),
            ("/a/**", "/a", true),
            ("/*.js", "/a.css", false),
            ("/**/x", "/y/**", true),
        ] {
            let compiled = |p| PathPattern::request(p).unwrap();
            assert_eq!(compiled(a).may_overlap(&compiled(b)), want, "{a} and {b}");
            assert_eq!(compiled(b).may_overlap(&compiled(a)), want, "{b} and {a}");
        }
    }

    #[test]
    fn a_pattern_that_no_path_can_match_is_refused() {
        for text in ["x", "/a/../b", "/a**", "/a%2fb", "/a b", "/a?b", "/%zz"] {
            assert!(PathPattern::request(text).is_err() || text.contains('?'), "{text}");
        }
        assert!(PathPattern::new("/a//b").is_err());
    }
}
