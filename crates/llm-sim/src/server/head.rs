//! Response heads: the usual headers, and what is told of rate limits.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use llm_core::{Quota, RateLimits};

use super::body::SimBody;

/// What stands in the head besides the status.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) content_type: &'static str,
    pub(super) request_id: &'a str,
    pub(super) limits: RateLimits,
    /// Headers of a fault; they replace those of the same name.
    pub(super) more: HeaderMap,
}

pub(super) fn response(status: StatusCode, told: Told<'_>, body: SimBody) -> Response<SimBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(told.content_type));
    insert(headers, HeaderName::from_static("x-request-id"), told.request_id);
    quota(headers, "requests", &told.limits.requests);
    quota(headers, "tokens", &told.limits.tokens);
    for name in told.more.keys() {
        headers.remove(name);
    }
    for (name, value) in &told.more {
        headers.append(name, value.clone());
    }
    response
}

fn quota(headers: &mut HeaderMap, what: &str, quota: &Quota) {
    let reset = quota.reset.map(written);
    let values = [
        ("limit", quota.limit.map(|limit| limit.to_string())),
        ("remaining", quota.remaining.map(|left| left.to_string())),
        ("reset", reset),
    ];
    for (field, value) in values {
        let name = HeaderName::try_from(format!("x-ratelimit-{field}-{what}"));
        if let (Ok(name), Some(value)) = (name, value) {
            insert(headers, name, &value);
        }
    }
}

/// A duration as OpenAI writes it, such as `59.369s`.
fn written(duration: Duration) -> String {
    format!("{}.{:03}s", duration.as_secs(), duration.subsec_millis())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
