//! No failed answer makes the classification panic, whatever its status, headers and body are.
#![no_main]

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use llm_wire::{anthropic, error, headers, openai};

const NAMES: [&str; 8] = [
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-ratelimit-reset-requests",
    "x-ratelimit-remaining-requests",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-requests-limit",
    "anthropic-beta",
];

fuzz_target!(|input: (u16, Vec<(u8, Vec<u8>)>, Vec<u8>)| {
    let (status, values, body) = input;
    let mut map = HeaderMap::new();
    for (name, value) in values.iter().take(16) {
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(name, value);
        }
    }
    let now = SystemTime::UNIX_EPOCH;
    let _ = (headers::rate_limits(&map, now), anthropic::Betas::from_headers(&map));
    let failed = error::decode(400 + status % 200, &map, &body, now);
    for error in [Some(failed), error::decode_in_band(&body)].into_iter().flatten() {
        for written in [openai::encode_error(&error), anthropic::encode_error(&error, Some("req_1"))] {
            serde_json::from_slice::<serde::de::IgnoredAny>(&written).expect("what is written is JSON");
        }
    }
});
