//! Masking, before anything is written: what comes from an agent may carry a secret in a path, a query or an argument.
//!
//! Query values are never kept. Arguments and path segments are kept with what looks like a secret replaced by
//! `[masked]`: values of options and variables whose names say so, credentials in URLs, authorization headers, and
//! words in the shape of a token. This errs on the side of masking, and it is best effort: a password given as a
//! bare word (`login hunter2`) cannot be told from any other word. Digests (hexadecimal only) are kept.

mod argument;
pub(crate) mod prose;
mod token;

use crate::text;
use argument::Masker;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;

/// What stands where a secret stood.
const MASK: &str = "[masked]";

/// What a request asked for: its path, with what looks like a token masked, and the keys of its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<String>,
}

impl Target {
    /// How many query keys are kept.
    const MAX_KEYS: usize = 64;

    /// Takes `/path?key=value&...` and keeps no value.
    pub fn new(path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let keys =
            query.split(['&', ';']).filter(|pair| !pair.is_empty()).take(Self::MAX_KEYS).map(query_key);
        let path = path.split('/').map(token::masked).collect::<Vec<_>>().join("/");
        Self { path: text::clipped(path, text::MAX_TEXT), query: keys.collect() }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The keys of the query, in their order.
    pub fn query(&self) -> &[String] {
        &self.query
    }
}

/// The key of `key=value`. A pair without `=` may be a bare secret, so that only its presence is kept when it looks
/// like one.
fn query_key(pair: &str) -> String {
    let key = pair.split_once('=').map_or(pair, |(key, _)| key);
    text::clipped(token::masked(key).into_owned(), 128)
}

/// The arguments of a program, with what looks like a secret masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Argv(Vec<String>);

impl Argv {
    /// How many arguments are kept; the last one kept says how many were not.
    pub const MAX_ARGS: usize = 256;

    /// How many bytes of arguments are kept.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Takes the arguments, the program's name among them.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut masker = Masker::default();
        let mut kept = Vec::new();
        let mut room = Self::MAX_BYTES;
        let mut dropped = 0_usize;
        for arg in args {
            if kept.len() == Self::MAX_ARGS || room == 0 {
                dropped += 1;
                continue;
            }
            let masked = text::clipped(masker.argument(&text::of_os(arg.as_ref())), room);
            room = room.saturating_sub(masked.len());
            kept.push(masked);
        }
        if dropped > 0 {
            kept.push(format!("… {dropped} more"));
        }
        Self(kept)
    }

    /// The arguments that were kept.
    pub fn args(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: &[&str]) {
        assert_eq!(Argv::new(args).args(), expected);
    }

    #[test]
    fn arguments_that_hold_no_secret_are_kept_as_they_are() {
        for args in [
            &["git", "commit", "-m", "fix: the author's token parser"][..],
            &["git", "checkout", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"],
            &["curl", "--user-agent", "x/1", "https://example.com/a?b=c"],
            &["cargo", "test", "--", "--author", "a_long_test_name_that_is_a_sentence_of_words"],
            &["node", "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"],
            &["sh", "-c", "echo $TOKEN"],
        ] {
            check(args, args);
        }
    }

    #[test]
    fn values_whose_names_say_secret_are_masked() {
        check(&["x", "--password=hunter2"], &["x", "--password=[masked]"]);
        check(&["x", "--api-key", "hunter2", "y"], &["x", "--api-key", "[masked]", "y"]);
        check(&["x", "--password", "two words"], &["x", "--password", "[masked]"]);
        check(&["env", "DB_PASSWORD=a b", "run"], &["env", "DB_PASSWORD=[masked]", "run"]);
        check(&["curl", "-u", "bob:hunter2"], &["curl", "-u", "[masked]"]);
        check(&["curl", "-H", "X-Api-Key: hunter2"], &["curl", "-H", "X-Api-Key: [masked]"]);
        check(&["curl", "-H", "authorization: Bearer hunter2"], &["curl", "-H", "authorization: [masked]"]);
        check(&["curl", "-H", "Cookie: a=b; c=d"], &["curl", "-H", "Cookie: [masked]"]);
    }

    #[test]
    fn a_command_inside_an_argument_is_masked_word_by_word() {
        check(
            &["sh", "-c", "PGPASSWORD=hunter2 psql --token 'two words' -h db"],
            &["sh", "-c", "PGPASSWORD=[masked] psql --token '[masked]' -h db"],
        );
        check(
            &["sh", "-c", "curl -H 'Authorization: Bearer hunter2' -d x https://example.com"],
            &["sh", "-c", "curl -H 'Authorization: [masked]' -d x https://example.com"],
        );
    }

    #[test]
    fn urls_lose_their_credentials() {
        check(
            &["git", "clone", "https://bob:pw@host/x.git"],
            &["git", "clone", "https://[masked]@host/x.git"],
        );
        check(&["psql", "postgres://u:p@ss@db/x"], &["psql", "postgres://[masked]@db/x"]);
        check(
            &["curl", "https://h/x?access_token=hunter2&b=c"],
            &["curl", "https://h/x?access_token=[masked]&b=c"],
        );
    }

    #[test]
    fn words_in_the_shape_of_a_token_are_masked() {
        for token in [
            "sk-ant-REDACTED",
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        ] {
            check(&["x", token], &["x", "[masked]"]);
            check(&["sh", "-c", &format!("x \"{token}\"")], &["sh", "-c", "x \"[masked]\""]);
            assert_eq!(Target::new(&format!("/a/{token}/b")).path(), "/a/[masked]/b");
        }
    }

    #[test]
    fn a_target_keeps_the_path_and_the_keys_of_the_query() {
        let target = Target::new("/v1/items/42?page=2&api_key=hunter2&flag&=x");
        assert_eq!(target.path(), "/v1/items/42");
        assert_eq!(target.query(), ["page", "api_key", "flag", ""]);
        assert_eq!(Target::new("/bot123456:AAE_x-y/sendMessage").path(), "/[masked]/sendMessage");
    }

    #[test]
    fn arguments_without_end_are_cut_and_counted() {
        let argv = Argv::new(std::iter::repeat_n("a", 1000));
        assert_eq!(argv.args().len(), Argv::MAX_ARGS + 1);
        assert_eq!(argv.args().last().unwrap(), "… 744 more");
        let argv = Argv::new(std::iter::repeat_n("long ".repeat(500), 100));
        assert!(argv.args().iter().map(String::len).sum::<usize>() < Argv::MAX_BYTES + 64);
    }
}
