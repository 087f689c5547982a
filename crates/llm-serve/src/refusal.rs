//! A request that a door turns away, or a call that failed before its answer began.

use http::StatusCode;
use llm_core::{Error, ErrorKind};

/// An error and what http says of it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Absent where it follows from the error's kind. What is wrong with the http request itself (path, method, media
    /// type) has no kind.
    pub(crate) status: Option<StatusCode>,
    pub(crate) error: Error,
    /// The methods that would have been right.
    pub(crate) allow: Option<&'static str>,
}

impl Refusal {
    fn invalid(status: StatusCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { status: Some(status), error: Error::invalid_request(message), allow: None }
    }

    pub(crate) fn unknown_path() -> Self {
        Self::invalid(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(crate) fn wrong_method(allow: &'static str) -> Self {
        let refusal = Self::invalid(StatusCode::METHOD_NOT_ALLOWED, format!("the method must be {allow}"));
        Self { allow: Some(allow), ..refusal }
    }

    pub(crate) fn wrong_media_type(message: &'static str) -> Self {
        Self::invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    pub(crate) fn large_head() -> Self {
        Self::invalid(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too large")
    }

    pub(crate) fn slow_body() -> Self {
        Self::invalid(StatusCode::REQUEST_TIMEOUT, "the request body took too long to arrive")
    }

    /// Whether the caller's client should send the same request again: the failure must be one that can pass, and
    /// what we were allowed to try must not be used up.
    pub(crate) fn should_retry(&self, allowance_is_spent: bool) -> bool {
        if self.status == Some(StatusCode::REQUEST_TIMEOUT) {
            return true;
        }
        // Own refusals that pass by themselves. Their class says no because *we* must not try again.
        let passes = matches!(self.error.kind(), ErrorKind::CircuitOpen | ErrorKind::LimitExceeded);
        (passes || self.error.is_retryable()) && !allowance_is_spent
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: None, error, allow: None }
    }
}

/// Who turned the call away.
pub(crate) fn origin(error: &Error) -> &'static str {
    use ErrorKind as K;
    match error.kind() {
        K::CircuitOpen | K::BudgetExceeded | K::LimitExceeded | K::NoRoute | K::Untranslatable | K::Internal => {
            "gateway"
        }
        K::ModelNotFound
        | K::ProviderCredentials
        | K::QuotaExhausted
        | K::RateLimited
        | K::Overloaded
        | K::Server
        | K::Connect
        | K::Interrupted
        | K::Timeout(_)
        | K::Undecodable => "upstream",
        K::InvalidRequest
        | K::TooLarge
        | K::UnknownModel
        | K::ContextLength
        | K::ContentPolicy
        | K::Unauthenticated
        | K::Forbidden
        | K::DeadlineExceeded
        | K::Cancelled => {
            // The provider may be the one who found the request at fault.
            if error.status().is_some() { "upstream" } else { "caller" }
        }
    }
}
