//! Stories of hedges on paused time: how many calls are made, when and where, and what the caller gets.

use std::{
    collections::HashMap,
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::join_all};
use llm_core::{
    Again, AttemptEnd, Error, ErrorKind, Frame, Head, Health, HealthState, LlmRequest, LlmResponse, Measures, Observer,
    Outcome, Payload, PerTarget, Random, Sensitivity, Target, watch,
};
use llm_retry::{
    HedgeConfig, HedgeLayer, Jitter, RetryLayer,
    hedge::{After, HedgeEvent, HedgeQuota},
};
use llm_test::{Answer, Frames, Probe, ProbeLog};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const TEXT: &str = "Blue light is scattered more than red.";
const DELAY: Duration = Duration::from_secs(2);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Late after two seconds, and with a hedge for every call.
fn fixed() -> HedgeLayer {
    HedgeLayer::new().after(After::Fixed(DELAY)).quota(HedgeQuota::percent(100))
}

fn of(kind: ErrorKind) -> Error {
    Error::new(kind, "the scripted failure")
}

fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(of(kind))
}

fn openai() -> Target {
    Target::new("openai", "gpt-4o").with_key("first")
}

fn ask() -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("Why?").stream().build();
    request.context_mut().set_target(openai());
    request
}

fn ask_whole() -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("Why?").build();
    request.context_mut().set_target(openai());
    request
}

/// Answers from this script, then never again.
fn script(answers: impl IntoIterator<Item = Answer>) -> Probe {
    Probe::answering(Answer::hang()).script(answers)
}

/// What comes of it. One that nothing ends fails after days, instead of hanging for ever.
async fn ends<F: Future>(future: F) -> F::Output {
    timeout(secs(1_000_000), future).await.expect("everything ends within days")
}

async fn call(layer: &HedgeLayer, probe: Probe, request: LlmRequest) -> Result<String, Error> {
    let read = async { Ok(layer.layer(probe).oneshot(request).await?.body.collect().await?.first_text()) };
    ends(read).await
}

/// When the calls were made, in milliseconds since `begun`.
fn times(log: &ProbeLog, begun: Instant) -> Vec<u128> {
    log.call_times().iter().map(|at| at.duration_since(begun).as_millis()).collect()
}

fn targets(log: &ProbeLog) -> Vec<String> {
    log.requests().iter().map(|request| request.target_or_model().to_string()).collect()
}

// Who wins.

#[tokio::test(start_paused = true)]
async fn a_call_in_time_is_made_once() {
    for request in [ask(), LlmRequest::chat("gpt-4o").user("Why?").build()] {
        let layer = fixed();
        let probe = script([Answer::text(TEXT).after(DELAY - Duration::from_millis(1))]);
        let log = probe.log();
        assert_eq!(call(&layer, probe, request).await.unwrap(), TEXT);
        sleep(secs(60)).await;
        assert_eq!((log.calls(), layer.handle().count(HedgeEvent::Started)), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_attempt_wins_with_its_content_and_the_first_is_dropped_at_once() {
    let layer = fixed();
    let slow = Answer::stream(Frames::new().start().wait(secs(60)).words(TEXT).finish().last());
    let probe = script([slow, Answer::text(TEXT).after(secs(1))]);
    let (log, begun, request) = (probe.log(), Instant::now(), ask());
    let response = ends(layer.layer(probe).oneshot(request.clone())).await.unwrap();
    assert_eq!(begun.elapsed(), secs(3));
    assert_eq!(times(&log, begun), [0, 2_000]);
    assert_eq!((log.in_flight(), log.ends()), (1, vec![AttemptEnd::Abandoned]), "before anything of it was read");
    let frames: Vec<Frame> = response.body.map(Result::unwrap).collect().await;
    let starts = frames.iter().flat_map(Frame::events).filter(|event| matches!(event.event, llm_core::Event::Start(_)));
    assert_eq!(starts.count(), 1);
    let attempt = log.requests()[1].context().attempt();
    assert_eq!((attempt.number, attempt.reason, attempt.waited), (1, Again::Hedge, DELAY));
    assert_eq!(request.context().calls_left(), 1);
    assert_eq!((layer.handle().count(HedgeEvent::Won), layer.handle().count(HedgeEvent::Lost)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_may_still_win() {
    let layer = fixed();
    let probe = script([Answer::text(TEXT).after(secs(3)), Answer::text("too late").after(secs(5))]);
    let (log, begun) = (probe.log(), Instant::now());
    let response = ends(layer.layer(probe).oneshot(ask())).await.unwrap();
    assert_eq!((begun.elapsed(), log.futures_dropped()), (secs(3), 1));
    assert_eq!(response.body.collect().await.unwrap().first_text(), TEXT);
    assert_eq!((layer.handle().count(HedgeEvent::Started), layer.handle().count(HedgeEvent::Lost)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_head_without_content_is_late_all_the_same() {
    let probe = script([Answer::stream(Frames::pings_only(100, secs(1))), Answer::text(TEXT)]);
    let (log, begun) = (probe.log(), Instant::now());
    assert_eq!(call(&fixed(), probe, ask()).await.unwrap(), TEXT);
    assert_eq!((times(&log, begun), log.bodies_dropped()), (vec![0, 2_000], 1));
}

#[tokio::test(start_paused = true)]
async fn how_much_is_held_back_is_bounded() {
    let layer = fixed().hold_back(llm_core::HoldBack { bytes: 0, wait: None }).quota(HedgeQuota::percent(100));
    let probe = script([Answer::stream(Frames::new().start().wait(secs(60)).words(TEXT).finish().last())]);
    let log = probe.log();
    assert_eq!(call(&layer, probe, ask()).await.unwrap(), TEXT);
    assert_eq!(log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn whole_answers_are_hedged_and_a_count_of_tokens_is_not() {
    let layer = fixed();
    let whole = LlmRequest::chat("gpt-4o").user("Why?").build();
    let probe = script([Answer::hang(), Answer::text(TEXT)]);
    let begun = Instant::now();
    let response = ends(layer.layer(probe).oneshot(whole.clone())).await.unwrap();
    assert!(response.body.is_full());
    assert_eq!(begun.elapsed(), DELAY);

    let Payload::Chat(chat) = whole.payload().clone() else { unreachable!("it is a chat") };
    let count = LlmRequest::new("gpt-4o", Payload::CountTokens(chat));
    let probe = script([Answer::text("17").after(secs(60))]);
    let log = probe.log();
    call(&layer, probe, count).await.unwrap();
    assert_eq!(log.calls(), 1);
}

// Failures.

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_delay_is_the_calls_at_once() {
    let probe = script([fail(ErrorKind::Overloaded), Answer::text(TEXT)]);
    let (log, begun) = (probe.log(), Instant::now());
    assert_eq!(call(&fixed(), probe, ask()).await.unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!((log.calls(), begun.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn with_both_under_way_the_failure_of_one_waits_for_the_other() {
    let late = |kind| fail(kind).after(secs(3));
    for (first, second, event) in [
        (late(ErrorKind::Server), Answer::text(TEXT).after(secs(5)), HedgeEvent::Won),
        (Answer::text(TEXT).after(secs(7)), fail(ErrorKind::Server), HedgeEvent::Lost),
    ] {
        let layer = fixed();
        let probe = script([first, second]).permits(2);
        let (log, begun) = (probe.log(), Instant::now());
        assert_eq!(call(&layer, probe, ask()).await.unwrap(), TEXT);
        assert_eq!((log.calls(), begun.elapsed()), (2, secs(7)));
        assert_eq!(layer.handle().count(event), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_it_is_the_last_failure_of_a_provider_with_the_smaller_advice() {
    let advised = |kind, wait| Answer::fail(of(kind).with_retry_after(secs(wait)).with_status(500));
    let cases = [
        (advised(ErrorKind::RateLimited, 30), advised(ErrorKind::Overloaded, 10), ErrorKind::RateLimited, 10),
        (advised(ErrorKind::RateLimited, 10), advised(ErrorKind::Overloaded, 30), ErrorKind::RateLimited, 10),
        (advised(ErrorKind::CircuitOpen, 5), advised(ErrorKind::Overloaded, 30), ErrorKind::Overloaded, 5),
        (advised(ErrorKind::CircuitOpen, 5), fail(ErrorKind::CircuitOpen), ErrorKind::CircuitOpen, 5),
    ];
    for (later, earlier, kind, advice) in cases {
        let layer = fixed();
        let probe = script([later.after(secs(9)), earlier]);
        let (log, begun, request) = (probe.log(), Instant::now(), ask());
        let error = call(&layer, probe, request.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (kind, Some(secs(advice))));
        assert_eq!((log.calls(), begun.elapsed()), (2, secs(9)));
        assert_eq!(layer.handle().count(HedgeEvent::Failed), 1);
        assert!(
            request
                .context()
                .trail()
                .attempts()
                .iter()
                .all(|attempt| matches!(attempt.end, Some(AttemptEnd::Failed(_))))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_after_content() {
    let probe =
        script([Answer::stream(Frames::new().start().text("Blue ").wait(secs(60)).text("light.").finish().last())]);
    let log = probe.log();
    assert_eq!(call(&fixed(), probe, ask()).await.unwrap(), "Blue light.");
    assert_eq!(log.calls(), 1);
}

// Leaving.

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_both_attempts_along() {
    for leaves_after in [secs(1), secs(3)] {
        let layer = fixed();
        let probe = script([]).permits(2);
        let log = probe.log();
        assert!(timeout(leaves_after, call(&layer, probe, ask())).await.is_err());
        let made = log.calls();
        assert_eq!((made, log.permits()), (if leaves_after < DELAY { 1 } else { 2 }, 0));
        sleep(secs(3_600)).await;
        assert_eq!((log.calls(), log.permits()), (made, 0), "and nothing is ever begun for them");
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_the_second_waits_to_get_ready_leaves_nothing_waiting() {
    let layer = fixed();
    // The first attempt has the only permit, so the second never gets ready.
    let probe = script([]).permits(1);
    let log = probe.log();
    assert!(timeout(secs(10), call(&layer, probe, ask())).await.is_err());
    assert_eq!((log.calls(), log.permits()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_either_attempt_releases_both() {
    for answers in [
        [Answer::panic_in_future().after(secs(3)), Answer::hang()],
        [Answer::hang(), Answer::panic_in_future().after(secs(1))],
        [Answer::hang(), Answer::panic_in_call()],
    ] {
        let layer = fixed();
        let probe = script(answers).permits(2);
        let log = probe.log();
        let outcome = std::panic::AssertUnwindSafe(call(&layer, probe, ask())).catch_unwind().await;
        assert!(outcome.is_err());
        assert_eq!((log.calls(), log.permits()), (2, 0));
    }
}

// Where the second goes.

/// An edge: it answers as its target says, notes the attempt in the trail, and its prompt costs 100 tokens.
fn edge(
    slow: &'static str,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone + Send + 'static {
    struct Note(LlmRequest);
    impl Observer for Note {
        fn on_end(&mut self, outcome: &Outcome<'_>) {
            let context = self.0.context();
            context.trail().begin(context.attempt(), context.target());
            context.trail().update(context.attempt().number, |record| {
                record.end = Some(outcome.to_end());
                record.usage = Some(outcome.progress().usage());
            });
        }
    }
    service_fn(move |request: LlmRequest| {
        let target = request.context().target().cloned();
        let is_slow = target.as_ref().is_some_and(|target| target.key() == Some(slow));
        let answer = async move {
            sleep(if is_slow { secs(60) } else { Duration::ZERO }).await;
            Ok::<_, Error>(LlmResponse::new(Head { target, ..Head::default() }, Frames::answer(TEXT).into_body()))
        };
        watch(&request.clone(), answer, Note(request))
    })
}

fn second_key(target: &Target, _: &LlmRequest) -> Option<Target> {
    (target.key() == Some("first")).then(|| target.clone().with_key("second"))
}

#[tokio::test(start_paused = true)]
async fn another_key_answers_and_head_and_trail_say_so() {
    let layer = fixed().alternatives(second_key);
    let request = ask();
    let response = ends(layer.layer(edge("first")).oneshot(request.clone())).await.unwrap();
    let second = openai().with_key("second");
    assert_eq!(response.head.target, Some(second.clone()));
    response.body.collect().await.unwrap();
    let attempts = request.context().trail().attempts();
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.reason, attempt.target.clone(), attempt.end)).collect();
    assert_eq!(
        told,
        [
            (Again::First, Some(openai()), Some(AttemptEnd::Abandoned)),
            (Again::Hedge, Some(second), Some(AttemptEnd::Complete))
        ]
    );
    assert!(attempts.iter().all(|attempt| attempt.usage.is_some_and(|usage| usage.input > 0)), "both are paid for");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_names_no_target_is_given_the_winners() {
    for (alternatives, expected) in [(true, "openai/gpt-4o#second"), (false, "openai/gpt-4o#first")] {
        let layer = if alternatives { fixed().alternatives(second_key) } else { fixed() };
        let probe = script([Answer::hang(), Answer::text(TEXT)]);
        let log = probe.log();
        let response = ends(layer.layer(probe).oneshot(ask())).await.unwrap();
        assert_eq!(response.head.target.map(|target| target.to_string()).as_deref(), Some(expected));
        assert_eq!(targets(&log), ["openai/gpt-4o#first", expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_request_goes_to_another_key_and_never_to_another_provider_or_model() {
    let elsewhere = |other: Target| {
        let alternatives = move |_: &Target, _: &LlmRequest| Some(other.clone());
        async move {
            let probe = script([Answer::hang(), Answer::text(TEXT)]);
            let (log, mut request) = (probe.log(), ask());
            request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
            call(&fixed().alternatives(alternatives), probe, request).await.unwrap();
            targets(&log)[1].clone()
        }
    };
    assert_eq!(elsewhere(openai().with_key("second")).await, "openai/gpt-4o#second");
    assert_eq!(elsewhere(Target::new("azure", "gpt-4o")).await, "openai/gpt-4o#first");
    assert_eq!(elsewhere(Target::new("openai", "gpt-4o-mini")).await, "openai/gpt-4o#first");
}

#[tokio::test(start_paused = true)]
async fn without_a_target_in_the_context_the_same_model_is_asked_again() {
    let probe = script([Answer::hang(), Answer::text(TEXT)]);
    let log = probe.log();
    let request = LlmRequest::chat("gpt-4o").user("Why?").stream().build();
    call(&fixed().alternatives(second_key), probe, request).await.unwrap();
    assert_eq!(targets(&log), ["gpt-4o", "gpt-4o"]);
}

// What stops a hedge.

struct Sick(&'static str, HealthState);

impl Health for Sick {
    fn of(&self, target: &Target) -> HealthState {
        if target.key() == Some(self.0) { self.1 } else { HealthState::Healthy }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_healthy_is_not_hedged() {
    let remaining = secs(5);
    for state in [HealthState::Cooling { remaining }, HealthState::Open { remaining }, HealthState::Probing] {
        let layer = fixed().health(Arc::new(Sick("first", state))).alternatives(second_key);
        let probe = script([Answer::text(TEXT).after(secs(10))]);
        let log = probe.log();
        call(&layer, probe, ask()).await.unwrap();
        assert_eq!((log.calls(), layer.handle().count(HedgeEvent::Unhealthy)), (1, 1), "{state:?}");

        let layer = fixed().health(Arc::new(Sick("second", state))).alternatives(second_key);
        let probe = script([Answer::hang(), Answer::text(TEXT)]);
        let log = probe.log();
        call(&layer, probe, ask()).await.unwrap();
        assert_eq!(targets(&log), ["openai/gpt-4o#first"; 2], "an alternative that is not healthy is none");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_for_a_caller_who_has_stopped_waiting() {
    for (left, calls) in [(DELAY, 1), (DELAY + secs(1), 2)] {
        let probe = script([]);
        let (log, mut request) = (probe.log(), ask());
        request.context_mut().set_deadline(Instant::now() + left);
        let layer = fixed();
        assert!(timeout(secs(60), call(&layer, probe, request)).await.is_err());
        assert_eq!(log.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_out_about_a_target_is_not_hedged() {
    let layer = fixed();
    let probe = script([Answer::text(TEXT).after(secs(10))]);
    let (log, mut request) = (probe.log(), ask());
    request.context_mut().set_probe(true);
    call(&layer, probe, request).await.unwrap();
    assert_eq!((log.calls(), layer.handle().count(HedgeEvent::Unhealthy)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_and_the_retries_below_it_share_one_allowance() {
    // The first attempt is throttled and waits for its retry; so when the hedge fails, no call is left for another.
    let retry = RetryLayer::new().jitter(Jitter::None);
    let advised = |seconds| Answer::fail(of(ErrorKind::RateLimited).with_retry_after(secs(seconds)));
    let probe = script([advised(50), fail(ErrorKind::Server), fail(ErrorKind::Overloaded)]);
    let (log, begun, request) = (probe.log(), Instant::now(), ask());
    let stack = ServiceBuilder::new().layer(fixed()).layer(retry).service(probe);
    let error = ends(stack.oneshot(request.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "the last one of a provider");
    assert_eq!(times(&log, begun), [0, 2_000, 50_000]);
    assert_eq!(request.context().calls_left(), 0);
    let attempts = request.context().trail().attempts();
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.reason, attempt.verdict)).collect();
    assert_eq!(
        told,
        [
            (Again::First, Some("retried")),
            (Again::Retry, Some("allowance_spent")),
            (Again::Hedge, Some("allowance_spent"))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_call_left_for_it_there_is_no_hedge_and_the_quota_keeps_its_token() {
    // Two calls pay for one hedge.
    let layer = fixed().quota(HedgeQuota::percent(50));
    let late = async |prepare: fn(&LlmRequest)| {
        let (probe, request) = (script([Answer::text(TEXT).after(secs(10))]), ask());
        let log = probe.log();
        prepare(&request);
        call(&layer, probe, request).await.unwrap();
        log.calls() - 1
    };
    assert_eq!(late(|_| {}).await, 0);
    assert_eq!(late(|request| request.context().set_allowance(0)).await, 0);
    assert_eq!(late(|request| request.context().set_untried_candidates(2)).await, 0);
    assert_eq!(layer.handle().count(HedgeEvent::AllowanceSpent), 2);
    assert_eq!((late(|_| {}).await, late(|_| {}).await), (1, 1), "five calls have paid for two");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_begins_empty_fills_with_calls_and_is_the_targets_own() {
    let layer = HedgeLayer::new().after(After::Fixed(DELAY));
    let late = async |request: LlmRequest| {
        let probe = Probe::answering(Answer::text(TEXT).after(secs(3)));
        let log = probe.log();
        call(&layer, probe, request).await.unwrap();
        log.calls() - 1
    };
    let mut hedges = 0;
    for number in 1..=40 {
        hedges += late(ask()).await;
        assert_eq!(hedges, number / 10, "after {number} calls, each of them late");
    }
    assert_eq!(layer.handle().count(HedgeEvent::QuotaSpent), 36);
    for _ in 0..200 {
        call(&layer, Probe::answering(Answer::text(TEXT)), ask()).await.unwrap();
    }
    let mut other = ask();
    other.context_mut().set_target(Target::new("openai", "gpt-4o").with_key("second"));
    assert_eq!(late(other).await, 0, "what one target has saved is not another's");
    let mut burst = 0;
    for _ in 0..9 {
        burst += late(ask()).await;
    }
    assert_eq!(burst, 9, "and it holds ten");
}

// The observed delay.

/// A provider whose first content takes as long as it is told.
#[derive(Clone)]
struct Slow {
    random: Random,
    median: f64,
    /// The share of its calls that take 8 to 25 times as long.
    stragglers: Arc<Mutex<f64>>,
    calls: Arc<Mutex<u64>>,
}

impl Slow {
    fn new(seed: u64, stragglers: f64) -> Self {
        let calls = Arc::default();
        Self { random: Random::seeded(seed), median: 0.6, stragglers: Arc::new(Mutex::new(stragglers)), calls }
    }

    fn calls(&self) -> u64 {
        *self.calls.lock().expect("nobody panics")
    }

    fn set_stragglers(&self, share: f64) {
        *self.stragglers.lock().expect("nobody panics") = share;
    }

    fn draw(&self) -> Duration {
        let (radius, angle) =
            ((-2.0 * (1.0 - self.random.unit()).ln()).sqrt(), self.random.unit() * std::f64::consts::TAU);
        let usual = self.median * (0.4 * radius * angle.cos()).exp();
        let is_straggler = self.random.unit() < *self.stragglers.lock().expect("nobody panics");
        Duration::from_secs_f64(if is_straggler { usual * (8.0 + 17.0 * self.random.unit()) } else { usual })
    }

    fn service(
        &self,
    ) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone + Send + 'static {
        let slow = self.clone();
        service_fn(move |request: LlmRequest| {
            *slow.calls.lock().expect("nobody panics") += 1;
            let takes = slow.draw();
            async move {
                let answer = Frames::new().start().wait(takes).words(TEXT).finish().last();
                let body = if request.is_stream() {
                    answer.into_body()
                } else {
                    sleep(takes).await;
                    llm_core::Body::full(llm_core::Output::text(TEXT))
                };
                Ok::<_, Error>(LlmResponse::new(Head::default(), body))
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_is_paid_for_is_no_sign_of_how_long_the_target_takes() {
    for is_kept in [true, false] {
        let after = After::P95 {
            floor: Duration::from_millis(1),
            samples: std::num::NonZeroU32::new(20).expect("it is not zero"),
        };
        let layer = HedgeLayer::new().after(after).quota(HedgeQuota::percent(100));
        let answering = service_fn(move |_: LlmRequest| async move {
            let body = llm_core::Body::full(llm_core::Output::text(TEXT));
            Ok::<_, Error>(LlmResponse::new(Head::default(), if is_kept { body.unpaid() } else { body }))
        });
        for _ in 0..30 {
            layer.layer(answering).oneshot(ask_whole()).await.unwrap();
        }
        call(&layer, Probe::answering(Answer::text(TEXT).after(secs(3))), ask_whole()).await.unwrap();
        assert_eq!(layer.handle().count(HedgeEvent::Started), u64::from(!is_kept), "kept: {is_kept}");
    }
}

/// How long `calls` of them had to wait for content, five calls a second. Sorted.
async fn waits(layer: &HedgeLayer, provider: &Slow, calls: u32, request: fn() -> LlmRequest) -> Vec<Duration> {
    let service = layer.layer(provider.service());
    let callers = (0..calls).map(|number| {
        let service = service.clone();
        async move {
            sleep(Duration::from_millis(200) * number).await;
            let begun = Instant::now();
            ends(service.oneshot(request())).await.expect("everything is answered in the end");
            begun.elapsed()
        }
    });
    let mut waits = join_all(callers).await;
    waits.sort();
    waits
}

fn p99(waits: &[Duration]) -> f64 {
    waits[waits.len() * 99 / 100].as_secs_f64()
}

fn never() -> HedgeLayer {
    HedgeLayer::new().quota(HedgeQuota::percent(0))
}

#[tokio::test(start_paused = true)]
async fn stragglers_are_beaten_for_a_few_percent_more_calls() {
    const CALLS: u32 = 6_000;
    let without = p99(&waits(&never(), &Slow::new(1, 0.02), CALLS, ask).await);
    let (layer, provider) = (HedgeLayer::new(), Slow::new(1, 0.02));
    let with = p99(&waits(&layer, &provider, CALLS, ask).await);
    assert!(without > 7.0, "2 % take 8 to 25 times as long: {without}");
    assert!(with < without / 3.0, "{with} of {without}");
    let extra = provider.calls() - u64::from(CALLS);
    assert_eq!(extra, layer.handle().count(HedgeEvent::Started));
    let share = extra as f64 / f64::from(CALLS);
    assert!((0.02..0.08).contains(&share), "{share}");
    println!("99th percentile {without:.2} s -> {with:.2} s for {:.1} % more calls", share * 100.0);
}

#[tokio::test(start_paused = true)]
async fn the_delay_does_not_sink_because_the_slowest_are_dropped() {
    let (hedged, plain) = (HedgeLayer::new(), never());
    waits(&hedged, &Slow::new(2, 0.04), 5_000, ask).await;
    waits(&plain, &Slow::new(2, 0.04), 5_000, ask).await;
    let delay = |layer: &HedgeLayer| layer.handle().delay_of_streams(&openai()).unwrap().as_secs_f64();
    let ratio = delay(&hedged) / delay(&plain);
    assert!((0.85..1.15).contains(&ratio), "{} beside {}", delay(&hedged), delay(&plain));
}

#[tokio::test(start_paused = true)]
async fn in_an_incident_the_extra_load_stays_at_a_tenth() {
    let (layer, provider) = (HedgeLayer::new(), Slow::new(3, 0.02));
    waits(&layer, &provider, 1_000, ask).await;
    let before = provider.calls();
    provider.set_stragglers(0.3);
    waits(&layer, &provider, 2_000, ask).await;
    let extra = provider.calls() - before - 2_000;
    assert!(extra <= 200 + 10, "{extra} beside 2,000 calls");
    assert!(extra >= 90, "{extra} beside 2,000 calls: they are still made");
    assert!(layer.handle().count(HedgeEvent::QuotaSpent) > 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_before_fifty_calls_were_seen_nor_before_the_floor() {
    let layer = HedgeLayer::new();
    let quick = |milliseconds| Probe::answering(Answer::text(TEXT).after(Duration::from_millis(milliseconds)));
    for number in 0..50 {
        assert_eq!(layer.handle().delay_of_streams(&openai()), None, "{number}");
        call(&layer, quick(20), ask()).await.unwrap();
    }
    assert_eq!(layer.handle().count(HedgeEvent::FewSamples), 50);
    assert_eq!(layer.handle().delay_of_streams(&openai()), Some(Duration::from_millis(300)));
    assert_eq!(layer.handle().delay_of_whole_answers(&openai()), None, "whole answers are another matter");
    let probe = script([Answer::hang(), Answer::text(TEXT)]);
    let (log, begun) = (probe.log(), Instant::now());
    call(&layer, probe, ask()).await.unwrap();
    assert_eq!(times(&log, begun), [0, 300]);
}

#[tokio::test(start_paused = true)]
async fn whole_and_streamed_answers_are_late_after_times_of_their_own() {
    let layer = HedgeLayer::new();
    waits(&layer, &Slow::new(4, 0.0), 300, ask).await;
    waits(&layer, &Slow { median: 6.0, ..Slow::new(5, 0.0) }, 300, ask_whole).await;
    let streams = layer.handle().delay_of_streams(&openai()).unwrap().as_secs_f64();
    let wholes = layer.handle().delay_of_whole_answers(&openai()).unwrap().as_secs_f64();
    // The 95th percentile of these is 1.93 times the median.
    assert!((1.0..1.5).contains(&streams), "{streams}");
    assert!((10.0..15.0).contains(&wholes), "{wholes}");
}

#[tokio::test(start_paused = true)]
async fn fast_failures_do_not_make_the_delay_shorter_and_late_ones_count() {
    let layer = HedgeLayer::new();
    let run = async |answer: Answer, calls: u32| {
        for _ in 0..calls {
            let _ = call(&layer, Probe::answering(answer.clone()), ask()).await;
        }
    };
    run(Answer::text(TEXT).after(secs(1)), 100).await;
    let usual = layer.handle().delay_of_streams(&openai()).unwrap();
    run(fail(ErrorKind::Server), 3_000).await;
    assert_eq!(layer.handle().delay_of_streams(&openai()), Some(usual));
    run(fail(ErrorKind::Server).after(secs(30)), 20).await;
    assert!(layer.handle().delay_of_streams(&openai()).unwrap() > secs(20));
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_because_it_is_late_are_seen_too() {
    let layer = HedgeLayer::new().quota(HedgeQuota::percent(0));
    for _ in 0..100 {
        call(&layer, Probe::answering(Answer::text(TEXT).after(secs(1))), ask()).await.unwrap();
    }
    let usual = layer.handle().delay_of_streams(&openai());
    for _ in 0..3_000 {
        assert!(timeout(Duration::from_millis(500), call(&layer, script([]), ask())).await.is_err());
    }
    assert_eq!(layer.handle().delay_of_streams(&openai()), usual, "these left before it was late");
    for _ in 0..20 {
        assert!(timeout(secs(30), call(&layer, script([]), ask())).await.is_err());
    }
    assert!(layer.handle().delay_of_streams(&openai()).unwrap() > secs(20));
}

// State.

#[tokio::test(start_paused = true)]
async fn targets_beyond_the_bound_share_a_state_until_others_are_idle() {
    let layer = HedgeLayer::new().after(After::Fixed(DELAY)).targets(NonZeroUsize::new(1).unwrap());
    let ask_of = async |number: u32| {
        let mut request = ask();
        request.context_mut().set_target(Target::new("openai", format!("model-{number}")));
        let probe = Probe::answering(Answer::text(TEXT).after(secs(3)));
        let log = probe.log();
        call(&layer, probe, request).await.unwrap();
        log.calls() - 1
    };
    assert_eq!(ask_of(0).await, 0);
    let mut hedges = 0;
    for number in 1..=10 {
        hedges += ask_of(number).await;
    }
    assert_eq!((hedges, layer.handle().targets()), (1, 1), "ten calls of ten targets pay for one");
    // One that was called lately keeps what it has, whoever comes; one that was not makes room.
    sleep(secs(360)).await;
    for _ in 0..8 {
        assert_eq!(ask_of(0).await, 0);
    }
    sleep(secs(360)).await;
    assert_eq!((ask_of(50).await, ask_of(0).await), (0, 1));
    sleep(secs(660)).await;
    for _ in 0..9 {
        assert_eq!(ask_of(51).await, 0, "it does not share with the others any more");
    }
    assert_eq!((ask_of(52).await, ask_of(51).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn every_event_is_counted_and_measured_under_its_word() {
    let layer = fixed();
    let run = async |answers: Vec<Answer>, prepare: fn(&mut LlmRequest)| {
        let mut request = ask();
        prepare(&mut request);
        let _ = call(&layer, script(answers), request).await;
    };
    let late = || Answer::text(TEXT).after(secs(3));
    run(vec![Answer::hang(), Answer::text(TEXT)], |_| {}).await;
    run(vec![late(), Answer::hang()], |_| {}).await;
    run(vec![fail(ErrorKind::Server).after(secs(3)), fail(ErrorKind::Server)], |_| {}).await;
    run(vec![late()], |request| request.context().set_allowance(0)).await;
    run(vec![late()], |request| request.context_mut().set_probe(true)).await;
    let mut seen = HashMap::new();
    layer.handle().measure(&mut |measure| {
        let label = measure.labels.first().map_or("", |(_, value)| value);
        seen.insert((measure.name, label.to_owned()), measure.value);
    });
    for (event, count) in [("won", 1.0), ("lost", 1.0), ("failed", 1.0), ("allowance_spent", 1.0), ("unhealthy", 1.0)] {
        assert_eq!(seen[&("llm.hedge.events", event.to_owned())], count, "{event}");
    }
    assert_eq!(seen[&("llm.hedge.events", "started".to_owned())], 3.0);
    assert_eq!(seen[&("llm.hedge.targets", String::new())], 1.0);
    assert_eq!(seen.len(), HedgeEvent::ALL.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn every_setting_of_a_file_does_something() {
    for ask in [ask as fn() -> LlmRequest, ask_whole] {
        let layer = |config: &str| {
            let config: HedgeConfig = toml::from_str(config).unwrap();
            HedgeLayer::try_from(config).unwrap()
        };
        // After how many calls that take this long there is a hedge, and when it is made.
        let first_hedge = async |layer: &HedgeLayer, target: Target, takes: Duration| {
            for number in 1..=120 {
                let probe = Probe::answering(Answer::text(TEXT)).script([Answer::text(TEXT).after(takes)]);
                let (log, begun, mut request) = (probe.log(), Instant::now(), ask());
                request.context_mut().set_target(target.clone());
                call(layer, probe, request).await.unwrap();
                if let Some(at) = times(&log, begun).get(1) {
                    return Some((number, *at));
                }
            }
            None
        };
        let second = secs(1);
        assert_eq!(first_hedge(&layer("fixed = '700ms'"), openai(), second).await, Some((10, 700)));
        assert_eq!(first_hedge(&layer("fixed = '700ms'\npercent = 50"), openai(), second).await, Some((2, 700)));
        assert_eq!(first_hedge(&layer("floor = '900ms'"), openai(), Duration::from_millis(850)).await, None);
        let after = layer("samples = 20\nfloor = '2s'");
        assert_eq!(first_hedge(&after, openai(), second).await, None);
        assert_eq!(after.handle().count(HedgeEvent::FewSamples), 20);
        let delays = [after.handle().delay_of_streams(&openai()), after.handle().delay_of_whole_answers(&openai())];
        let expected = if ask().is_stream() { [Some(secs(2)), None] } else { [None, Some(secs(2))] };
        assert_eq!(delays, expected);
        let tables = layer("fixed = '700ms'\n[providers.local]\nfixed = '100ms'\n[models.o3]\nfloor = '2s'");
        assert_eq!(first_hedge(&tables, Target::new("local", "llama"), second).await, Some((10, 100)));
        assert_eq!(first_hedge(&tables, Target::new("openai", "o3"), second).await, None);
        assert_eq!(first_hedge(&tables, openai(), second).await, Some((10, 700)));
        assert_eq!(tables.handle().targets(), 3);
        let one = layer("fixed = '700ms'\ntargets = 1");
        first_hedge(&one, openai(), second).await;
        first_hedge(&one, Target::new("openai", "o3"), second).await;
        assert_eq!(one.handle().targets(), 1);
        // A quiet time saves up for no more than the bucket holds.
        let burst = layer("fixed = '700ms'\npercent = 100\nburst = 2");
        for _ in 0..50 {
            call(&burst, Probe::answering(Answer::text(TEXT)), ask()).await.unwrap();
        }
        let probe = Probe::answering(Answer::text(TEXT).after(second));
        let log = probe.log();
        join_all((0..5).map(|_| call(&burst, probe.clone(), ask()))).await;
        assert_eq!(log.calls(), 5 + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn delays_differ_by_target_and_state_is_shared_by_clones_and_services() {
    let after = PerTarget::new(After::Fixed(secs(60))).model("gpt-4o", After::Fixed(secs(1)));
    let layer = HedgeLayer::new().after(after);
    for number in 1..=10 {
        let probe = Probe::answering(Answer::text(TEXT).after(secs(2)));
        let log = probe.log();
        call(&layer.clone(), probe, ask()).await.unwrap();
        assert_eq!(log.calls() - 1, number / 10);
    }
}
