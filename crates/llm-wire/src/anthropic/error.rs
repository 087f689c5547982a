//! Error bodies as this dialect's SDKs expect them.

use bytes::{Bytes, BytesMut};
use llm_core::{Error, ErrorKind};

use crate::json::ObjectWriter;

/// `{"type":"error","error":{"type","message"},"request_id"}`.
///
/// The type is the one Anthropic uses for the same trouble, so that callers find what they look for. Refusals of our
/// own layers also say which in `error.details.error_code`: `circuit_open`, `budget_exceeded`, `limit_exceeded`,
/// `no_route`.
pub fn encode_error(error: &Error, request_id: Option<&str>) -> Bytes {
    let mut out = BytesMut::with_capacity(160 + error.message().len());
    write_error(error, request_id, &mut out);
    out.freeze()
}

pub(super) fn write_error(error: &Error, request_id: Option<&str>, out: &mut BytesMut) {
    let mut body = ObjectWriter::begin(out);
    body.field("type", "error");
    let mut object = body.object("error");
    object.field("type", type_of(error.kind()));
    object.field("message", error.message());
    if error.kind().class().is_own {
        let mut details = object.object("details");
        details.field("error_code", error.kind().as_str());
        details.end();
    }
    object.end();
    body.optional("request_id", request_id);
    body.end();
}

fn type_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::Untranslatable | ErrorKind::ContextLength | ErrorKind::ContentPolicy => {
            "invalid_request_error"
        }
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::UnknownModel | ErrorKind::ModelNotFound => "not_found_error",
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::BudgetExceeded => "billing_error",
        ErrorKind::QuotaExhausted | ErrorKind::RateLimited | ErrorKind::LimitExceeded => "rate_limit_error",
        ErrorKind::Overloaded | ErrorKind::CircuitOpen => "overloaded_error",
        ErrorKind::Timeout(_) | ErrorKind::DeadlineExceeded => "timeout_error",
        ErrorKind::ProviderCredentials
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Undecodable
        | ErrorKind::NoRoute
        | ErrorKind::Cancelled
        | ErrorKind::Internal => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: &Error) -> serde_json::Value {
        serde_json::from_slice(&encode_error(error, Some("req_1"))).unwrap()
    }

    #[test]
    fn every_kind_has_a_type_and_a_message() {
        for kind in ErrorKind::ALL {
            let body = body(&Error::new(kind, "it \"broke\""));
            assert_eq!(body["type"], "error", "{kind}");
            assert_eq!(body["error"]["message"], "it \"broke\"");
            assert!(body["error"]["type"].as_str().is_some_and(|name| name.starts_with(|c: char| c.is_alphabetic())));
            assert_eq!(body["request_id"], "req_1");
        }
    }

    #[test]
    fn refusals_of_ours_are_told_from_those_of_a_provider() {
        for kind in ErrorKind::ALL {
            let code = &body(&Error::new(kind, "no"))["error"]["details"]["error_code"];
            assert_eq!(code == kind.as_str(), kind.class().is_own, "{kind}");
        }
    }

    #[test]
    fn without_an_id_there_is_none() {
        let body: serde_json::Value = serde_json::from_slice(&encode_error(&Error::internal("no"), None)).unwrap();
        assert!(body.get("request_id").is_none());
    }
}
