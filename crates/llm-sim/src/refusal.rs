//! Answers that refuse: a status, headers and an error object.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use llm_core::{Dialect, Error, clock};

use crate::{
    StatusFault,
    trouble::{self, Trouble},
};

/// An http answer that is no answer. The service reads it back into an [`Error`] as a provider's client would, so
/// that a fault is the same with and without a wire.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The status, if it is not the one that belongs to what is said.
    status: Option<StatusCode>,
    // Boxed, because a refusal is the error of functions that hardly ever refuse.
    headers: Box<HeaderMap>,
    says: Says,
}

#[derive(Clone, Debug)]
enum Says {
    Trouble(Trouble),
    /// What a decoder did not like.
    Error(Error),
    /// These bytes, whatever the dialect.
    Bytes(Bytes),
}

impl Refusal {
    /// The refusal of this code, with the status that belongs to it.
    pub(crate) fn of_code(code: &str, message: &str, param: Option<&str>) -> Self {
        Trouble::new(code, message, param).into()
    }

    /// An error object inside a 200.
    pub(crate) fn inside_200(code: &str) -> Self {
        Self { status: Some(StatusCode::OK), ..Trouble::simulated(code).into() }
    }

    /// What a request that cannot be understood gets.
    pub(crate) fn of_error(error: Error) -> Self {
        Self { status: None, headers: Box::default(), says: Says::Error(error) }
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
        let says = match &fault.body {
            Some(body) => Says::Bytes(Bytes::from(body.clone())),
            None => Says::Trouble(Trouble::simulated(trouble::code_of(fault.status))),
        };
        Self { status: Some(fault.status), headers: Box::new(fault.headers.clone()), says }
    }

    pub(crate) fn status(&self, dialect: Dialect) -> StatusCode {
        self.status.unwrap_or_else(|| match &self.says {
            Says::Trouble(trouble) => trouble.status(dialect),
            Says::Error(error) => StatusCode::from_u16(error.class().status).unwrap_or(StatusCode::BAD_REQUEST),
            Says::Bytes(_) => StatusCode::OK,
        })
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn body(&self, dialect: Dialect, request_id: &str) -> Bytes {
        match (&self.says, dialect) {
            (Says::Trouble(trouble), dialect) => trouble.object(dialect, request_id),
            (Says::Error(error), Dialect::OpenAi) => llm_wire::openai::encode_error(error),
            (Says::Error(error), Dialect::Anthropic) => llm_wire::anthropic::encode_error(error, Some(request_id)),
            (Says::Bytes(bytes), Dialect::OpenAi | Dialect::Anthropic) => bytes.clone(),
        }
    }

    /// Whether the provider would have the call made again; nothing is said beside a scripted body.
    pub(crate) fn should_retry(&self, dialect: Dialect) -> Option<bool> {
        let status = self.status(dialect);
        match &self.says {
            Says::Bytes(_) => None,
            Says::Trouble(_) | Says::Error(_) if status.is_success() => None,
            Says::Trouble(_) | Says::Error(_) => {
                Some(matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error())
            }
        }
    }

    /// What a client makes of it.
    pub(crate) fn to_error(&self) -> Error {
        // Either dialect would do: both say the same.
        let (status, body) = (self.status(Dialect::OpenAi), self.body(Dialect::OpenAi, ""));
        let in_band = if status.is_success() { llm_wire::error::decode_in_band(&body) } else { None };
        in_band.unwrap_or_else(|| llm_wire::error::decode(status.as_u16(), &self.headers, &body, clock::wall()))
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self { status: None, headers: Box::default(), says: Says::Trouble(trouble) }
    }
}
