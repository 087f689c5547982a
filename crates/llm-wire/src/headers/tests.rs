//! Every header of every provider, and any bytes at all.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()))
        .collect()
}

/// 2025-08-19T14:34:31Z.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_755_614_071)
}

fn limits(pairs: &[(&str, &str)]) -> RateLimits {
    rate_limits(&headers(pairs), now()).expect("the headers tell limits")
}

fn told(limit: u64, remaining: u64, reset_ms: Option<u64>) -> Quota {
    Quota { limit: Some(limit), remaining: Some(remaining), reset: reset_ms.map(Duration::from_millis) }
}

#[test]
fn openai_and_groq_tell_requests_and_tokens_with_go_durations() {
    let limits = limits(&[
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "8.64s"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]);
    assert_eq!(limits.requests, told(10_000, 9999, Some(8640)));
    assert_eq!(limits.tokens, told(200_000, 0, Some(360_000)));
    assert_eq!(limits.input_tokens, Quota::default());
}

#[test]
fn azure_tells_bare_seconds_and_may_not_know_a_limit() {
    let limits = limits(&[
        ("x-ratelimit-limit-requests", "-1"),
        ("x-ratelimit-remaining-requests", "-1"),
        ("x-ratelimit-limit-tokens", "0"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "26"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
    ]);
    assert_eq!(limits.requests, Quota::default());
    assert_eq!(limits.tokens, Quota { reset: Some(Duration::from_secs(26)), ..Quota::default() });
    let without_limit = rate_limits(&headers(&[("x-ratelimit-remaining-requests", "0")]), now());
    assert_eq!(
        without_limit.map(|limits| limits.requests.remaining),
        Some(Some(0)),
        "a missing limit is not an unknown one"
    );
}

#[test]
fn anthropic_tells_four_limits_with_instants() {
    let limits = limits(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2025-08-19T14:34:32Z"),
        ("anthropic-ratelimit-tokens-limit", "90000"),
        ("anthropic-ratelimit-tokens-remaining", "89000"),
        ("anthropic-ratelimit-tokens-reset", "2025-08-19T14:35:31Z"),
        ("anthropic-ratelimit-input-tokens-limit", "80000"),
        ("anthropic-ratelimit-input-tokens-remaining", "79000"),
        ("anthropic-ratelimit-input-tokens-reset", "2025-08-19T16:34:31.5+02:00"),
        ("anthropic-ratelimit-output-tokens-limit", "10000"),
        ("anthropic-ratelimit-output-tokens-remaining", "10000"),
        ("anthropic-ratelimit-output-tokens-reset", "2025-08-19T14:00:00Z"),
    ]);
    assert_eq!(limits.requests, told(50, 49, Some(1000)));
    assert_eq!(limits.tokens, told(90_000, 89_000, Some(60_000)));
    assert_eq!(limits.input_tokens, told(80_000, 79_000, Some(500)));
    assert_eq!(limits.output_tokens, told(10_000, 10_000, Some(0)));
}

#[test]
fn mistral_tells_its_own_names() {
    let minute = limits(&[
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-req-10-second", "10"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499000"),
        ("x-ratelimit-limit-tokens-month", "1000000000"),
        ("x-ratelimit-tokens-query-cost", "1000"),
    ]);
    assert_eq!(minute.requests, told(60, 59, None));
    assert_eq!(minute.tokens, told(500_000, 499_000, None));
    let ten_seconds =
        limits(&[("x-ratelimit-limit-req-10-second", "10"), ("x-ratelimit-remaining-req-10-second", "9")]);
    assert_eq!(ten_seconds.requests, told(10, 9, None));
    assert_eq!(limits(&[("x-ratelimit-limit-tokens-month", "7")]).tokens.limit, Some(7));
}

#[test]
fn openrouter_tells_requests_with_epoch_milliseconds() {
    let limits =
        limits(&[("X-RateLimit-Limit", "20"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1755614081000")]);
    assert_eq!(limits.requests, told(20, 0, Some(10_000)));
}

#[test]
fn without_limits_there_are_none() {
    assert_eq!(rate_limits(&HeaderMap::new(), now()), None);
    assert_eq!(rate_limits(&headers(&[("x-ratelimit-limit-requests", "many"), ("retry-after", "1")]), now()), None);
}

#[test]
fn every_spelling_of_a_reset_is_read() {
    let resets = [
        ("12ms", Some(12_000)),
        ("0s", Some(0)),
        ("8.64s", Some(8_640_000)),
        ("59.369s", Some(59_369_000)),
        ("1m6.779s", Some(66_779_000)),
        ("2m59.56s", Some(179_560_000)),
        ("6m0s", Some(360_000_000)),
        ("1h2m3s", Some(3_723_000_000)),
        ("261ms", Some(261_000)),
        ("5us", Some(5)),
        ("5µs", Some(5)),
        ("5μs", Some(5)),
        ("5000ns", Some(5)),
        ("26", Some(26_000_000)),
        ("0.5", Some(500_000)),
        ("1755614072", Some(1_000_000)),
        ("1755614072500", Some(1_500_000)),
        ("1755614000", Some(0)),
        ("2025-08-19T14:34:32Z", Some(1_000_000)),
        ("2020-01-01T00:00:00Z", Some(0)),
        ("9999-01-01T00:00:00Z", None),
        ("-1", None),
        ("-1s", None),
        ("1s ", None),
        ("s", None),
        ("1x", None),
        ("1.2.3s", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("tomorrow", None),
    ];
    for (text, micros) in resets {
        assert_eq!(time::until_reset(text, now()).map(|wait| wait.as_micros()), micros, "{text:?}");
    }
    let exact = time::until_reset("17.399999999s", now());
    assert_eq!(exact, Some(Duration::from_nanos(17_399_999_999)));
}

#[test]
fn a_wait_is_read_from_milliseconds_then_seconds_then_a_date() {
    type Pairs = &'static [(&'static str, &'static str)];
    let waits: [(Pairs, Option<u64>); 17] = [
        (&[("retry-after-ms", "1500.5"), ("retry-after", "9")], Some(1500)),
        (&[("retry-after-ms", "0"), ("retry-after", "1")], Some(1000)),
        (&[("retry-after-ms", "-5"), ("retry-after", "1")], Some(1000)),
        (&[("retry-after-ms", ""), ("retry-after", "1")], Some(1000)),
        (&[("retry-after-ms", "soon"), ("retry-after", "1")], Some(1000)),
        (&[("retry-after", "0.25")], Some(250)),
        (&[("retry-after", " 7 ")], Some(7000)),
        (&[("retry-after", "Tue, 19 Aug 2025 14:35:31 GMT")], Some(60_000)),
        (&[("retry-after", "Tue, 19 Aug 2025 14:00:00 GMT")], None),
        (&[("retry-after", "Tue, 19 Aug 2026 14:00:00 GMT")], None),
        (&[("retry-after", "2678400")], Some(2_678_400_000)),
        (&[("retry-after", "2678401")], None),
        (&[("retry-after", "1755614072")], None),
        (&[("retry-after", "-3")], None),
        (&[("retry-after", "inf")], None),
        (&[("retry-after", "NaN")], None),
        (&[], None),
    ];
    for (pairs, milliseconds) in waits {
        let wait = retry_after(&headers(pairs), now());
        assert_eq!(wait.map(|wait| wait.as_millis()), milliseconds.map(u128::from), "{pairs:?}");
    }
}

#[test]
fn the_longest_reset_among_the_exhausted_is_the_hint() {
    let pairs = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "2s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "3s"),
        ("anthropic-ratelimit-input-tokens-remaining", "1"),
        ("anthropic-ratelimit-input-tokens-reset", "9s"),
    ];
    assert_eq!(reset_after(&headers(&pairs), now()), Some(Duration::from_secs(3)));
    assert_eq!(reset_after(&headers(&pairs[4..]), now()), None);
}

#[test]
fn a_word_on_retrying_is_true_or_false() {
    let word = |value| should_retry(&headers(&[("x-should-retry", value)]));
    assert_eq!(word("true"), Some(true));
    assert_eq!(word("False"), Some(false));
    assert_eq!(word("1"), None);
    assert_eq!(should_retry(&HeaderMap::new()), None);
}

#[test]
fn the_request_id_of_every_provider_is_found() {
    for name in &REQUEST_IDS {
        assert_eq!(request_id(&headers(&[(name.as_str(), "req_1")])).as_deref(), Some("req_1"), "{name}");
    }
    let long = "x".repeat(129);
    let both = headers(&[("x-request-id", long.as_str()), ("request-id", "req_2")]);
    assert_eq!(request_id(&both).as_deref(), Some("req_2"), "a senseless id is passed over");
    assert_eq!(request_id(&headers(&[("x-request-id", "a b")])), None);
    assert_eq!(request_id(&HeaderMap::new()), None);
}

/// Every header that is read, with any value that http allows, and some that come close to sense.
fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let tables = [REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS];
    let limits = tables.into_iter().flatten().flat_map(|names| [names.limit, names.remaining, names.reset]);
    let others = ["retry-after-ms", "retry-after", "x-should-retry"];
    let names: Vec<_> = limits
        .chain(others)
        .chain(REQUEST_IDS.iter().map(HeaderName::as_str))
        .filter(|name| !name.is_empty())
        .collect();
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[-+0-9.eE]{0,25}".prop_map(String::into_bytes),
        "([0-9.]{0,20}(h|m|s|ms|us|µs|ns)){0,4}".prop_map(String::into_bytes),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})".prop_map(String::into_bytes),
        "(Mon|Tue), [0-9]{2} (Jan|Feb) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT".prop_map(String::into_bytes),
    ];
    prop::collection::vec((prop::sample::select(names), value), 0..8).prop_map(|pairs| {
        let valid = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?)));
        valid.collect()
    })
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_every_wait_makes_sense(headers in any_headers(), now in 0_u64..100_000_000_000) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let month = Duration::from_secs(31 * 24 * 60 * 60);
        for wait in [retry_after(&headers, now), reset_after(&headers, now)].into_iter().flatten() {
            prop_assert!(!wait.is_zero() && wait <= month);
        }
        if let Some(limits) = rate_limits(&headers, now) {
            prop_assert!(!limits.is_empty());
            for quota in [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens] {
                prop_assert!(quota.limit != Some(0));
                prop_assert!(quota.reset.is_none_or(|reset| reset <= month));
            }
        }
        prop_assert!(request_id(&headers).is_none_or(|id| !id.is_empty() && id.len() <= 128));
        let _ = should_retry(&headers);
    }

    #[test]
    fn a_go_duration_is_read_to_the_nanosecond(seconds in 0_u32..2_000_000, nanos in 0_u32..1_000_000_000) {
        let text = format!("{}h{}m{}.{nanos:09}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let wait = time::until_reset(&text, SystemTime::UNIX_EPOCH).expect("a duration");
        prop_assert!(wait.abs_diff(Duration::new(seconds.into(), nanos)) <= Duration::from_nanos(1));
    }
}

#[test]
fn what_is_written_for_clients_is_what_is_read_of_providers() {
    let quota = |limit, remaining, millis| Quota {
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(Duration::from_millis(millis)),
    };
    let limits = RateLimits {
        requests: quota(60, 59, 1_000),
        tokens: Quota { reset: None, ..quota(200_000, 0, 0) },
        ..RateLimits::default()
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut headers = HeaderMap::new();
        write_rate_limits(&mut headers, &limits, dialect, now);
        assert_eq!(rate_limits(&headers, now), Some(limits), "{dialect:?}");
        assert_eq!(headers.len(), 5, "what is absent is not written");
    }
    let apart = RateLimits { input_tokens: quota(9, 1, 500), output_tokens: quota(8, 2, 1_500), ..limits };
    let mut headers = HeaderMap::new();
    write_rate_limits(&mut headers, &apart, Dialect::OpenAi, now);
    assert_eq!(rate_limits(&headers, now), Some(limits), "it has no names for them");
    write_rate_limits(&mut headers, &apart, Dialect::Anthropic, now);
    assert_eq!(headers["anthropic-ratelimit-input-tokens-reset"], "2023-11-14T22:13:21Z");
    assert_eq!(headers["anthropic-ratelimit-output-tokens-reset"], "2023-11-14T22:13:22Z");
}

#[test]
fn delays_are_written_as_go_writes_them() {
    let rows = [
        (0, "0ms"),
        (12, "12ms"),
        (1_000, "1s"),
        (8_640, "8.64s"),
        (10_000, "10s"),
        (66_779, "1m6.779s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
    ];
    for (millis, text) in rows {
        let delay = Duration::from_millis(millis);
        assert_eq!(time::go_duration(delay), text);
        assert_eq!(time::until_reset(text, SystemTime::UNIX_EPOCH), Some(delay));
    }
    assert_eq!(time::go_duration(Duration::from_nanos(1)), "1ms", "rounded up");
}
