//! Response heads: the usual headers, and what is told of rate limits.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use llm_core::{Dialect, Quota, RateLimits, clock};

use super::body::SimBody;

/// What stands in the head besides the status.
pub(super) struct Told<'a> {
    pub(super) dialect: Dialect,
    pub(super) content_type: &'static str,
    pub(super) request_id: &'a str,
    pub(super) limits: RateLimits,
    /// Whether the call should be made again, where the dialect has a header for that.
    pub(super) should_retry: Option<bool>,
    /// Headers of a fault; they replace those of the same name.
    pub(super) more: HeaderMap,
}

pub(super) fn response(status: StatusCode, told: Told<'_>, body: SimBody) -> Response<SimBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(told.content_type));
    match told.dialect {
        Dialect::OpenAi => insert(headers, HeaderName::from_static("x-request-id"), told.request_id),
        Dialect::Anthropic => {
            insert(headers, HeaderName::from_static("request-id"), told.request_id);
            if let Some(should_retry) = told.should_retry {
                insert(headers, HeaderName::from_static("x-should-retry"), &should_retry.to_string());
            }
        }
    }
    quota(headers, told.dialect, "requests", &told.limits.requests);
    quota(headers, told.dialect, "tokens", &told.limits.tokens);
    for name in told.more.keys() {
        headers.remove(name);
    }
    for (name, value) in &told.more {
        headers.append(name, value.clone());
    }
    response
}

fn quota(headers: &mut HeaderMap, dialect: Dialect, what: &str, quota: &Quota) {
    let reset = quota.reset.map(|reset| match dialect {
        Dialect::OpenAi => written(reset),
        Dialect::Anthropic => instant(clock::wall() + reset),
    });
    let values = [
        ("limit", quota.limit.map(|limit| limit.to_string())),
        ("remaining", quota.remaining.map(|left| left.to_string())),
        ("reset", reset),
    ];
    for (field, value) in values {
        let name = HeaderName::try_from(match dialect {
            Dialect::OpenAi => format!("x-ratelimit-{field}-{what}"),
            Dialect::Anthropic => format!("anthropic-ratelimit-{what}-{field}"),
        });
        if let (Ok(name), Some(value)) = (name, value) {
            insert(headers, name, &value);
        }
    }
}

/// A duration as OpenAI writes it, such as `59.369s`.
fn written(duration: Duration) -> String {
    format!("{}.{:03}s", duration.as_secs(), duration.subsec_millis())
}

/// A point in time as Anthropic writes it, such as `2026-08-19T14:34:11Z`. The second that has begun counts as one,
/// so that nobody comes back too early.
fn instant(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at + Duration::from_millis(999)).to_string()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
