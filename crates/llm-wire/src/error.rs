//! What a provider's failure means: an [`Error`] from an http answer, or from an error object inside a stream.
//!
//! Providers are told apart by the shape of what they send, never by name, because compatible servers, gateways and
//! proxies pass each other's errors on. What decides, in this order: the words of the error object (its codes and
//! types) where they say more than a status, the status, and for a few statuses the text of the message.
//!
//! # Kinds
//!
//! 401 and 403 mean that the provider refuses *our* key. 404 means the model, unless the error names another field.
//! 408, 504 and 524 are `Timeout(Head)`: no answer before somebody's time limit; inside a stream it is
//! `Timeout(Total)`. 409 is `Server`, 499 is `Interrupted`: both may be tried again. A single request above a
//! per-minute limit (429 "Request too large") is `TooLarge`, since waiting does not help and it must not cool the
//! target for everybody else.
//!
//! # Messages
//!
//! The message of an error goes to callers and into logs, and a provider's message may hold a piece of a key, an
//! account's name, or an address. So it is kept only where the caller is at fault and needs it (`InvalidRequest`,
//! `ContextLength`, `ContentPolicy`, `TooLarge`, `ModelNotFound`): at most 512 characters, without control characters,
//! and with everything that looks like a key or account id replaced. All other kinds say a fixed sentence of ours.
//! Parts of an error object that repeat the prompt or the answer (`input`, `flagged_input`, `failed_generation`) are
//! never read.
//!
//! # Advice
//!
//! How long to wait comes from `retry-after-ms`, `retry-after`, Google's `RetryInfo`, the message ("try again in
//! 1.2s"), and on a 429 the reset of an exhausted limit: the first that makes sense. It is kept for failures that may
//! be tried again, and for those that close a target or a key to others. When quota is exhausted only a header counts: the body's hint is about the rate, not the money.

mod advice;
mod classify;
mod message;
mod object;
mod table;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use llm_core::{Breaker, Detail, Error, ErrorKind, Phase};

use self::object::ErrorObject;
use crate::headers;

/// Classifies a failed http answer of any provider.
///
/// Any body will do: one that is empty, HTML or not understood leaves the decision to the status. `now` turns the
/// dates in headers into waits.
pub fn decode(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Error {
    let object = ErrorObject::in_failure(body);
    let kind = classify::kind(Some(status), &object);
    let should_retry = headers::should_retry(headers).or_else(|| classify::should_retry(kind, &object));
    let advice = advice::from_answer(kind, headers, &object, now);
    error(kind, object, should_retry, advice).with_status(status)
}

/// Classifies an error object that came inside a 200 or inside a stream; `None` if `body` holds no error.
///
/// An error is a JSON object with an `error` that is neither null, false nor empty, one that calls itself an error
/// (`"type": "error"`, `"object": "error"`), or a failed response of OpenAI's Responses API. The same inside an array
/// of one.
pub fn decode_in_band(body: &[u8]) -> Option<Error> {
    let object = ErrorObject::in_answer(body)?;
    let kind = match classify::kind(None, &object) {
        ErrorKind::Timeout(_) => ErrorKind::Timeout(Phase::Total),
        kind => kind,
    };
    let should_retry = classify::should_retry(kind, &object);
    let advice = advice::from_body(kind, &object);
    Some(error(kind, object, should_retry, advice))
}

fn error(kind: ErrorKind, object: ErrorObject, should_retry: Option<bool>, advice: Option<Duration>) -> Error {
    let mut error = Error::new(kind, message::for_caller(kind, object.message.as_deref()));
    let detail = Detail { kind: object.kind, code: object.code, param: object.param };
    if detail != Detail::default() {
        error = error.with_detail(detail);
    }
    if let Some(should_retry) = should_retry {
        error = error.with_should_retry(should_retry);
    }
    // Advice is for whoever tries again, and for a breaker that keeps others away for so long.
    let is_heeded = error.is_retryable() || kind.class().breaker != Breaker::Ignore;
    match advice {
        Some(wait) if is_heeded => error.with_retry_after(wait),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
