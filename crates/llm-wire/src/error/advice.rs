//! When to come back after a failure.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use llm_core::ErrorKind;

use super::object::ErrorObject;
use crate::headers::{self, time};

/// How OpenAI and Gemini say it in words.
const OPENINGS: [&str; 2] = ["please try again in ", "please retry in "];

/// The advice of a failed answer: its headers, its body, and on a throttled call the reset of what is exhausted.
pub(super) fn from_answer(
    kind: ErrorKind,
    headers: &HeaderMap,
    object: &ErrorObject,
    now: SystemTime,
) -> Option<Duration> {
    headers::retry_after(headers, now)
        .or_else(|| headers::retry_after(&object.headers, now))
        .or_else(|| from_body(kind, object))
        .or_else(|| {
            let is_throttled = kind == ErrorKind::RateLimited;
            let reset = || headers::reset_after(headers, now).or_else(|| headers::reset_after(&object.headers, now));
            is_throttled.then(reset).flatten()
        })
}

/// The advice of an error object: Google's `RetryInfo`, else the message.
pub(super) fn from_body(kind: ErrorKind, object: &ErrorObject) -> Option<Duration> {
    if kind == ErrorKind::QuotaExhausted {
        return None;
    }
    object.retry_delay.or_else(|| {
        OPENINGS.iter().find_map(|opening| {
            let (_, after) = object.text.split_once(opening)?;
            let (wait, _) = time::leading_duration(after)?;
            time::sensible(wait)
        })
    })
}
