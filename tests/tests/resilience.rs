//! Timeout, retry, hedge and breaker one above the other: what each makes of what the others do.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use axum::Router;
use http::{Request, StatusCode};
use llm_breaker::{BreakerHandle, BreakerLayer, CircuitState};
use llm_core::{AttemptEnd, Error, ErrorKind, Health, HealthState, LlmRequest, Phase, Target};
use llm_retry::{HedgeLayer, Jitter, RetryLayer, hedge::After};
use llm_serve::Door;
use llm_test::{Answer, Frames, Probe, ProbeLog};
use llm_timeout::{Limits, TimeoutLayer};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const TEXT: &str = "Blue light is scattered more than red.";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn target() -> Target {
    Target::new("openai", "gpt-4o")
}

fn ask() -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("Why?").stream().build();
    request.context_mut().set_target(target());
    request
}

fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "scripted"))
}

fn retry() -> RetryLayer {
    RetryLayer::new().jitter(Jitter::None)
}

async fn text<S>(service: S, request: LlmRequest) -> Result<String, Error>
where
    S: Service<LlmRequest, Response = llm_core::LlmResponse, Error = Error>,
{
    Ok(service.oneshot(request).await?.body.collect().await?.first_text())
}

/// Fails a target until its circuit is open.
async fn open(breaker: &BreakerLayer) {
    for _ in 0..8 {
        text(breaker.layer(Probe::answering(fail(ErrorKind::Server))), ask()).await.unwrap_err();
    }
    assert!(matches!(breaker.handle().status(&target()).state, CircuitState::Open { .. }));
}

fn waits(log: &ProbeLog) -> Vec<u64> {
    let times = log.call_times();
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_the_advised_wait_meets_a_target_that_has_cooled() {
    let throttled = Answer::fail(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(secs(7)));
    let probe = Probe::answering(Answer::text(TEXT)).script([throttled]);
    let log = probe.log();
    let breaker = BreakerLayer::new();
    let stack = ServiceBuilder::new().layer(retry()).layer(breaker.clone()).service(probe);
    let call = tokio::spawn(text(stack, ask()));
    sleep(secs(3)).await;
    assert_eq!(breaker.handle().of(&target()), HealthState::Cooling { remaining: secs(4) });
    let other = text(breaker.layer(Probe::new()), ask()).await.unwrap_err();
    assert_eq!((other.kind(), other.retry_after()), (ErrorKind::CircuitOpen, Some(secs(4))), "nobody else goes there");
    assert_eq!(call.await.unwrap().unwrap(), TEXT);
    assert_eq!(waits(&log), [7]);
}

#[tokio::test(start_paused = true)]
async fn when_the_circuit_opens_between_two_attempts_the_caller_hears_of_the_failure() {
    let breaker = BreakerLayer::new();
    for _ in 0..7 {
        text(breaker.layer(Probe::answering(fail(ErrorKind::Server))), ask()).await.unwrap_err();
    }
    let probe = Probe::answering(fail(ErrorKind::Server));
    let log = probe.log();
    let request = ask();
    let trail = request.context().trail();
    let error = text(ServiceBuilder::new().layer(retry()).layer(breaker).service(probe), request).await.unwrap_err();
    assert_eq!((error.kind(), log.calls()), (ErrorKind::Server, 1));
    assert!(error.retry_after().unwrap() > secs(3), "not before the circuit is tried: {:?}", error.retry_after());
    let attempts = trail.attempts();
    let ends: Vec<_> = attempts.iter().map(|attempt| (attempt.end.unwrap(), attempt.verdict)).collect();
    let expected = [
        (AttemptEnd::Failed(ErrorKind::Server), Some("retried")),
        (AttemptEnd::Failed(ErrorKind::CircuitOpen), Some("not_retryable")),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_counts_and_what_the_caller_cut_short_does_not() {
    let breaker = BreakerLayer::new();
    let stack = |limits: Limits, answer: Answer| {
        ServiceBuilder::new()
            .layer(breaker.clone())
            .layer(TimeoutLayer::new().limits(limits))
            .service(Probe::answering(answer))
    };
    let silent = || Answer::stream(Frames::new().start().hang());
    for _ in 0..20 {
        let mut request = ask();
        request.context_mut().set_deadline(Instant::now() + secs(10));
        let error = text(stack(Limits::interactive(), silent()), request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
    assert_eq!(breaker.handle().status(&target()).score, 0);
    let mut late = 0;
    while breaker.handle().of(&target()) == HealthState::Healthy {
        let error = text(stack(Limits::interactive(), silent()), ask()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::FirstContent));
        late += 1;
    }
    // A first content that does not come weighs one and a half.
    assert_eq!(late, 5);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_after_content_is_no_retry_but_a_failure_of_its_target() {
    let breaker = BreakerLayer::new();
    let stalls = Probe::answering(Answer::stream(Frames::new().start().words(TEXT).hang()));
    let log = stalls.log();
    let stack = ServiceBuilder::new().layer(retry()).layer(breaker.clone()).layer(TimeoutLayer::new()).service(stalls);
    for calls in 1..=8 {
        let error = text(stack.clone(), ask()).await.unwrap_err();
        assert_eq!((error.kind(), log.calls()), (ErrorKind::Timeout(Phase::Idle), calls));
    }
    assert_eq!(text(stack, ask()).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn nobody_hedges_at_a_target_that_is_not_well() {
    let breaker = BreakerLayer::new();
    open(&breaker).await;
    sleep(secs(7)).await;
    // The one call that is let through is a probe, and late.
    let probe = Probe::answering(Answer::text(TEXT).after(secs(30)));
    let log = probe.log();
    let hedge = HedgeLayer::new().after(After::Fixed(secs(1))).health(Arc::new(breaker.handle()));
    let stack = ServiceBuilder::new().layer(hedge).layer(breaker).service(probe);
    assert_eq!(text(stack, ask()).await.unwrap(), TEXT);
    assert_eq!(log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn hedge_and_retry_share_the_allowance() {
    // Every attempt fails after a time in which a hedge is started.
    let probe = Probe::answering(fail(ErrorKind::Server).after(secs(2)));
    let log = probe.log();
    let hedge = HedgeLayer::new().after(After::Fixed(secs(1)));
    let stack = ServiceBuilder::new().layer(hedge).layer(retry()).service(probe);
    // The hedge's bucket is filled by calls.
    for _ in 0..30 {
        let before = log.calls();
        assert_eq!(text(stack.clone(), ask()).await.unwrap_err().kind(), ErrorKind::Server);
        assert!(log.calls() - before <= 3, "three attempts in all, whoever makes them");
    }
}

/// One layer value on two routes: axum applies it to each.
#[tokio::test]
async fn circuits_are_shared_by_the_routes_of_an_axum_app() {
    let breaker = BreakerLayer::new();
    let handle: BreakerHandle = breaker.handle();
    let down = || Probe::answering(fail(ErrorKind::Server));
    let app = Router::new()
        .route_service("/v1/chat/completions", Door::chat_completions(breaker.layer(down())))
        .route_service("/v1/messages", Door::messages(breaker.layer(down())));
    let post = |path: &str| {
        let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let request = Request::post(path).header("content-type", "application/json").body(body.to_owned()).unwrap();
        let app = app.clone();
        async move { app.oneshot(request).await.unwrap() }
    };
    for _ in 0..4 {
        assert_eq!(post("/v1/chat/completions").await.status(), StatusCode::BAD_GATEWAY);
        assert!(post("/v1/messages").await.headers()["x-llm-error-kind"] == "server");
    }
    assert_eq!(handle.list().len(), 1, "the model has one circuit");
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let response = post(path).await;
        assert_eq!(response.headers()["x-llm-error-kind"], "circuit_open", "{path}");
        assert!(response.headers().contains_key("retry-after"), "{path}");
    }
}
