//! Error bodies as this dialect's SDKs expect them.

use bytes::{Bytes, BytesMut};
use llm_core::{Error, ErrorKind};

use crate::json::ObjectWriter;

/// `{"error":{"message","type","param","code"}}`.
///
/// Type and code are the ones OpenAI uses for the same trouble, so that SDKs raise what their users expect; a failure
/// that OpenAI has no code for has the name of its [`ErrorKind`]. Where the caller is at fault the provider's own code
/// is handed on, since it says more. Refusals of our own layers have codes of their own: `circuit_open`,
/// `budget_exceeded`, `limit_exceeded`, `no_route`.
pub fn encode_error(error: &Error) -> Bytes {
    let mut out = BytesMut::with_capacity(160 + error.message().len());
    let mut body = ObjectWriter::begin(&mut out);
    write_error(error, body.object("error"));
    body.end();
    out.freeze()
}

/// Writes the fields of the error object.
pub(crate) fn write_error(error: &Error, mut object: ObjectWriter<'_>) {
    let (kind, code) = names(error.kind());
    let detail = error.detail().filter(|_| is_callers_fault(error.kind()));
    let code = detail.and_then(|detail| detail.code.as_deref()).or(code);
    object.field("message", error.message());
    object.field("type", kind);
    object.field("param", &detail.and_then(|detail| detail.param.as_deref()));
    object.field("code", &code);
    object.end();
}

fn names(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        ErrorKind::InvalidRequest => (INVALID, None),
        ErrorKind::Untranslatable => (INVALID, Some(kind.as_str())),
        ErrorKind::TooLarge => (INVALID, Some("request_too_large")),
        ErrorKind::UnknownModel | ErrorKind::ModelNotFound => (INVALID, Some("model_not_found")),
        ErrorKind::ContextLength => (INVALID, Some("context_length_exceeded")),
        ErrorKind::ContentPolicy => (INVALID, Some("content_policy_violation")),
        ErrorKind::Unauthenticated => (INVALID, Some("invalid_api_key")),
        ErrorKind::Forbidden => (INVALID, Some("permission_denied")),
        ErrorKind::QuotaExhausted => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
        ErrorKind::Server => ("server_error", Some("server_error")),
        ErrorKind::BudgetExceeded => ("insufficient_quota", Some(kind.as_str())),
        ErrorKind::LimitExceeded => ("rate_limit_error", Some(kind.as_str())),
        ErrorKind::CircuitOpen | ErrorKind::NoRoute => ("service_unavailable_error", Some(kind.as_str())),
        ErrorKind::Timeout(_) | ErrorKind::DeadlineExceeded => ("timeout_error", Some(kind.as_str())),
        ErrorKind::ProviderCredentials
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Undecodable
        | ErrorKind::Cancelled
        | ErrorKind::Internal => ("server_error", Some(kind.as_str())),
    }
}

/// Only then do the provider's own words speak of something that the caller knows.
fn is_callers_fault(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::Untranslatable
        | ErrorKind::TooLarge
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy => true,
        ErrorKind::UnknownModel
        | ErrorKind::ModelNotFound
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::ProviderCredentials
        | ErrorKind::QuotaExhausted
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Timeout(_)
        | ErrorKind::DeadlineExceeded
        | ErrorKind::Undecodable
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Cancelled
        | ErrorKind::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use llm_core::Detail;

    use super::*;

    fn body(error: &Error) -> serde_json::Value {
        serde_json::from_slice(&encode_error(error)).unwrap()
    }

    #[test]
    fn every_kind_has_a_type_a_message_and_all_four_fields() {
        for kind in ErrorKind::ALL {
            let body = body(&Error::new(kind, "it \"broke\""));
            assert_eq!(body["error"]["message"], "it \"broke\"");
            assert!(body["error"]["type"].is_string(), "{kind}");
            assert!(body["error"].get("param").is_some() && body["error"].get("code").is_some());
            assert_eq!(body["error"]["code"].is_null(), kind == ErrorKind::InvalidRequest, "{kind}");
        }
    }

    #[test]
    fn refusals_of_ours_are_told_from_those_of_a_provider() {
        for kind in ErrorKind::ALL.into_iter().filter(|kind| kind.class().is_own) {
            assert_eq!(body(&Error::new(kind, "no"))["error"]["code"], kind.as_str());
        }
        assert_eq!(body(&Error::new(ErrorKind::RateLimited, "no"))["error"]["code"], "rate_limit_exceeded");
    }

    #[test]
    fn a_providers_code_goes_to_the_caller_only_if_the_caller_is_at_fault() {
        let detail = Detail { code: Some("invalid_value".into()), param: Some("temperature".into()), kind: None };
        let invalid = body(&Error::invalid_request("no").with_detail(detail.clone()));
        assert_eq!(
            (&invalid["error"]["code"], &invalid["error"]["param"]),
            (&"invalid_value".into(), &"temperature".into())
        );
        let ours = body(&Error::new(ErrorKind::ProviderCredentials, "no").with_detail(detail));
        assert_eq!(ours["error"]["code"], "provider_credentials");
        assert!(ours["error"]["param"].is_null());
    }
}
