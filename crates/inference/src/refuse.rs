//! Answers that Creel gives itself, in the shape of the errors that the caller's client knows how to show.

use crate::api::Family;
use creel_net::body::{self, Body};
use http::header::{CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// Why a request was not passed on to a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not a call of a model.
    #[error(
        "`{method} {path}` is not a model call; only chat completions, completions, responses, embeddings, messages and models are passed on"
    )]
    NotAModelCall {
        /// The method.
        method: String,
        /// The path, as the record may show it.
        path: String,
    },
    /// A model API's path with a method that it does not have.
    #[error("`{method} {path}` is not a model call: this path takes another method")]
    WrongMethod {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// No backend has this API.
    #[error("the configured model backend does not speak the {0} API", .family.as_str())]
    NoBackend {
        /// The API's family.
        family: Family,
    },
    /// A WebSocket was asked for.
    #[error("WebSocket is not offered for model calls; send the request over HTTP")]
    Upgrade,
    /// The path or query cannot be sent on.
    #[error("the request's path or query cannot be sent on")]
    BadTarget,
    /// The policy names the model, and the body cannot be read.
    #[error(
        "the policy names the model to ask for, so the request's body must be plain JSON: send it without content-encoding, in UTF-8"
    )]
    Encoded,
    /// The policy names the model, and none was found in the part of the body that can be held.
    #[error(
        "the policy names the model to ask for, and the request has no `model` in its first 32 MiB: put `model` first"
    )]
    TooLong,
    /// The policy names the model, and too much of other requests is held already.
    #[error(
        "the policy names the model to ask for, and requests whose model did not come yet hold all room there is"
    )]
    NoRoom,
    /// The policy names the model, and the body is not an object that has one.
    #[error("the policy names the model to ask for, and the request's body is not a whole JSON object")]
    NotAnObject,
    /// The policy names the model, and the body has none.
    #[error("the policy names the model to ask for, and the request has no `model` that is a string")]
    NoModel,
    /// The policy names the model, and the body has several, or one that only some parsers would take for it.
    #[error(
        "the policy names the model to ask for, and the request has `model` twice or in another spelling"
    )]
    SecondModel,
}

impl Refused {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotAModelCall { .. } | Self::NoBackend { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade => StatusCode::UPGRADE_REQUIRED,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadTarget | Self::NotAnObject | Self::NoModel | Self::SecondModel => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::NotAModelCall { .. } => "not_a_model_call",
            Self::WrongMethod { .. } => "method_not_allowed",
            Self::NoBackend { .. } => "no_backend",
            Self::Upgrade => "upgrade_refused",
            Self::BadTarget => "bad_target",
            Self::Encoded => "body_encoded",
            Self::TooLong => "body_too_long",
            Self::NoRoom => "no_room",
            Self::NotAnObject => "body_not_an_object",
            Self::NoModel => "no_model",
            Self::SecondModel => "second_model",
        }
    }

    /// The refusal as the record has it.
    pub fn to_json(&self) -> Value {
        json!({"layer": "inference", "code": self.code(), "reason": self.to_string()})
    }

    /// The refusal as the caller receives it.
    pub(crate) fn response(&self, family: Family) -> Response<Body> {
        let mut response = error(family, self.status(), self.code(), &self.to_string());
        if *self == Self::Upgrade {
            // RFC 9110 §15.5.22 wants a 426 to name what would do.
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
        }
        response
    }
}

/// An error in the family's shape. The words say that it is Creel that speaks.
pub(crate) fn error(family: Family, status: StatusCode, code: &str, reason: &str) -> Response<Body> {
    let message = format!("creel: {reason}");
    let kind = match status {
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::PAYLOAD_TOO_LARGE if family == Family::Anthropic => "request_too_large",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    };
    let shape = match family {
        Family::OpenAi => json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
        Family::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}}),
    };
    let mut response = Response::new(body::full(shape.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a look whether anybody is there.
pub(crate) fn probe() -> Response<Body> {
    Response::new(body::empty())
}
