//! Every fault, as a caller of the service meets it. Time is paused: what takes a minute here takes none.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use llm_core::{AttemptEnd, Body, Error, ErrorKind, LlmRequest, LlmResponse, NanoUsd, Phase, Stage, Target};
use llm_sim::{Ended, FaultRule, FaultScript, ModelConfig, Sim, SimConfig};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

/// Ten tokens: the first after 100 ms, then one every 10 ms.
fn sim() -> Sim {
    let model = ModelConfig {
        first_token: Duration::from_millis(100),
        tokens_per_second: 100.0,
        output_tokens: 10,
        input: Some(1.0),
        output: Some(2.0),
        ..ModelConfig::chat("m")
    };
    Sim::try_from(SimConfig::new([model])).unwrap()
}

fn whole(script: &str) -> LlmRequest {
    let mut request = LlmRequest::chat("m").user("hi").build();
    request.extensions_mut().insert::<FaultScript>(script.parse().unwrap());
    request
}

fn streamed(script: &str) -> LlmRequest {
    let mut request = LlmRequest::chat("m").user("hi").stream().build();
    request.extensions_mut().insert::<FaultScript>(script.parse().unwrap());
    request
}

async fn call(sim: &Sim, request: LlmRequest) -> Result<LlmResponse, Error> {
    sim.clone().oneshot(request).await
}

/// How many pieces of content came, and what came after them.
async fn read(mut body: Body) -> (usize, Result<(), Error>) {
    let mut pieces = 0;
    while let Some(frame) = body.next().await {
        match frame {
            Ok(frame) => pieces += usize::from(frame.is_content()),
            Err(error) => return (pieces, Err(error)),
        }
    }
    (pieces, Ok(()))
}

/// What a stream with this fault brings.
async fn outcome(script: &str) -> (usize, Option<ErrorKind>) {
    let (pieces, end) = read(call(&sim(), streamed(script)).await.unwrap().body).await;
    (pieces, end.err().map(|error| error.kind()))
}

async fn whole_error(script: &str) -> ErrorKind {
    call(&sim(), whole(script)).await.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn without_faults_the_pace_is_as_configured() {
    let (sim, start) = (sim(), Instant::now());
    let plain = LlmRequest::chat("m").user("hi");
    let mut body = call(&sim, plain.clone().stream().build()).await.unwrap().body;
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    while let Some(frame) = body.next().await {
        frame.unwrap();
    }
    // Nine waits of 10 ms; the timer rounds up to a millisecond, once and not nine times.
    let streamed = start.elapsed();
    assert!((190..=192).contains(&streamed.as_millis()), "{streamed:?}");
    call(&sim, plain.build()).await.unwrap();
    assert!(((streamed * 2) - start.elapsed()).as_millis() <= 2, "a whole answer takes as long");
}

#[tokio::test(start_paused = true)]
async fn the_timers_granularity_does_not_slow_a_stream_down() {
    // A token every 3.3 ms, on a timer that counts whole milliseconds.
    let model = ModelConfig { tokens_per_second: 300.0, output_tokens: 301, ..ModelConfig::instant("m") };
    let sim = Sim::try_from(SimConfig::new([model])).unwrap();
    let start = Instant::now();
    let body = call(&sim, LlmRequest::chat("m").user("hi").stream().build()).await.unwrap().body;
    assert_eq!(read(body).await.0, 301);
    assert!((1_000..=1_002).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_status_is_the_error_that_its_headers_and_body_say() {
    let error = call(&sim(), streamed("status 429 retry-after=2")).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(error.target(), Some(&Target::new("sim", "m")));
    assert_eq!(whole_error("status 503").await, ErrorKind::Overloaded);
    assert_eq!(whole_error("status 500").await, ErrorKind::Server);
    assert_eq!(whole_error("status 401").await, ErrorKind::ProviderCredentials);
    let quota = r#"status 429 body='{"error":{"code":"insufficient_quota"}}'"#;
    assert_eq!(whole_error(quota).await, ErrorKind::QuotaExhausted);
}

#[tokio::test(start_paused = true)]
async fn an_error_body_inside_a_200_is_an_error() {
    assert_eq!(whole_error("error-body insufficient_quota").await, ErrorKind::QuotaExhausted);
    assert_eq!(whole_error("error server_is_overloaded after 3").await, ErrorKind::Overloaded);
    assert_eq!(call(&sim(), streamed("error-body server_error")).await.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_everything() {
    let start = Instant::now();
    call(&sim(), streamed("delay 5s")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(5_100));
    call(&sim(), streamed("delay 5s; status 500")).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_millis(10_100));
}

#[tokio::test(start_paused = true)]
async fn a_hang_lasts_until_the_caller_gives_up() {
    let (sim, day) = (sim(), Duration::from_secs(86_400));
    timeout(day, call(&sim, streamed("hang"))).await.unwrap_err();
    timeout(day, call(&sim, whole("hang after 3"))).await.unwrap_err();
    let mut body = call(&sim, streamed("hang after 3")).await.unwrap().body;
    let mut pieces = 0;
    while let Ok(Some(frame)) = timeout(day, body.next()).await {
        pieces += usize::from(frame.unwrap().is_content());
    }
    assert_eq!(pieces, 3);
    drop(body);
    let ends: Vec<_> = sim.log().iter().map(|call| call.ended.unwrap()).collect();
    let left = |after_tokens| Ended::CallerLeft { after_tokens };
    assert_eq!(ends, [left(0), left(0), left(3)]);
}

#[tokio::test(start_paused = true)]
async fn cuts_and_resets_break_the_answer_where_they_are_told() {
    for fault in ["cut", "reset"] {
        assert_eq!(call(&sim(), streamed(fault)).await.unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(outcome(&format!("{fault} after 0")).await, (0, Some(ErrorKind::Interrupted)));
        assert_eq!(outcome(&format!("{fault} after 4")).await, (4, Some(ErrorKind::Interrupted)));
        assert_eq!(outcome(&format!("{fault} after 99")).await, (10, Some(ErrorKind::Interrupted)));
        assert_eq!(whole_error(&format!("{fault} after 4")).await, ErrorKind::Interrupted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_event_comes_before_or_after_content() {
    assert_eq!(outcome("error server_is_overloaded after 0").await, (0, Some(ErrorKind::Overloaded)));
    assert_eq!(outcome("error server_error after 4").await, (4, Some(ErrorKind::Server)));
    let body = call(&sim(), streamed("error server_error after 4")).await.unwrap().body;
    assert_eq!(read(body).await.1.unwrap_err().stage(), Stage::AfterContent);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_its_terminal_event_is_a_failure() {
    assert_eq!(outcome("end after 4").await, (4, Some(ErrorKind::Interrupted)));
    assert_eq!(whole_error("end after 4").await, ErrorKind::Undecodable);
}

#[tokio::test(start_paused = true)]
async fn garbage_cannot_be_decoded() {
    assert_eq!(outcome("garbage after 4").await, (4, Some(ErrorKind::Undecodable)));
    assert_eq!(whole_error("garbage after 4").await, ErrorKind::Undecodable);
}

#[tokio::test(start_paused = true)]
async fn a_stall_delays_the_rest_and_loses_nothing() {
    let start = Instant::now();
    assert_eq!(outcome("stall 30s after 4").await, (10, None));
    assert!((30_190..=30_192).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    call(&sim(), whole("stall 30s after 4")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_bring_frames_without_content_for_ever() {
    let mut body = call(&sim(), streamed("pings 1s")).await.unwrap().body;
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(!body.next().await.unwrap().unwrap().is_content());
    }
    assert!(start.elapsed() > Duration::from_secs(990));
    timeout(Duration::from_secs(3600), call(&sim(), whole("pings 1s"))).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn one_byte_writes_change_nothing_without_a_wire() {
    assert_eq!(outcome("one-byte-writes").await, (10, None));
}

#[tokio::test(start_paused = true)]
async fn rules_hit_the_calls_that_they_name_and_the_request_comes_first() {
    let model = ModelConfig::instant("m")
        .fault(FaultRule::new("status 429 retry-after=1".parse().unwrap()).calls(2..=3))
        .fault(FaultRule::new("status 401".parse().unwrap()).key("dead"))
        .fault(FaultRule::new("status 500".parse().unwrap()).calls(3..=4));
    let sim = Sim::try_from(SimConfig::new([model])).unwrap();
    let plain = || LlmRequest::chat("m").user("hi").build();
    let mut kinds = Vec::new();
    for _ in 0..5 {
        kinds.push(call(&sim, plain()).await.err().map(|error| error.kind()));
    }
    let (limited, server) = (Some(ErrorKind::RateLimited), Some(ErrorKind::Server));
    assert_eq!(kinds, [None, limited, limited, server, None]);

    let mut dead = plain();
    dead.context_mut().set_target(Target::new("sim", "m").with_key("dead"));
    assert_eq!(call(&sim, dead.clone()).await.unwrap_err().kind(), ErrorKind::ProviderCredentials);
    dead.extensions_mut().insert::<FaultScript>("status 504".parse().unwrap());
    assert_eq!(call(&sim, dead).await.unwrap_err().kind(), ErrorKind::Timeout(Phase::Head));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_body_stops_the_answer_and_is_logged() {
    let sim = sim();
    let mut body = call(&sim, LlmRequest::chat("m").user("hi").stream().build()).await.unwrap().body;
    for _ in 0..4 {
        body.next().await.unwrap().unwrap();
    }
    assert_eq!(sim.log()[0].ended, None);
    drop(body);
    let log = sim.until(|log| log[0].ended.is_some()).await;
    assert_eq!(log[0].ended, Some(Ended::CallerLeft { after_tokens: 3 }));
    assert_eq!((log[0].model.as_deref(), sim.requests()), (Some("m"), 1));
}

#[tokio::test(start_paused = true)]
async fn the_trail_says_how_the_attempt_ended_and_what_it_cost() {
    let sim = sim();
    let request = LlmRequest::chat("m").user("hi").build();
    let trail = request.context().trail();
    let output = call(&sim, request).await.unwrap().body.collect().await.unwrap();
    let usage = *output.usage().unwrap();
    let attempt = &trail.attempts()[0];
    assert_eq!((attempt.end, attempt.usage), (Some(AttemptEnd::Complete), Some(usage)));
    assert_eq!(attempt.cost, Some(NanoUsd(usage.input * 1_000 + usage.output * 2_000)));

    let request = streamed("cut after 2");
    let trail = request.context().trail();
    read(call(&sim, request).await.unwrap().body).await.1.unwrap_err();
    assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(ErrorKind::Interrupted)));
    assert_eq!(sim.log()[1].ended, Some(Ended::Faulted));
}

#[tokio::test(start_paused = true)]
async fn the_target_decides_which_model_answers() {
    let sim = Sim::try_from(SimConfig::pool()).unwrap();
    let mut request = LlmRequest::chat("anything").user("hi").build();
    request.context_mut().set_target(Target::new("sim", "deepseek-coder"));
    let response = call(&sim, request).await.unwrap();
    assert_eq!(response.head.model.as_deref(), Some("deepseek-coder"));
    assert!(response.body.collect().await.unwrap().first_text().contains("by deepseek-coder"));
}

#[tokio::test(start_paused = true)]
async fn the_log_of_the_service_holds_on_to_nothing_of_a_prompt() {
    let sim = sim();
    for model in ["m", "unknown"] {
        let text = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        let sent = Bytes::from(text.into_bytes());
        let request = llm_wire::openai::decode_chat(sent.clone()).unwrap();
        if let Ok(response) = call(&sim, request).await {
            response.body.collect().await.unwrap();
        }
        assert!(sent.is_unique(), "{model}");
    }
    let log = sim.log();
    assert!(log.iter().all(|call| call.body.is_empty() && call.headers.is_empty()));
    assert_eq!((log[0].model.as_deref(), log[1].model.as_deref()), (Some("m"), Some("unknown")));
}
