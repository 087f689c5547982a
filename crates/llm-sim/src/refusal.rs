//! Answers that refuse: a status, headers and an error object as OpenAI spells it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use llm_core::{Error, clock};
use serde_json::json;

use crate::StatusFault;

/// An http answer that is no answer. The service reads it back into an [`Error`] as a provider's client would, so
/// that a fault is the same with and without a wire.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    // Boxed, because a refusal is the error of functions that hardly ever refuse.
    pub(crate) headers: Box<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Refusal {
    /// The refusal of this code, with the status that belongs to it.
    pub(crate) fn of_code(code: &str, message: &str, param: Option<&str>) -> Self {
        let (status, kind) = status_and_type(code);
        Self { status, headers: Box::default(), body: error_object(kind, code, message, param) }
    }

    /// An error object inside a 200.
    pub(crate) fn inside_200(code: &str) -> Self {
        Self { status: StatusCode::OK, headers: Box::default(), body: error_event(code) }
    }

    /// What a request that cannot be understood gets.
    pub(crate) fn of_error(error: &Error) -> Self {
        let status = StatusCode::from_u16(error.class().status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, headers: Box::default(), body: llm_wire::openai::encode_error(error) }
    }

    pub(crate) fn unknown_model(model: &str) -> Self {
        let message = format!("the model `{model}` does not exist here");
        Self::of_code("model_not_found", &message, Some("model"))
    }

    /// The model's own limit is reached, and has room again after `wait`.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let mut refusal = Self::of_code("rate_limit_exceeded", "rate limit reached for this model", None);
        let seconds = wait.as_millis().div_ceil(1000) as u64;
        refusal.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        refusal
    }

    pub(crate) fn of_fault(fault: &StatusFault) -> Self {
        let body = match &fault.body {
            Some(body) => Bytes::from(body.clone()),
            None => {
                let code = code_of(fault.status);
                error_object(status_and_type(code).1, code, SIMULATED, None)
            }
        };
        Self { status: fault.status, headers: Box::new(fault.headers.clone()), body }
    }

    pub(crate) fn to_error(&self) -> Error {
        let in_band = if self.status.is_success() { llm_wire::error::decode_in_band(&self.body) } else { None };
        in_band
            .unwrap_or_else(|| llm_wire::error::decode(self.status.as_u16(), &self.headers, &self.body, clock::wall()))
    }
}

const SIMULATED: &str = "this failure is simulated";

/// The error object of this code, as it stands in a stream or in a 200.
pub(crate) fn error_event(code: &str) -> Bytes {
    error_object(status_and_type(code).1, code, SIMULATED, None)
}

fn error_object(kind: &str, code: &str, message: &str, param: Option<&str>) -> Bytes {
    let object = json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
    Bytes::from(object.to_string())
}

/// Status and type that go with a code, by the OpenAI API reference.
fn status_and_type(code: &str) -> (StatusCode, &'static str) {
    match code {
        "rate_limit_exceeded" => (StatusCode::TOO_MANY_REQUESTS, "requests"),
        "slow_down" => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        "insufficient_quota" => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
        "server_is_overloaded" => (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable_error"),
        "invalid_api_key" => (StatusCode::UNAUTHORIZED, "invalid_request_error"),
        "permission_denied" => (StatusCode::FORBIDDEN, "invalid_request_error"),
        "model_not_found" | "not_found" => (StatusCode::NOT_FOUND, "invalid_request_error"),
        "method_not_allowed" => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error"),
        "request_too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error"),
        "context_length_exceeded" | "content_policy_violation" | "invalid_value" | "unsupported_value" => {
            (StatusCode::BAD_REQUEST, "invalid_request_error")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// The code that OpenAI most often sends with a status.
fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "invalid_api_key",
        403 => "permission_denied",
        404 => "model_not_found",
        413 => "request_too_large",
        429 => "rate_limit_exceeded",
        503 => "server_is_overloaded",
        400..=499 => "invalid_value",
        _ => "server_error",
    }
}
