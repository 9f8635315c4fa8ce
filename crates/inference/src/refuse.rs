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
}

impl Refused {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotAModelCall { .. } | Self::NoBackend { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade => StatusCode::UPGRADE_REQUIRED,
            Self::BadTarget => StatusCode::BAD_REQUEST,
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::NotAModelCall { .. } => "not_a_model_call",
            Self::WrongMethod { .. } => "method_not_allowed",
            Self::NoBackend { .. } => "no_backend",
            Self::Upgrade => "upgrade_refused",
            Self::BadTarget => "bad_target",
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
