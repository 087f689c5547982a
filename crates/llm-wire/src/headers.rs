//! What the headers of a provider's answer say: rate limits, when to come back, whether to, and the id for its support;
//! and rate limits of our own, as clients look for them.
//!
//! Nothing here needs to know the provider: the names differ enough to be looked for one after the other. A header
//! that is missing, malformed or senseless is absent; no bytes make these functions fail.

pub(crate) mod time;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::AsHeaderName};
use llm_core::{Dialect, Quota, RateLimits};

/// The header names of one limit. Empty where the provider tells nothing.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const fn names(limit: &'static str, remaining: &'static str, reset: &'static str) -> Names {
    Names { limit, remaining, reset }
}

// Within a table the first row that tells anything wins. OpenAI's names are also Azure's and Groq's.
const REQUESTS: &[Names] = &[
    names("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    names(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    names("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""), // Mistral
    names("x-ratelimit-limit-req-10-second", "x-ratelimit-remaining-req-10-second", ""),
    names("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"), // OpenRouter
];

const TOKENS: &[Names] = &[
    names("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    names(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    names("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", ""), // Mistral
    names("x-ratelimit-limit-tokens-month", "", ""),
];

const INPUT_TOKENS: &[Names] = &[names(
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
)];

const OUTPUT_TOKENS: &[Names] = &[names(
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
)];

/// How the names of all limits begin.
const PREFIXES: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

/// Where providers put the id under which they know a call: OpenAI, Azure and Groq; Anthropic; Azure API management;
/// OpenRouter; DeepSeek; Mistral.
// Made once: a name that is text is checked and copied each time that it is looked for.
static REQUEST_IDS: [HeaderName; 6] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-generation-id"),
    HeaderName::from_static("x-ds-trace-id"),
    HeaderName::from_static("mistral-correlation-id"),
];

/// The longest request id that is kept, in bytes. Known ones have 20 to 60.
const LONGEST_REQUEST_ID: usize = 128;

/// The rate limits that the headers tell, or `None` if they tell nothing.
///
/// A limit of 0 or −1 is Azure's way to say that it does not know; it counts as absent, and so does a remainder of 0
/// beside it. A reset is an instant (RFC 3339, epoch seconds or milliseconds), a duration as Go writes it (`6m0s`) or
/// bare seconds; one in the past is zero.
pub fn rate_limits(headers: &HeaderMap, now: SystemTime) -> Option<RateLimits> {
    // Many servers tell nothing, and looking for every name costs more than looking through all that are there.
    let is_limit = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if !headers.keys().any(|name| is_limit(name.as_str())) {
        return None;
    }
    let limits = RateLimits {
        requests: quota(headers, REQUESTS, now),
        tokens: quota(headers, TOKENS, now),
        input_tokens: quota(headers, INPUT_TOKENS, now),
        output_tokens: quota(headers, OUTPUT_TOKENS, now),
    };
    (!limits.is_empty()).then_some(limits)
}

/// How long the other side asks to wait: `retry-after-ms`, else `retry-after` as seconds or as an HTTP date.
///
/// A value that is no number, not positive, in the past, or over 31 days is absent, and the next header is asked: no
/// provider has a longer window than a month, so what is longer is a number in another unit. Meant for failures:
/// Anthropic sends `retry-after` with successful answers too, where it means nothing.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let in_milliseconds =
        text(headers, "retry-after-ms").and_then(|value| time::wait(value.parse::<f64>().ok()? / 1e3));
    in_milliseconds.or_else(|| {
        let value = text(headers, "retry-after")?;
        match value.parse() {
            Ok(seconds) => time::wait(seconds),
            Err(_) => {
                let wait = httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?;
                time::sensible(wait)
            }
        }
    })
}

/// The other side's own word on whether to try again: `x-should-retry: true` or `false`.
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    let value = text(headers, "x-should-retry")?;
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The id under which the provider knows the call. Printable ASCII of at most 128 bytes; anything else is absent.
pub fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    REQUEST_IDS.iter().find_map(|name| {
        let id = text(headers, name)?;
        (id.len() <= LONGEST_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Arc::from(id))
    })
}

/// How long until every exhausted limit is full again. A hint for a 429 only: on any other answer a reset says when
/// the window refills, not when to come back.
pub(crate) fn reset_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let limits = rate_limits(headers, now)?;
    [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens]
        .into_iter()
        .filter(|quota| quota.remaining == Some(0))
        .filter_map(|quota| quota.reset)
        .max()
        .and_then(time::sensible)
}

/// Writes rate limits as clients of `dialect` look for them: under the names of OpenAI, with resets as Go writes durations,
/// or of Anthropic, with resets as instants. What is absent is not written, and OpenAI has no names for input or output
/// tokens by themselves. Resets are rounded up, to milliseconds or to seconds.
pub fn write_rate_limits(headers: &mut HeaderMap, limits: &RateLimits, dialect: Dialect, now: SystemTime) {
    let RateLimits { requests, tokens, input_tokens, output_tokens } = limits;
    let place = match dialect {
        Dialect::OpenAi => 0,
        Dialect::Anthropic => 1,
    };
    let alone = [(input_tokens, INPUT_TOKENS), (output_tokens, OUTPUT_TOKENS)];
    let alone = alone.into_iter().filter(|_| place > 0).map(|(quota, table)| (quota, &table[0]));
    let names = [(requests, &REQUESTS[place]), (tokens, &TOKENS[place])];
    for (quota, names) in names.into_iter().chain(alone) {
        let Quota { limit, remaining, reset } = quota;
        let mut write = |name, value: HeaderValue| _ = headers.insert(HeaderName::from_static(name), value);
        if let Some(limit) = *limit {
            write(names.limit, limit.into());
        }
        if let Some(remaining) = *remaining {
            write(names.remaining, remaining.into());
        }
        let reset = reset.and_then(|reset| match dialect {
            Dialect::OpenAi => Some(time::go_duration(reset)),
            Dialect::Anthropic => time::instant_after(reset, now),
        });
        if let Some(reset) = reset {
            write(names.reset, HeaderValue::try_from(reset).expect("digits, letters, dots, dashes and colons"));
        }
    }
}

fn quota(headers: &HeaderMap, table: &[Names], now: SystemTime) -> Quota {
    table
        .iter()
        .map(|names| one_quota(headers, names, now))
        .find(|quota| *quota != Quota::default())
        .unwrap_or_default()
}

fn one_quota(headers: &HeaderMap, names: &Names, now: SystemTime) -> Quota {
    let count = |name| text(headers, name).and_then(|value| value.parse::<u64>().ok());
    let limit = count(names.limit).filter(|limit| *limit > 0);
    let is_unknown = limit.is_none() && text(headers, names.limit).is_some();
    Quota {
        limit,
        remaining: count(names.remaining).filter(|remaining| !(is_unknown && *remaining == 0)),
        reset: text(headers, names.reset).and_then(|value| time::until_reset(value, now)),
    }
}

/// The trimmed value of a header, unless it is missing, empty or no UTF-8.
fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests;
