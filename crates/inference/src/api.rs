//! Which requests are model calls.
//!
//! Only what is listed here is passed on. The key is the operator's and shared: paths that read or change what is
//! stored under it (files, batches, stored responses, fine-tuning, administration) would give one sandbox the data
//! of all others.

use http::Method;

/// Whose shapes an API has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI's, and everybody's who copies them.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

impl Family {
    /// The name that people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
        }
    }
}

/// An API that a model is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/responses`, and `/v1/responses/compact`
    Responses,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `GET /v1/models` and `GET /v1/models/<id>`, which both families have
    Models(Family),
}

impl Api {
    /// The name that stands in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "openai chat completions",
            Self::Completions => "openai completions",
            Self::Responses => "openai responses",
            Self::Embeddings => "openai embeddings",
            Self::Messages => "anthropic messages",
            Self::CountTokens => "anthropic count tokens",
            Self::Models(Family::OpenAi) => "openai models",
            Self::Models(Family::Anthropic) => "anthropic models",
        }
    }

    /// Whose shapes it has.
    pub const fn family(self) -> Family {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Responses | Self::Embeddings => Family::OpenAi,
            Self::Messages | Self::CountTokens => Family::Anthropic,
            Self::Models(family) => family,
        }
    }
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// A call of a model; the path without `/v1`.
    Call { api: Api, rest: &'a str },
    /// A look whether anybody is there, as agents take before they begin.
    Probe,
    /// A model API's path with a method that it does not have.
    WrongMethod,
    /// Anything else.
    Unknown,
}

/// Says what `method` and `path` ask for. `guess` is the family of those paths that both have.
pub(crate) fn classify<'a>(method: &Method, path: &'a str, guess: Family) -> Asked<'a> {
    if matches!(path, "/" | "/api/hello") && (method == Method::GET || method == Method::HEAD) {
        return Asked::Probe;
    }
    // Clients whose base URL has no `/v1` leave it out.
    let rest = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let (api, wanted) = match rest {
        "/chat/completions" => (Api::ChatCompletions, Method::POST),
        "/completions" => (Api::Completions, Method::POST),
        "/responses" | "/responses/compact" => (Api::Responses, Method::POST),
        "/embeddings" => (Api::Embeddings, Method::POST),
        "/messages" => (Api::Messages, Method::POST),
        "/messages/count_tokens" => (Api::CountTokens, Method::POST),
        "/models" => (Api::Models(guess), Method::GET),
        other if other.strip_prefix("/models/").is_some_and(is_model_id) => (Api::Models(guess), Method::GET),
        _ => return Asked::Unknown,
    };
    if *method == wanted { Asked::Call { api, rest } } else { Asked::WrongMethod }
}

/// A model's id in a path: names and slashes, nothing that climbs and nothing encoded but a slash.
fn is_model_id(id: &str) -> bool {
    let plain = id.replace("%2F", "/").replace("%2f", "/");
    plain.split('/').all(|part| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, expected: Asked<'_>) {
        assert_eq!(classify(&method, path, Family::Anthropic), expected, "{method} {path}");
    }

    #[test]
    fn the_model_apis_are_calls_with_and_without_the_version() {
        for (rest, api) in [
            ("/chat/completions", Api::ChatCompletions),
            ("/completions", Api::Completions),
            ("/responses", Api::Responses),
            ("/responses/compact", Api::Responses),
            ("/embeddings", Api::Embeddings),
            ("/messages", Api::Messages),
            ("/messages/count_tokens", Api::CountTokens),
        ] {
            check(Method::POST, rest, Asked::Call { api, rest });
            check(Method::POST, &format!("/v1{rest}"), Asked::Call { api, rest });
            check(Method::GET, rest, Asked::WrongMethod);
            check(Method::DELETE, rest, Asked::WrongMethod);
        }
        for rest in ["/models", "/models/gpt-5", "/models/nvidia/nemotron-3", "/models/nvidia%2Fnemotron-3"] {
            check(
                Method::GET,
                &format!("/v1{rest}"),
                Asked::Call { api: Api::Models(Family::Anthropic), rest },
            );
        }
        check(Method::DELETE, "/v1/models/ft:gpt-5", Asked::WrongMethod);
    }

    #[test]
    fn what_is_stored_under_the_key_is_out_of_reach() {
        for path in [
            "/v1/files",
            "/v1/responses/resp_123",
            "/v1/messages/batches",
            "/v1/organizations/x/api_keys",
            "/v1/models/../files",
            "/v1/models/%2e%2e/files",
            "/v1/models//x",
            "/v1/models/",
            "/v1/chat/completions/",
            "/v1//chat/completions",
            "/v1/v1/messages",
            "/v2/messages",
            "/v1beta/models/x:generateContent",
            "/api/event_logging/v2/batch",
            "//",
        ] {
            check(Method::POST, path, Asked::Unknown);
            check(Method::GET, path, Asked::Unknown);
        }
    }

    #[test]
    fn a_look_whether_anybody_is_there_is_a_probe() {
        check(Method::HEAD, "/", Asked::Probe);
        check(Method::GET, "/api/hello", Asked::Probe);
        check(Method::POST, "/", Asked::Unknown);
    }
}
