//! The router above retry, hedge and breaker, and the fallback above all: what each makes of what the others do.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use llm_breaker::{BreakerHandle, BreakerLayer};
use llm_core::{
    Again, AttemptEnd, BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Sensitivity, Served, Target,
    catalog::Catalog,
};
use llm_fallback::{Answer as Last, FallbackLayer, When};
use llm_retry::{HedgeLayer, Jitter, RetryLayer, hedge::After};
use llm_router::{Dispatch, ProviderEntry, RouterLayer, Targets};
use llm_test::{Answer, Probe, ProbeLog};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

const NAMES: [&str; 3] = ["first", "second", "third"];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "scripted"))
}

fn ok() -> Answer {
    Answer::text("fine")
}

/// Three providers that answer as they are told, the last of them local, and a stack over them.
struct Setting {
    logs: [ProbeLog; 3],
    breaker: BreakerHandle,
    service: BoxLlmService,
}

impl Setting {
    /// Each provider gives these answers, one a call, and the last of them from then on.
    fn new(answers: [Vec<Answer>; 3]) -> Self {
        Self::with(answers, None)
    }

    fn with(answers: [Vec<Answer>; 3], hedge: Option<HedgeLayer>) -> Self {
        let mut targets = Targets::new(Arc::new(Catalog::new()));
        let mut dispatch = Dispatch::new().local("third");
        let probes = answers.map(|mut answers| {
            let last = answers.pop().expect("each provider has an answer");
            Probe::answering(last).script(answers)
        });
        let logs = probes.each_ref().map(Probe::log);
        for (name, probe) in NAMES.into_iter().zip(probes) {
            let entry = ProviderEntry::new(name).models(["m"]);
            targets = targets.provider(if name == "third" { entry.local() } else { entry });
            dispatch = dispatch.provider(name, probe, ["m"]);
        }
        let breaker = BreakerLayer::new();
        let handle = breaker.handle();
        let service = ServiceBuilder::new()
            .layer(RouterLayer::new(targets).health(Arc::new(handle.clone())))
            .option_layer(hedge)
            .layer(RetryLayer::new().jitter(Jitter::None))
            .layer(breaker)
            .service(dispatch);
        Self { logs, breaker: handle, service: BoxLlmService::new(service) }
    }

    fn calls(&self) -> [usize; 3] {
        self.logs.each_ref().map(ProbeLog::calls)
    }

    async fn send(&self, request: LlmRequest) -> Result<(LlmResponse, String), Error> {
        let LlmResponse { head, body } = self.service.clone().oneshot(request).await?;
        let text = body.collect().await?.first_text();
        Ok((LlmResponse::new(head, llm_core::Body::full(llm_core::Output::text(""))), text))
    }

    fn open(&self, name: &str) {
        assert!(self.breaker.force_open(&Target::new(name, "m")));
    }
}

fn ask() -> LlmRequest {
    LlmRequest::chat("m").user("hi").stream().build()
}

/// The reasons and ends of a call's attempts that have failed.
fn trail(request: &LlmRequest) -> Vec<(Again, Option<AttemptEnd>)> {
    request.context().trail().attempts().iter().map(|attempt| (attempt.reason, attempt.end)).collect()
}

#[tokio::test(start_paused = true)]
async fn with_the_default_allowance_a_chain_of_three_is_tried_to_its_end_at_once() {
    let down = || vec![fail(ErrorKind::Overloaded)];
    let setting = Setting::new([down(), down(), vec![ok()]]);
    let (request, begun) = (ask(), Instant::now());
    let (response, text) = setting.send(request.clone()).await.unwrap();
    assert_eq!((&*text, setting.calls(), response.head.served), ("fine", [1, 1, 1], Served::Substitute));
    assert!(begun.elapsed() < secs(1), "nobody waits for a target while another is untried");
    let failed = Some(AttemptEnd::Failed(ErrorKind::Overloaded));
    assert_eq!(trail(&request), [(Again::First, failed), (Again::Failover, failed)]);
}

#[tokio::test(start_paused = true)]
async fn what_targets_with_open_circuits_leave_of_the_allowance_is_for_retries() {
    let setting = Setting::new([vec![ok()], vec![ok()], vec![fail(ErrorKind::Server), fail(ErrorKind::Server), ok()]]);
    setting.open("first");
    setting.open("second");
    let request = ask();
    let (_, text) = setting.send(request.clone()).await.unwrap();
    assert_eq!((&*text, setting.calls()), ("fine", [0, 0, 3]));
    let reasons: Vec<_> = setting.logs[2].requests().iter().map(|made| made.context().attempt().reason).collect();
    assert_eq!(reasons, [Again::First, Again::Retry, Again::Retry]);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_on_the_way_takes_nothing_from_the_failover() {
    let setting = Setting::new([vec![fail(ErrorKind::Server)], vec![fail(ErrorKind::Server)], vec![ok()]]);
    // Enough failures that the next one opens both circuits.
    for _ in 0..20 {
        let request = ask();
        let (_, text) = setting.send(request).await.unwrap();
        assert_eq!(text, "fine");
    }
    let [first, second, third] = setting.calls();
    assert!(first < 20 && second < 20, "their circuits are open: {first} {second}");
    assert_eq!(third, 20);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_our_own_is_no_reason_to_go_elsewhere() {
    let limited = Answer::fail(Error::new(ErrorKind::LimitExceeded, "too many calls").with_retry_after(secs(3)));
    let setting = Setting::new([vec![limited], vec![ok()], vec![ok()]]);
    let error = setting.send(ask()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after(), setting.calls()),
        (ErrorKind::LimitExceeded, Some(secs(3)), [1, 0, 0])
    );
    let throttled = Answer::fail(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(secs(30)));
    let setting = Setting::new([vec![throttled], vec![ok()], vec![ok()]]);
    setting.send(ask()).await.unwrap();
    setting.send(ask()).await.unwrap();
    assert_eq!(setting.calls(), [1, 2, 0], "the provider's own has it cool down");
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_call_stays_local_through_failover_hedge_and_fallback() {
    let hedge = || {
        HedgeLayer::new()
            .after(After::Fixed(secs(1)))
            .alternatives(|_: &Target, _: &LlmRequest| Some(Target::new("first", "m")))
    };
    for last in [vec![fail(ErrorKind::Server)], vec![ok().after(secs(5))]] {
        let setting = Setting::with([vec![ok()], vec![ok()], last], Some(hedge()));
        let elsewhere = setting.service.clone().map_request(|mut request: LlmRequest| {
            request.context_mut().set_target(Target::new("second", "m"));
            request
        });
        let layer = FallbackLayer::new().case(When::new(), Last::local_service(elsewhere));
        let service = ServiceBuilder::new().layer(layer).service(setting.service.clone());
        let mut request = ask();
        request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        let _ = service.oneshot(request).await.map(|response| response.body.collect());
        let [first, second, third] = setting.calls();
        assert_eq!((first, second, third > 0), (0, 0, true), "though two providers would have answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_has_one_call_when_everything_else_is_spent() {
    let down = || vec![fail(ErrorKind::Server)];
    let setting = Setting::new([down(), down(), down()]);
    let last = Probe::new();
    let log = last.log();
    let layer = FallbackLayer::new().case(When::new(), Last::service(last));
    let service = ServiceBuilder::new().layer(layer).service(setting.service.clone());
    let request = ask();
    let response = service.oneshot(request.clone()).await.unwrap();
    assert_eq!((response.head.served, log.calls(), setting.calls()), (Served::Degraded, 1, [1, 1, 1]));
    assert_eq!(log.requests()[0].context().attempt().reason, Again::Fallback);
    assert_eq!(request.context().calls_left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_leaves_nothing_in_flight() {
    let setting = Setting::new([vec![Answer::hang()], vec![ok()], vec![ok()]]);
    let call = tokio::spawn(setting.service.clone().oneshot(ask()));
    tokio::time::sleep(secs(1)).await;
    assert_eq!(setting.calls(), [1, 0, 0]);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(setting.logs.iter().all(|log| log.in_flight() == 0));
}
