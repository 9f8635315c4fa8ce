//! What backends state about tokens, in any of the APIs.

use creel_audit::Tokens;
use serde::Deserialize;

/// Usage as the APIs write it. Their names differ, and none means two things, so one shape reads them all.
///
/// Fields are taken one by one as they come, later ones over earlier ones: Anthropic states the input at the beginning
/// of a stream and the output, cumulatively, at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Stated {
    // OpenAI: chat completions, completions, embeddings.
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    // OpenAI responses, Anthropic messages.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    // Anthropic messages.
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Stated {
    /// Takes over what a `usage` value states; a value of another shape states nothing.
    pub(crate) fn take(&mut self, json: &[u8]) {
        let Ok(Some(new)) = serde_json::from_slice::<Option<Self>>(json) else { return };
        *self = Self {
            prompt_tokens: new.prompt_tokens.or(self.prompt_tokens),
            completion_tokens: new.completion_tokens.or(self.completion_tokens),
            prompt_tokens_details: new.prompt_tokens_details.or(self.prompt_tokens_details),
            input_tokens: new.input_tokens.or(self.input_tokens),
            output_tokens: new.output_tokens.or(self.output_tokens),
            input_tokens_details: new.input_tokens_details.or(self.input_tokens_details),
            cache_read_input_tokens: new.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: new.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
        };
    }

    /// The same for every API: Anthropic counts cached input apart, the others count it in.
    pub(crate) fn tokens(&self) -> Tokens {
        let apart = [self.cache_read_input_tokens, self.cache_creation_input_tokens];
        let apart = apart.into_iter().flatten().fold(0, u64::saturating_add);
        let details = self.prompt_tokens_details.or(self.input_tokens_details);
        Tokens {
            input: self.prompt_tokens.or(self.input_tokens).map(|input| input.saturating_add(apart)),
            output: self.completion_tokens.or(self.output_tokens),
            cached: self.cache_read_input_tokens.or(details.and_then(|details| details.cached_tokens)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stated: &[&str], input: Option<u64>, output: Option<u64>, cached: Option<u64>) {
        let mut all = Stated::default();
        stated.iter().for_each(|json| all.take(json.as_bytes()));
        assert_eq!(all.tokens(), Tokens { input, output, cached }, "{stated:?}");
    }

    #[test]
    fn each_api_states_the_same_in_its_own_words() {
        check(
            &[r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}"#],
            Some(100),
            Some(20),
            None,
        );
        check(
            &[r#"{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":64}}"#],
            Some(100),
            Some(20),
            Some(64),
        );
        check(
            &[r#"{"input_tokens":100,"output_tokens":20,"input_tokens_details":{"cached_tokens":64}}"#],
            Some(100),
            Some(20),
            Some(64),
        );
        check(
            &[
                r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":85,"output_tokens":1}"#,
                r#"{"output_tokens":20}"#,
            ],
            Some(100),
            Some(20),
            Some(85),
        );
    }

    #[test]
    fn what_is_not_stated_is_not_known() {
        for nothing in ["", "null", "{}", "[]", "7", r#"{"output_tokens":-1}"#, r#"{"input_tokens":"many"}"#]
        {
            check(&[nothing], None, None, None);
        }
        check(
            &[r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":1}"#],
            Some(u64::MAX),
            None,
            Some(1),
        );
    }
}
