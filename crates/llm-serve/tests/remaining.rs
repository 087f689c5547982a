//! What callers are told is left, with answers, streams and failures.

#![allow(clippy::unwrap_used)]

mod scripted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use http::HeaderMap;
use llm_core::{Dialect, Error, ErrorKind, LlmRequest, LlmResponse, NanoUsd, Output, Quota, RateLimits};
use llm_serve::{DoorOptions, Remaining, RemainingBudget};
use scripted::{CLIENTS, Client, read, service};
use tower::ServiceExt;

/// One request is left, and none once the call is over; and the name that was asked for is a budget's.
async fn ask(client: Client, body: &'static str, fails: bool) -> HeaderMap {
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    let model = service(move |_| {
        let ends = Arc::clone(&ends);
        async move {
            ends.store(true, SeqCst);
            if fails {
                return Err(Error::new(ErrorKind::LimitExceeded, "no more"));
            }
            Ok(LlmResponse::from(Output::text("Blue.")))
        }
    });
    let tell = move |request: &LlmRequest| Remaining {
        rate_limits: RateLimits {
            requests: Quota {
                limit: Some(60),
                remaining: Some(u64::from(!is_over.load(SeqCst))),
                reset: Some(Duration::from_millis(59_500)),
            },
            ..RateLimits::default()
        },
        budgets: vec![RemainingBudget {
            name: request.model().into(),
            cap: NanoUsd(2_000_000_000),
            left: NanoUsd(40_000_000),
            resets_in: Some(Duration::from_secs(7)),
        }],
    };
    let door = client.door(model).remaining(tell).options(DoorOptions::new().provenance_headers(false));
    read(door.oneshot(client.post(body)).await.unwrap()).await.1
}

#[tokio::test(start_paused = true)]
async fn what_is_left_after_the_call_stands_under_the_names_that_clients_know() {
    for client in CLIENTS {
        for (body, fails) in
            [(client.whole, false), (client.stream, false), (client.whole, true), (client.stream, true)]
        {
            let headers = ask(client, body, fails).await;
            let [limit, remaining, reset] = match client.dialect {
                Dialect::OpenAi => {
                    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
                }
                Dialect::Anthropic => [
                    "anthropic-ratelimit-requests-limit",
                    "anthropic-ratelimit-requests-remaining",
                    "anthropic-ratelimit-requests-reset",
                ],
            };
            assert_eq!((&headers[limit], &headers[remaining]), (&"60".parse().unwrap(), &"0".parse().unwrap()));
            match client.dialect {
                Dialect::OpenAi => assert_eq!(headers[reset], "59.5s"),
                Dialect::Anthropic => assert!(headers[reset].to_str().unwrap().ends_with('Z'), "{headers:?}"),
            }
            assert_eq!(headers["x-llm-budget"], "\"m\";left=\"0.04\";cap=\"2.00\";reset=7");
        }
    }
}

#[tokio::test]
async fn nothing_is_told_of_a_request_that_makes_no_call() {
    for client in CLIENTS {
        let door = client.door(service(|_| async { Ok(Output::text("").into()) }));
        let door = door.remaining(|_| panic!("there is no call to tell of"));
        let (status, headers, _) = read(door.oneshot(client.post("{")).await.unwrap()).await;
        assert_eq!(status, 400);
        assert!(!headers.contains_key("x-llm-budget"));
    }
}
