//! Stories of retries on paused time: how many calls are made, when, and what the caller gets.

use std::{
    collections::HashMap,
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, StreamExt, future::join_all};
use http::{HeaderMap, HeaderName, HeaderValue};
use llm_core::{
    Again, AttemptEnd, Error, ErrorKind, LlmRequest, LlmResponse, Measures, PerTarget, Random, Stage, Target,
};
use llm_retry::{Jitter, Reason, RetryConfig, RetryLayer, RetryQuota, RetryRules};
use llm_test::{Answer, Frames, Probe, ProbeLog};
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const TEXT: &str = "Blue light is scattered more than red.";

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn exact() -> RetryLayer {
    RetryLayer::new().jitter(Jitter::None)
}

fn of(kind: ErrorKind) -> Error {
    Error::new(kind, "the scripted failure")
}

fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(of(kind))
}

fn advised(wait: Duration) -> Answer {
    Answer::fail(of(ErrorKind::RateLimited).with_retry_after(wait))
}

/// Fails with these, then answers.
fn after(failures: impl IntoIterator<Item = Answer>) -> Probe {
    Probe::answering(Answer::text(TEXT)).script(failures)
}

fn ask() -> LlmRequest {
    LlmRequest::chat("gpt-4o-mini").user("Why?").stream().build()
}

fn ask_whole() -> LlmRequest {
    LlmRequest::chat("gpt-4o-mini").user("Why?").build()
}

fn ask_of(target: &Target) -> LlmRequest {
    let mut request = ask();
    request.context_mut().set_target(target.clone());
    request
}

/// What comes of it. One that nothing ends fails after hours, instead of being retried for ever.
async fn ends<F: Future>(future: F) -> F::Output {
    timeout(secs(5_000), future).await.expect("everything ends within hours")
}

/// Calls `layer` over `probe`, and reads the answer.
async fn call(layer: &RetryLayer, probe: Probe, request: LlmRequest) -> Result<String, Error> {
    let read = async { Ok(layer.layer(probe).oneshot(request).await?.body.collect().await?.first_text()) };
    ends(read).await
}

/// When the calls were made, in milliseconds since `begun`.
fn times(log: &ProbeLog, begun: Instant) -> Vec<u128> {
    log.call_times().iter().map(|at| at.duration_since(begun).as_millis()).collect()
}

/// The failure that a provider means with these headers.
fn throttled(headers: &[(&'static str, &str)], now: SystemTime) -> Answer {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value")))
        .collect();
    let error = llm_wire::error::decode(429, &headers, br#"{"error":{"message":"slow down"}}"#, now);
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    Answer::fail(error)
}

fn verdicts(request: &LlmRequest) -> Vec<Option<&'static str>> {
    request.context().trail().attempts().iter().map(|attempt| attempt.verdict).collect()
}

// Waits.

#[tokio::test(start_paused = true)]
async fn the_backoff_doubles_and_is_longer_after_throttling() {
    for (kind, expected) in
        [(ErrorKind::Server, [0, 250, 750, 1_750]), (ErrorKind::Overloaded, [0, 1_000, 3_000, 7_000])]
    {
        let probe = after([fail(kind), fail(kind), fail(kind)]);
        let (log, begun, request) = (probe.log(), Instant::now(), ask());
        request.context().set_allowance(5);
        assert_eq!(call(&exact(), probe, request).await.unwrap(), TEXT);
        assert_eq!(times(&log, begun), expected, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_advice_headers_that_differ_the_one_in_milliseconds_is_kept() {
    let now = SystemTime::UNIX_EPOCH;
    let probe = after([throttled(&[("retry-after", "7"), ("retry-after-ms", "1500")], now)]);
    let (log, begun) = (probe.log(), Instant::now());
    assert_eq!(call(&exact(), probe, ask()).await.unwrap(), TEXT);
    assert_eq!(times(&log, begun), [0, 1_500]);
}

#[tokio::test(start_paused = true)]
async fn an_http_date_is_waited_for() {
    let now = SystemTime::UNIX_EPOCH + secs(1_767_225_600);
    let probe = after([throttled(&[("retry-after", "Thu, 01 Jan 2026 00:00:42 GMT")], now)]);
    let (log, begun) = (probe.log(), Instant::now());
    assert_eq!(call(&exact(), probe, ask()).await.unwrap(), TEXT);
    assert_eq!(times(&log, begun), [0, 42_000]);
}

#[tokio::test(start_paused = true)]
async fn absurd_negative_and_empty_advice_is_no_advice() {
    for value in ["1e300", "99999999999", "-5", "", "soon", "NaN", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let probe = after([throttled(&[("retry-after", value)], SystemTime::UNIX_EPOCH + secs(60))]);
        let (log, begun) = (probe.log(), Instant::now());
        assert_eq!(call(&exact(), probe, ask()).await.unwrap(), TEXT);
        assert_eq!(times(&log, begun), [0, 1_000], "`{value}` leaves the backoff of a throttled call");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_were_told_the_same_do_not_return_together() {
    let layer = RetryLayer::new().random(Random::seeded(7));
    let probe = after((0..20).map(|_| advised(secs(3))));
    let (log, begun) = (probe.log(), Instant::now());
    let calls = (0..20).map(|_| call(&layer, probe.clone(), ask()));
    let answered = join_all(calls).await.into_iter().filter(Result::is_ok).count();
    // The floor of the quota, and a fifth of the calls: more than these may not return at all.
    assert_eq!(answered, 14);
    let mut returned: Vec<_> = times(&log, begun).split_off(20);
    assert!(returned.iter().all(|at| (3_000..=4_001).contains(at)), "{returned:?}");
    returned.dedup();
    assert!(returned.len() >= 12, "{returned:?}");
}

#[tokio::test(start_paused = true)]
async fn without_advice_the_whole_backoff_is_random() {
    let layer = RetryLayer::new().random(Random::seeded(7)).quota(None);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let probe = after([fail(ErrorKind::Server)]);
        let (log, begun) = (probe.log(), Instant::now());
        call(&layer, probe, ask()).await.unwrap();
        waits.push(times(&log, begun)[1]);
    }
    assert!(waits.iter().all(|wait| *wait <= 250), "{waits:?}");
    let below = waits.iter().filter(|wait| **wait < 125).count();
    assert!((70..130).contains(&below), "{below} of 200 in the lower half");
}

#[tokio::test(start_paused = true)]
async fn rules_differ_by_target() {
    let rules = PerTarget::new(RetryRules::INTERACTIVE)
        .provider("local", RetryRules::INTERACTIVE.base(ms(20)))
        .model("o3", RetryRules::INTERACTIVE.cap(ms(100)));
    let layer = exact().rules(rules);
    let waits = [("openai", "gpt-4o", 250), ("local", "llama", 20), ("openai", "o3", 100)];
    for (provider, model, wait) in waits {
        let probe = after([fail(ErrorKind::Server)]);
        let (log, begun) = (probe.log(), Instant::now());
        call(&layer, probe, ask_of(&Target::new(provider, model))).await.unwrap();
        assert_eq!(times(&log, begun), [0, wait], "{provider}/{model}");
    }
}

// When to stop.

#[tokio::test(start_paused = true)]
async fn advice_beyond_the_deadline_answers_at_once_with_the_hint() {
    let probe = after([advised(secs(10))]);
    let (log, begun, mut request) = (probe.log(), Instant::now(), ask());
    request.context_mut().set_deadline(begun + secs(10));
    let error = call(&exact(), probe, request.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(secs(10))));
    assert_eq!((log.calls(), begun.elapsed()), (1, Duration::ZERO));
    assert_eq!(verdicts(&request), [Some("deadline_too_near")]);
}

#[tokio::test(start_paused = true)]
async fn advice_over_a_minute_answers_at_once_with_the_hint_and_batches_wait_for_it() {
    let layer = exact();
    let probe = after([advised(secs(61))]);
    let (log, begun) = (probe.log(), Instant::now());
    let error = call(&layer, probe, ask()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(secs(61)));
    assert_eq!((log.calls(), begun.elapsed()), (1, Duration::ZERO));
    assert_eq!(layer.handle().stops(Reason::AdviceTooLong), 1);

    let probe = after([advised(secs(600))]);
    let (log, begun) = (probe.log(), Instant::now());
    assert_eq!(call(&RetryLayer::batch().jitter(Jitter::None), probe, ask()).await.unwrap(), TEXT);
    assert_eq!(times(&log, begun), [0, 600_000]);
}

#[tokio::test(start_paused = true)]
async fn interactive_is_the_default_and_a_batch_backs_off_for_longer() {
    let waits = async |layer: RetryLayer| {
        let probe = after((0..9).map(|_| fail(ErrorKind::Server)));
        let (log, begun, request) = (probe.log(), Instant::now(), ask());
        request.context().set_allowance(9);
        call(&layer.jitter(Jitter::None), probe, request).await.unwrap();
        times(&log, begun).windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    let interactive = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000];
    assert_eq!(waits(RetryLayer::new()).await, interactive);
    assert_eq!(waits(RetryLayer::interactive()).await, interactive);
    assert_eq!(waits(RetryLayer::batch()).await, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
}

#[tokio::test(start_paused = true)]
async fn quota_exhausted_at_the_provider_is_one_attempt() {
    let body = br#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let error = llm_wire::error::decode(429, &HeaderMap::new(), body, SystemTime::UNIX_EPOCH);
    assert_eq!(error.kind(), ErrorKind::QuotaExhausted);
    let probe = after([Answer::fail(error)]);
    let (log, request) = (probe.log(), ask());
    assert_eq!(call(&exact(), probe, request.clone()).await.unwrap_err().kind(), ErrorKind::QuotaExhausted);
    assert_eq!(log.calls(), 1);
    assert_eq!(verdicts(&request), [Some("not_retryable")]);
}

#[tokio::test(start_paused = true)]
async fn the_providers_own_word_decides() {
    for (error, calls) in [
        (of(ErrorKind::Server).with_should_retry(false), 1),
        (of(ErrorKind::InvalidRequest).with_should_retry(true), 2),
    ] {
        let probe = after([Answer::fail(error)]);
        let log = probe.log();
        let _ = call(&exact(), probe, ask()).await;
        assert_eq!(log.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_refusals_are_not_retried() {
    for kind in [ErrorKind::CircuitOpen, ErrorKind::BudgetExceeded, ErrorKind::LimitExceeded, ErrorKind::NoRoute] {
        let probe = after([Answer::fail(of(kind).with_retry_after(ms(10)).with_should_retry(true))]);
        let log = probe.log();
        assert_eq!(call(&exact(), probe, ask()).await.unwrap_err().kind(), kind);
        assert_eq!(log.calls(), 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_out_about_a_target_is_not_retried() {
    let probe = after([fail(ErrorKind::Server)]);
    let (log, mut request) = (probe.log(), ask());
    request.context_mut().set_probe(true);
    assert_eq!(call(&exact(), probe, request.clone()).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!((log.calls(), request.context().calls_left()), (1, 2));
    assert_eq!(verdicts(&request), [Some("not_retryable")]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_retry_is_told_as_what_the_provider_failed_with() {
    let open = of(ErrorKind::CircuitOpen).with_retry_after(secs(5));
    let failures = [
        (of(ErrorKind::Server), Some(secs(5))),
        (of(ErrorKind::Server).with_retry_after(secs(1)), Some(secs(5))),
        (of(ErrorKind::RateLimited).with_retry_after(secs(9)), Some(secs(9))),
    ];
    for (failure, hint) in failures {
        let probe = || after([Answer::fail(failure.clone()), Answer::fail(open.clone())]);
        let error = call(&exact(), probe(), ask()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (failure.kind(), hint));
        // The same under tower's own `Retry`.
        let service = ServiceBuilder::new()
            .layer(tower::retry::RetryLayer::new(exact().policy()))
            .service(probe().map_err(BoxError::from));
        let error = Error::from(ends(service.oneshot(ask())).await.unwrap_err());
        assert_eq!((error.kind(), error.retry_after()), (failure.kind(), hint));
    }
    let refused_at_first = call(&exact(), after([Answer::fail(open)]), ask()).await.unwrap_err();
    assert_eq!(refused_at_first.kind(), ErrorKind::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn a_layer_may_be_bounded_below_the_allowance() {
    let layer = exact().rules(RetryRules::INTERACTIVE.most_retries(1));
    let probe = Probe::answering(fail(ErrorKind::Server));
    let (log, request) = (probe.log(), ask());
    call(&layer, probe, request.clone()).await.unwrap_err();
    assert_eq!(log.calls(), 2);
    assert_eq!(verdicts(&request), [Some("retried"), Some("retries_spent")]);
    assert_eq!(request.context().calls_left(), 1);
}

// Before and after content.

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_content_is_retried_and_the_caller_sees_one_start() {
    let early = Frames::new().start().ping().fail(of(ErrorKind::Overloaded));
    let cut = Frames::new().start();
    let probe = after([Answer::stream(early), Answer::stream(cut)]);
    let (log, request) = (probe.log(), ask());
    let response = ends(exact().layer(probe).oneshot(request.clone())).await.unwrap();
    let frames: Vec<_> = response.body.map(Result::unwrap).collect().await;
    let starts =
        frames.iter().flat_map(|frame| frame.events()).filter(|event| matches!(event.event, llm_core::Event::Start(_)));
    assert_eq!(starts.count(), 1);
    assert_eq!(log.calls(), 3);
    assert_eq!(
        log.ends(),
        [AttemptEnd::Failed(ErrorKind::Overloaded), AttemptEnd::Failed(ErrorKind::Interrupted), AttemptEnd::Complete]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retried_after_content() {
    let probe = after([Answer::stream(Frames::cut("Blue ").fail(of(ErrorKind::Overloaded)))]);
    let (log, request) = (probe.log(), ask());
    let error = call(&exact(), probe, request.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::AfterContent));
    sleep(secs(3_600)).await;
    assert_eq!(log.calls(), 1);
    assert_eq!(verdicts(&request), [], "nobody had to decide");
}

#[tokio::test(start_paused = true)]
async fn how_much_is_held_back_is_bounded() {
    let frames = Frames::new().start().ping().ping().fail(of(ErrorKind::Overloaded));
    let layer = exact().hold_back(llm_core::HoldBack { bytes: 0, wait: None }).quota(None);
    let probe = after([Answer::stream(frames)]);
    let log = probe.log();
    let error = call(&layer, probe, ask()).await.unwrap_err();
    assert_eq!((error.kind(), log.calls()), (ErrorKind::Overloaded, 1));
}

// Leaving.

#[tokio::test(start_paused = true)]
async fn who_leaves_during_the_backoff_is_never_called_for_again() {
    let layer = exact();
    let probe = after([advised(secs(30))]).permits(1);
    let log = probe.log();
    let left = timeout(secs(10), call(&layer, probe, ask())).await;
    assert!(left.is_err());
    assert_eq!((log.calls(), log.permits()), (1, 0));
    sleep(secs(86_400)).await;
    assert_eq!((log.calls(), log.permits(), log.ready_polls()), (1, 0, 1));
    assert_eq!(layer.handle().retries(), 1, "it was decided, and then nobody wanted it");
}

#[tokio::test(start_paused = true)]
async fn the_failed_answer_is_dropped_before_the_wait() {
    let failing = || Answer::stream(Frames::new().start().fail(of(ErrorKind::RateLimited).with_retry_after(secs(30))));
    // With a single permit the second attempt would never get one, if the first answer still held it.
    let probe = after([failing()]).permits(1);
    let log = probe.log();
    let layer = exact();
    let mut waiting = std::pin::pin!(call(&layer, probe, ask()));
    assert!(timeout(secs(15), waiting.as_mut()).await.is_err());
    assert_eq!((log.permits(), log.in_flight()), (0, 0));
    assert_eq!(waiting.await.unwrap(), TEXT);
    assert_eq!(log.calls(), 2);
}

// The allowance.

#[tokio::test(start_paused = true)]
async fn a_call_is_three_attempts_at_most() {
    let layer = exact();
    let probe = Probe::answering(fail(ErrorKind::Server));
    let (log, begun, request) = (probe.log(), Instant::now(), ask());
    assert_eq!(call(&layer, probe, request.clone()).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(times(&log, begun), [0, 250, 750]);
    let trail = request.context().trail().attempts();
    let told: Vec<_> =
        trail.iter().map(|attempt| (attempt.reason, attempt.waited.as_millis(), attempt.verdict)).collect();
    assert_eq!(
        told,
        [
            (Again::First, 0, Some("retried")),
            (Again::Retry, 250, Some("retried")),
            (Again::Retry, 500, Some("allowance_spent"))
        ]
    );
    assert!(trail.iter().all(|attempt| attempt.end == Some(AttemptEnd::Failed(ErrorKind::Server))));
    assert_eq!((layer.handle().retries(), layer.handle().stops(Reason::AllowanceSpent)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nested_layers_and_the_callers_client_share_one_allowance() {
    for (made_by_client, calls) in [(0, 3), (1, 2), (2, 1)] {
        let probe = Probe::answering(fail(ErrorKind::Server));
        let (log, request) = (probe.log(), ask());
        request.context().lower_allowance_to(2 - made_by_client);
        let nested = exact().layer(exact().layer(exact().layer(probe)));
        ends(nested.oneshot(request.clone())).await.unwrap_err();
        assert_eq!(log.calls(), calls);
        let numbers: Vec<_> = log.requests().iter().map(|request| request.context().attempt().number).collect();
        assert_eq!(numbers, (0..calls as u32).collect::<Vec<_>>());
        let mut expected = vec![Some("retried"); calls - 1];
        expected.push(Some("allowance_spent"));
        assert_eq!(verdicts(&request), expected, "the outer layers write over nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn untried_candidates_of_a_router_are_left_their_calls() {
    let probe = Probe::answering(fail(ErrorKind::Server));
    let (log, request) = (probe.log(), ask());
    request.context().set_untried_candidates(1);
    call(&exact(), probe, request.clone()).await.unwrap_err();
    assert_eq!((log.calls(), request.context().calls_left()), (2, 1));
    assert_eq!(verdicts(&request), [Some("retried"), Some("left_to_router")]);

    let probe = Probe::answering(advised(ms(1_001)));
    let (log, begun, request) = (probe.log(), Instant::now(), ask());
    request.context().set_untried_candidates(1);
    let error = call(&exact(), probe, request.clone()).await.unwrap_err();
    assert_eq!((log.calls(), begun.elapsed(), error.retry_after()), (1, Duration::ZERO, Some(ms(1_001))));
    assert_eq!(verdicts(&request), [Some("left_to_router")]);
}

// The quota.

/// Calls `model` at this rate for this long while everything fails. The calls that reached it, in each second.
async fn outage(layer: &RetryLayer, every: Duration, calls: u64) -> (Vec<u128>, usize) {
    let probe = Probe::answering(fail(ErrorKind::Server));
    let (log, begun) = (probe.log(), Instant::now());
    let callers = (0..calls as u32).map(|number| {
        let (layer, probe) = (layer.clone(), probe.clone());
        async move {
            sleep(every * number).await;
            assert!(call(&layer, probe, ask()).await.is_err(), "everything fails");
        }
    });
    join_all(callers).await;
    let made = times(&log, begun);
    let retries = log.calls() - calls as usize;
    (made, retries)
}

#[tokio::test(start_paused = true)]
async fn while_everything_fails_the_extra_load_stays_under_the_quota() {
    // Calls a second, calls in all: five minutes and more.
    for (every, calls) in [(secs(10), 60), (secs(1), 300), (ms(100), 3_000), (ms(10), 30_000)] {
        let layer = RetryLayer::new().random(Random::seeded(1));
        let (made, retries) = outage(&layer, every, calls).await;
        let minutes = *made.last().unwrap() as f64 / 60_000.0;
        // A fifth of the calls and one a second, and at the edges a window's worth of the floor.
        let allowed = calls as f64 * 0.2 + minutes * 60.0 / 0.9 + 10.0;
        assert!((retries as f64) <= allowed, "{retries} retries of {calls} calls in {minutes:.1} minutes");
        assert_eq!(layer.handle().retries(), retries as u64);
        // Where the quota does not bind, each call is retried twice; where it does, it is used up.
        let wanted = 2.0 * calls as f64;
        let least = wanted.min(calls as f64 * 0.2 + minutes * 60.0 * 0.9);
        assert!(retries as f64 >= least * 0.9, "{retries} retries of {calls} calls in {minutes:.1} minutes");
        // In no window of nine seconds (those of the quota are nine to ten long) are there more than that allows.
        let first_calls = |from: u128, to: u128| {
            (0..calls as u128).filter(|number| (from..to).contains(&(number * every.as_millis()))).count() as f64
        };
        for from in (0..*made.last().unwrap()).step_by(1_000) {
            let within = made.iter().filter(|at| (from..from + 9_000).contains(at)).count() as f64;
            // Retries are made up to half a second after they are allowed, calls up to ten seconds ago paid for them.
            let extra = within - first_calls(from, from + 9_000);
            assert!(extra <= first_calls(from.saturating_sub(11_000), from + 9_000) * 0.2 + 22.0, "{extra} at {from}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_the_targets_own_and_shared_by_clones_and_services() {
    let layer = exact().quota(RetryQuota::percent(0).per_second(1));
    let failing = || Probe::answering(fail(ErrorKind::Server));
    let (first, second) = (Target::new("openai", "gpt-4o"), Target::new("openai", "gpt-4o").with_key("second"));
    let mut retries = HashMap::new();
    for target in [&first, &first, &second, &first, &first, &first, &first, &second] {
        let (probe, request) = (failing(), ask_of(target));
        let log = probe.log();
        // Each through a service of its own, from the layer or from its clone.
        call(&layer.clone(), probe, request).await.unwrap_err();
        *retries.entry(target).or_insert(0) += log.calls() - 1;
    }
    assert_eq!(retries, HashMap::from([(&first, 10), (&second, 4)]));
    assert_eq!(layer.handle().stops(Reason::QuotaSpent), 1);
    assert_eq!(layer.handle().targets(), 2);
    // What was taken comes back when the window has passed.
    sleep(secs(10)).await;
    let (probe, request) = (failing(), ask_of(&first));
    let log = probe.log();
    call(&layer, probe, request).await.unwrap_err();
    assert_eq!(log.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn successes_pay_for_retries_and_refusals_of_our_own_do_not() {
    for (kind, retried) in [(None, 20), (Some(ErrorKind::CircuitOpen), 0)] {
        let layer = exact().quota(RetryQuota::percent(20).per_second(0));
        for _ in 0..100 {
            let answer = kind.map_or(Answer::text(TEXT), fail);
            let _ = call(&layer, Probe::answering(answer), ask()).await;
        }
        let layer = layer.clone();
        let calls = (0..60).map(|_| call(&layer, Probe::answering(fail(ErrorKind::InvalidRequest)), ask()));
        join_all(calls).await;
        let probe = Probe::answering(Answer::fail(of(ErrorKind::Server).with_retry_after(Duration::ZERO)));
        let (log, calls) = (probe.log(), 40);
        join_all((0..calls).map(|_| call(&layer, probe.clone(), ask()))).await;
        // 100 calls that reached a provider or did not, 60 that it refused, and these 40.
        assert_eq!(log.calls() - calls, retried + 20, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_retry_takes_nothing_from_the_quota() {
    let layer = exact().quota(RetryQuota::percent(0).per_second(1));
    let probe = Probe::answering(fail(ErrorKind::Server));
    let log = probe.log();
    for _ in 0..50 {
        let request = ask();
        request.context().set_allowance(0);
        call(&layer, probe.clone(), request).await.unwrap_err();
    }
    assert_eq!(log.calls(), 50);
    let request = ask();
    request.context().set_allowance(100);
    call(&layer, probe, request).await.unwrap_err();
    assert!(log.calls() - 51 >= 10, "the ten retries of the floor were all there");
}

#[tokio::test(start_paused = true)]
async fn without_a_quota_only_the_allowance_counts() {
    let layer = exact().quota(None);
    let (_, retries) = outage(&layer, ms(10), 1_000).await;
    assert_eq!(retries, 2_000);
    assert_eq!(layer.handle().targets(), 0, "and nothing is kept by target");
}

#[tokio::test(start_paused = true)]
async fn targets_beyond_the_bound_share_a_quota_until_others_are_idle() {
    let layer = exact().quota(RetryQuota::percent(0).per_second(1)).targets(NonZeroUsize::new(2).unwrap());
    let at_once = async |number: u32| {
        let probe = Probe::answering(Answer::fail(of(ErrorKind::Server).with_retry_after(Duration::ZERO)));
        let (log, request) = (probe.log(), ask_of(&Target::new("openai", format!("model-{number}"))));
        request.context().set_allowance(7);
        call(&layer, probe, request).await.unwrap_err();
        log.calls() - 1
    };
    assert_eq!((at_once(1).await, at_once(2).await), (7, 7));
    assert_eq!((at_once(3).await, at_once(4).await), (7, 3), "both take from the same ten");
    assert_eq!(layer.handle().targets(), 2);
    sleep(secs(10)).await;
    assert_eq!((at_once(3).await, at_once(4).await), (7, 7));
    assert_eq!(layer.handle().targets(), 2);
}

// In tower's own stack.

#[tokio::test(start_paused = true)]
async fn the_policy_works_in_towers_own_retry_over_timeout_and_buffer() {
    let layer = exact();
    let probe = after([Answer::hang(), fail(ErrorKind::Overloaded)]);
    let (log, begun, request) = (probe.log(), Instant::now(), ask());
    let stack = ServiceBuilder::new()
        .layer(tower::retry::RetryLayer::new(layer.policy()))
        .buffer::<LlmRequest>(8)
        .timeout(secs(5))
        .service(probe);
    let response: Result<LlmResponse, BoxError> = ends(stack.oneshot(request.clone())).await;
    assert_eq!(response.unwrap().body.collect().await.unwrap().first_text(), TEXT);
    assert_eq!(times(&log, begun), [0, 5_250, 7_250], "an elapsed time limit of tower's is one that may be retried");
    let ends: Vec<_> =
        request.context().trail().attempts().iter().map(|attempt| (attempt.end, attempt.verdict)).collect();
    assert_eq!(
        ends,
        [
            (Some(AttemptEnd::Failed(ErrorKind::Timeout(llm_core::Phase::Head))), Some("retried")),
            (Some(AttemptEnd::Failed(ErrorKind::Overloaded)), Some("retried")),
        ]
    );
    assert_eq!(layer.handle().retries(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_stranger_is_not_retried() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let stranger = service_fn(move |_: LlmRequest| {
        *counted.lock().unwrap() += 1;
        async { Err::<LlmResponse, BoxError>("something else".into()) }
    });
    let stack = ServiceBuilder::new().layer(tower::retry::RetryLayer::new(exact().policy())).service(stranger);
    assert_eq!(stack.oneshot(ask()).await.unwrap_err().to_string(), "something else");
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[derive(Clone)]
struct ReadyOnce {
    was_ready: Arc<Mutex<bool>>,
}

impl Service<LlmRequest> for ReadyOnce {
    type Response = LlmResponse;
    type Error = Error;
    type Future = std::future::Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
        let was_ready = std::mem::replace(&mut *self.was_ready.lock().expect("nobody panics"), true);
        std::task::Poll::Ready(if was_ready { Err(of(ErrorKind::Internal)) } else { Ok(()) })
    }

    fn call(&mut self, _: LlmRequest) -> Self::Future {
        std::future::ready(Err(of(ErrorKind::Overloaded)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_get_ready_for_the_retry_is_the_calls() {
    let request = ask();
    let error = exact().layer(ReadyOnce { was_ready: Arc::default() }).oneshot(request.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(verdicts(&request), [Some("retried")], "the trail still knows what went before");
}

#[tokio::test(start_paused = true)]
async fn readiness_is_passed_through_and_a_second_instance_is_readied_only_for_a_retry() {
    let probe = after([fail(ErrorKind::Server)]).permits(1);
    let log = probe.log();
    let layer = exact();
    let mut service = layer.layer(probe);
    assert!(service.ready().now_or_never().is_some());
    let mut other = service.clone();
    assert!(other.ready().now_or_never().is_none(), "the inner service has one permit only");
    assert_eq!(log.granted(), 1);
    let response = ends(service.call(ask())).await.unwrap();
    assert_eq!(log.granted(), 2);
    drop(response);
    assert_eq!(log.permits(), 0);
}

// Seen by operators.

#[tokio::test(start_paused = true)]
async fn every_decision_is_counted_and_measured_under_its_word() {
    let layer = exact().quota(RetryQuota::percent(0).per_second(1));
    let handle = layer.handle();
    let run = async |answer: Answer, prepare: fn(&mut LlmRequest)| {
        let mut request = ask();
        prepare(&mut request);
        let _ = call(&layer, Probe::answering(answer), request).await;
    };
    run(fail(ErrorKind::InvalidRequest), |_| {}).await;
    run(fail(ErrorKind::Server), |request| request.context().set_allowance(0)).await;
    run(fail(ErrorKind::Server), |request| request.context().set_untried_candidates(2)).await;
    run(advised(secs(61)), |_| {}).await;
    run(fail(ErrorKind::Server), |request| request.context_mut().set_deadline(Instant::now() + ms(1))).await;
    run(Answer::fail(of(ErrorKind::Server).with_retry_after(ms(1))), |request| request.context().set_allowance(99))
        .await;
    let mut seen = HashMap::new();
    handle.measure(&mut |measure| {
        let label = measure.labels.first().map_or("", |(_, value)| value);
        seen.insert((measure.name, label.to_owned()), measure.value);
    });
    let decisions = |word: &str| seen[&("llm.retry.decisions", word.to_owned())];
    for word in
        ["not_retryable", "allowance_spent", "left_to_router", "advice_too_long", "deadline_too_near", "quota_spent"]
    {
        assert_eq!(decisions(word), 1.0, "{word}");
    }
    assert_eq!((decisions("retried"), decisions("retries_spent")), (10.0, 0.0));
    assert_eq!(seen[&("llm.retry.targets", String::new())], 1.0);
}

// From a file.

#[tokio::test(start_paused = true)]
async fn every_setting_of_a_file_does_something() {
    /// When the calls to a model that fails in this way were made, whichever way its answer was asked for.
    async fn made(config: &str, target: Target, answer: Answer, allowance: u32) -> Vec<u128> {
        let mut made = Vec::new();
        for mut request in [ask(), ask_whole()] {
            request.context_mut().set_target(target.clone());
            request.context().set_allowance(allowance);
            let config: RetryConfig = toml::from_str(config).unwrap();
            let layer = RetryLayer::try_from(config).unwrap();
            let probe = Probe::answering(answer.clone());
            let (log, begun) = (probe.log(), Instant::now());
            call(&layer, probe, request).await.unwrap_err();
            made.push(times(&log, begun));
        }
        assert!(made[0] == made[1] || !config.contains("jitter = 'none'"), "{config}: {made:?}");
        made.remove(0)
    }
    let gpt = || Target::new("openai", "gpt-4o");
    let server = || fail(ErrorKind::Server);
    let busy = || fail(ErrorKind::Overloaded);
    assert_eq!(made("jitter = 'none'", gpt(), server(), 2).await, [0, 250, 750]);
    assert_eq!(made("jitter = 'none'\nbase = '10ms'", gpt(), server(), 2).await, [0, 10, 30]);
    assert_eq!(made("jitter = 'none'\nthrottled_base = '2s'", gpt(), busy(), 1).await, [0, 2_000]);
    assert_eq!(made("jitter = 'none'\ncap = '1s'", gpt(), server(), 4).await, [0, 250, 750, 1_750, 2_750]);
    assert_eq!(made("jitter = 'none'\nmost_retries = 1", gpt(), server(), 4).await, [0, 250]);
    assert_eq!(made("jitter = 'none'\nlongest_advice = '1s'", gpt(), advised(ms(1_001)), 2).await, [0]);
    assert_eq!(made("jitter = 'none'\npreset = 'batch'", gpt(), advised(secs(600)), 1).await, [0, 600_000]);
    assert_eq!(made("jitter = 'none'\npreset = 'interactive'", gpt(), advised(secs(61)), 1).await, [0]);
    let providers = "jitter = 'none'\n[providers.local]\nbase = '20ms'\n[models.o3]\nmost_retries = 1\n[models.o4]\nmost_retries = 0";
    assert_eq!(made(providers, Target::new("local", "llama"), server(), 2).await, [0, 20, 60]);
    assert_eq!(made(providers, Target::new("openai", "o3"), server(), 2).await, [0, 250]);
    assert_eq!(made(providers, Target::new("openai", "o4"), server(), 2).await, [0]);
    let at_once = || Answer::fail(of(ErrorKind::Server).with_retry_after(Duration::ZERO));
    let calls = async |config: &str| made(&format!("jitter = 'none'\n{config}"), gpt(), at_once(), 100).await.len();
    assert_eq!(calls("").await, 11, "the floor of ten");
    assert_eq!(calls("quota = { per_second = 2 }").await, 21);
    assert_eq!(calls("quota = { seconds = 5 }").await, 6);
    assert_eq!(calls("quota = { percent = 500, per_second = 0 }").await, 6);
    assert_eq!(calls("quota = { enabled = false }").await, 101);
    let jitter = made("base = '1h'\ncap = '1h'", gpt(), server(), 1).await;
    assert!(jitter[1] < 3_600_000, "full jitter is the default");
    let config: RetryConfig = toml::from_str("targets = 1").unwrap();
    let layer = RetryLayer::try_from(config).unwrap();
    for model in ["one", "two"] {
        let _ = call(&layer, Probe::new(), ask_of(&Target::new("openai", model))).await;
    }
    assert_eq!(layer.handle().targets(), 1);
}
