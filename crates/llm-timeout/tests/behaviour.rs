//! Stories of calls that take too long, and of some that only seem to.

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use futures_util::StreamExt;
use llm_core::{
    AttemptEnd, Body, Chat, Commit, Dialect, Error, ErrorKind, Frame, HoldBack, LlmRequest, LlmResponse, Measures,
    Observer, Outcome, Output, PerTarget, Phase, ReasoningEffort, Stage, Target, Thinking, Trail, catalog::Catalog,
    watch,
};
use llm_test::{Answer, Frames, Probe};
use llm_timeout::{Limit, Limits, Timeout, TimeoutConfig, TimeoutCounts, TimeoutLayer};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const HEAD: ErrorKind = ErrorKind::Timeout(Phase::Head);
const FIRST_CONTENT: ErrorKind = ErrorKind::Timeout(Phase::FirstContent);
const IDLE: ErrorKind = ErrorKind::Timeout(Phase::Idle);
const TOTAL: ErrorKind = ErrorKind::Timeout(Phase::Total);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn streamed() -> LlmRequest {
    LlmRequest::chat("m").user("Why is the sky blue?").stream().build()
}

fn whole() -> LlmRequest {
    LlmRequest::chat("m").user("Why is the sky blue?").build()
}

/// A request whose caller stops waiting that much from now.
fn until(mut request: LlmRequest, deadline: Duration) -> LlmRequest {
    request.context_mut().set_deadline(Instant::now() + deadline);
    request
}

fn patient(mut request: LlmRequest, read_timeout: Duration) -> LlmRequest {
    request.context_mut().set_read_timeout(read_timeout);
    request
}

/// What comes of it. One that nothing ends fails after days, instead of hanging for ever.
async fn ends<F: Future>(future: F) -> F::Output {
    timeout(secs(1_000_000), future).await.expect("everything ends within days")
}

/// How a call went: when it was over, how many frames the caller got, and why it failed if it did.
#[derive(Debug)]
struct Seen {
    took: Duration,
    frames: usize,
    error: Option<Error>,
}

impl Seen {
    #[track_caller]
    fn failed(&self, kind: ErrorKind, after: Duration) -> &Error {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("it did not fail: {self:?}"));
        assert_eq!((error.kind(), self.took), (kind, after), "{error}");
        error
    }

    #[track_caller]
    fn completed(&self, after: Duration) {
        assert!(self.error.is_none(), "{self:?}");
        assert_eq!(self.took, after);
    }
}

async fn see(layer: &TimeoutLayer, answer: Answer, request: LlmRequest) -> Seen {
    see_log(layer, Probe::answering(answer), request).await
}

async fn see_log(layer: &TimeoutLayer, probe: Probe, request: LlmRequest) -> Seen {
    let log = probe.log();
    let begun = Instant::now();
    let mut frames = 0;
    let read = async {
        let mut body = layer.layer(probe).oneshot(request).await?.body;
        while let Some(frame) = body.next().await {
            frame?;
            frames += 1;
        }
        Ok::<_, Error>(body)
    };
    let result = ends(read).await;
    assert_eq!(log.permits(), 0, "when a call has ended, nothing of it is left");
    Seen { took: begun.elapsed(), frames, error: result.err() }
}

/// Reads no further than the next frame.
async fn next(body: &mut Body) -> Option<Result<Frame, Error>> {
    ends(body.next()).await
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_fails_the_call_after_30_seconds() {
    let seen = see(&TimeoutLayer::new(), Answer::hang(), streamed()).await;
    let error = seen.failed(HEAD, secs(30));
    assert_eq!(error.to_string(), "no response head within 30s");
    assert_eq!(error.stage(), Stage::BeforeContent);
    assert!(error.is_retryable() && error.is_provider_fault());
}

#[tokio::test(start_paused = true)]
async fn a_head_in_time_does_not_stop_the_clock_of_the_first_content() {
    let frames = Frames::new().start().hang();
    let seen = see(&TimeoutLayer::new(), Answer::stream(frames).after(secs(29)), streamed()).await;
    let error = seen.failed(FIRST_CONTENT, secs(30));
    assert_eq!(error.to_string(), "no first content within 30s");
    assert_eq!((seen.frames, error.stage()), (1, Stage::BeforeContent));
    assert!(error.usage().is_some(), "the provider may bill what it was asked");
}

#[tokio::test(start_paused = true)]
async fn a_first_content_limit_below_the_head_limit_holds_before_the_head_too() {
    let layer = TimeoutLayer::new().limits(Limits::interactive().first_content(secs(10)));
    see(&layer, Answer::hang(), streamed()).await.failed(FIRST_CONTENT, secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_the_last_instant_is_in_time() {
    let frames =
        Frames::new().wait(secs(30)).text("Blue.").wait(secs(20)).text(" Really.").wait(secs(20)).finish().last();
    let seen = see(&TimeoutLayer::new(), Answer::stream(frames), streamed()).await;
    seen.completed(secs(70));
}

#[tokio::test(start_paused = true)]
async fn pings_and_lifecycle_frames_are_no_content() {
    let pings = Frames::new().start().wait(secs(10)).ping().wait(secs(10)).text("").wait(secs(9)).ping().hang();
    let seen = see(&TimeoutLayer::new(), Answer::stream(pings), streamed()).await;
    seen.failed(FIRST_CONTENT, secs(30));
    assert_eq!(seen.frames, 4, "each of them was handed on all the same");

    let later = Frames::new().text("Blue").wait(secs(15)).ping().wait(secs(4)).ping().hang();
    let seen = see(&TimeoutLayer::new(), Answer::stream(later), streamed()).await;
    seen.failed(IDLE, secs(20));
    assert_eq!(seen.frames, 3);
}

#[tokio::test(start_paused = true)]
async fn silence_after_content_fails_the_stream_after_20_seconds() {
    let frames = Frames::new().wait(secs(3)).text("Blue").wait(secs(19)).text(" light").hang();
    let seen = see(&TimeoutLayer::new(), Answer::stream(frames), streamed()).await;
    let error = seen.failed(IDLE, secs(3 + 19 + 20));
    assert_eq!(error.to_string(), "no further content within 20s");
    assert_eq!((seen.frames, error.stage()), (2, Stage::AfterContent));
    assert!(!error.is_retryable(), "the caller has seen content");
}

#[tokio::test(start_paused = true)]
async fn a_finish_reason_ends_the_wait_for_content() {
    let frames = Frames::new().wait(secs(5)).finish().hang();
    let seen = see(&TimeoutLayer::new(), Answer::stream(frames), streamed()).await;
    let error = seen.failed(IDLE, secs(25));
    assert_eq!(error.stage(), Stage::AfterContent, "an empty answer is an answer");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_punished() {
    let frames = Frames::new().text("Blue ").ping().wait(secs(1)).ping().wait(secs(18)).text("light.").finish().last();
    let mut body =
        TimeoutLayer::new().layer(Probe::answering(Answer::stream(frames))).oneshot(streamed()).await.unwrap().body;
    while let Some(frame) = next(&mut body).await {
        assert!(frame.is_ok(), "{frame:?}");
        sleep(secs(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_reader_waits_for_counts_all_the_same() {
    let frames = Frames::new().text("Blue ").wait(secs(15)).ping().hang();
    let mut body =
        TimeoutLayer::new().layer(Probe::answering(Answer::stream(frames))).oneshot(streamed()).await.unwrap().body;
    assert!(next(&mut body).await.unwrap().is_ok());
    sleep(secs(100)).await;
    assert!(next(&mut body).await.unwrap().is_ok());
    sleep(secs(100)).await;
    let begun = Instant::now();
    assert_eq!(next(&mut body).await.unwrap().unwrap_err().kind(), IDLE);
    assert_eq!(begun.elapsed(), secs(5), "it had waited 15 of 20 seconds before the ping");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_reasons_gets_more_time_for_its_first_content() {
    let layer = TimeoutLayer::new();
    let silent = || Answer::stream(Frames::new().start().hang());
    let ask = |change: fn(&mut Chat)| LlmRequest::chat("m").user("Why?").stream().with(change).build();
    for (request, limit) in [
        (ask(|_| {}), 30),
        (ask(|chat| chat.thinking = Some(Thinking::Budget(1_000))), 120),
        (ask(|chat| chat.thinking = Some(Thinking::Adaptive)), 120),
        (ask(|chat| chat.thinking = Some(Thinking::Disabled)), 30),
        (ask(|chat| chat.reasoning_effort = Some(ReasoningEffort::Low)), 120),
        (ask(|chat| chat.reasoning_effort = Some(ReasoningEffort::None)), 30),
    ] {
        let asked = format!("{request:?}");
        let seen = see(&layer, silent(), request).await;
        assert_eq!(seen.took, secs(limit), "{asked}");
        seen.failed(FIRST_CONTENT, secs(limit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_reasons_never_has_less_time_than_another() {
    let thinking =
        || LlmRequest::chat("m").user("Why?").stream().with(|chat| chat.thinking = Some(Thinking::Adaptive)).build();
    let limits = |usual: Limit, reasoning: Limit| {
        TimeoutLayer::new().limits(Limits::off().first_content(usual).first_content_reasoning(reasoning))
    };
    let long = limits(Limit::new(secs(300)), Limit::new(secs(120)));
    see(&long, Answer::hang(), thinking()).await.failed(FIRST_CONTENT, secs(300));
    let late = Answer::stream(Frames::new().wait(secs(5_000)).text("Blue.").finish().last());
    for off in [limits(Limit::OFF, Limit::new(secs(120))), limits(Limit::new(secs(300)), Limit::OFF)] {
        see(&off, late.clone(), thinking()).await.completed(secs(5_000));
    }
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_says_which_model_reasons_unasked() {
    let catalog = "[[models]]\nprovider = \"p\"\nname = \"thinker\"\ncapabilities = { reasoning = true }";
    let layer = TimeoutLayer::new().catalog(Arc::new(Catalog::from_toml(catalog).unwrap()));
    let silent = || Answer::stream(Frames::new().start().hang());
    let to = |provider: &str, model: &str| {
        let mut request = streamed();
        request.context_mut().set_target(Target::new(provider, model));
        request
    };
    see(&layer, silent(), to("p", "thinker")).await.failed(FIRST_CONTENT, secs(120));
    see(&layer, silent(), to("q", "thinker")).await.failed(FIRST_CONTENT, secs(30));
    see(&TimeoutLayer::new(), silent(), to("p", "thinker")).await.failed(FIRST_CONTENT, secs(30));
    see(&TimeoutLayer::new(), silent(), to("openai", "o3")).await.failed(FIRST_CONTENT, secs(120));
    let untargeted = LlmRequest::chat("thinker").user("Why?").stream();
    see(&layer, silent(), untargeted.clone().build()).await.failed(FIRST_CONTENT, secs(120));
    let unwilling = untargeted.with(|chat| chat.reasoning_effort = Some(ReasoningEffort::None)).build();
    see(&layer, silent(), unwilling).await.failed(FIRST_CONTENT, secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_limit_grows_with_the_tokens_that_the_answer_may_have() {
    let limit = Limit::new(secs(10)).per_output_token(Duration::from_millis(20));
    let layer = TimeoutLayer::new().limits(Limits::off().whole_answer(limit).first_content(limit));
    let ask = |tokens: Option<u64>| LlmRequest::chat("m").user("Why?").with(|chat| chat.max_output_tokens = tokens);
    see(&layer, Answer::hang(), ask(None).build()).await.failed(TOTAL, secs(10));
    see(&layer, Answer::hang(), ask(Some(500)).build()).await.failed(TOTAL, secs(20));
    see(&layer, Answer::hang(), ask(Some(500)).stream().build()).await.failed(FIRST_CONTENT, secs(20));
    for (asked, ceiling, limit) in [(Some(500), 100, 12), (Some(500), 5_000, 20), (None, 100, 12)] {
        let mut request = ask(asked).build();
        request.context_mut().lower_output_ceiling(ceiling);
        see(&layer, Answer::hang(), request).await.failed(TOTAL, secs(limit));
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_cuts_a_stream_that_goes_on_and_on() {
    let layer = TimeoutLayer::new().limits(Limits::interactive().total(secs(60)));
    let talk = (0..100).fold(Frames::new(), |frames, _| frames.text("on and ").wait(secs(1)));
    let seen = see(&layer, Answer::stream(talk), streamed()).await;
    let error = seen.failed(TOTAL, secs(60));
    assert_eq!(error.to_string(), "no end of the stream within 60s");
    assert_eq!((seen.frames, error.stage()), (61, Stage::AfterContent));
}

#[tokio::test(start_paused = true)]
async fn the_total_counts_the_time_of_the_reader_too() {
    let layer = TimeoutLayer::new().limits(Limits::interactive().total(secs(60)));
    let ready = Frames::answer(&"on and ".repeat(100));
    let mut body = layer.layer(Probe::answering(Answer::stream(ready))).oneshot(streamed()).await.unwrap().body;
    let begun = Instant::now();
    let mut frames = 0;
    let error = loop {
        match next(&mut body).await.unwrap() {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
        sleep(secs(7)).await;
    };
    assert_eq!((error.kind(), frames, begun.elapsed()), (TOTAL, 9, secs(63)));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_has_120_seconds() {
    let layer = TimeoutLayer::new();
    let late = |time| Answer::text("Blue.").after(secs(time));
    see(&layer, late(120), whole()).await.completed(secs(120));
    let seen = see(&layer, late(121), whole()).await;
    let error = seen.failed(TOTAL, secs(120));
    assert_eq!(error.to_string(), "no whole answer within 120s");
    assert_eq!(error.stage(), Stage::BeforeContent);
    see(&layer, Answer::hang(), LlmRequest::embed("e", ["text"])).await.failed(TOTAL, secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_asked_for_and_streamed_has_120_seconds_too() {
    let talk = (0..100).fold(Frames::new(), |frames, _| frames.text("on and ").wait(secs(25)));
    see(&TimeoutLayer::new(), Answer::stream(talk), whole()).await.failed(TOTAL, secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_to_a_streamed_request_is_held_to_its_head() {
    let answer = || Answer::whole(Output::text("Blue."));
    let layer = TimeoutLayer::new();
    let response = layer.layer(Probe::answering(answer())).oneshot(streamed()).await.unwrap();
    assert!(response.body.is_full());
    see(&layer, answer().after(secs(31)), streamed()).await.failed(HEAD, secs(30));
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_beats_a_limit_and_is_told_apart() {
    let layer = TimeoutLayer::new().limits(Limits::interactive().total(secs(60)));
    let talk = || Answer::stream((0..100).fold(Frames::new(), |frames, _| frames.text("on ").wait(secs(1))));
    let silent = || Answer::stream(Frames::new().start().hang());
    let stuck = || Answer::stream(Frames::new().text("Blue ").hang());
    // Each deadline is as late as the limit that it beats, or earlier.
    for (answer, request, deadline) in [
        (Answer::hang(), streamed(), 30),
        (Answer::hang(), whole(), 120),
        (silent(), streamed(), 30),
        (stuck(), streamed(), 20),
        (talk(), streamed(), 60),
        (talk(), streamed(), 7),
    ] {
        let seen = see(&layer, answer, until(request, secs(deadline))).await;
        let error = seen.failed(ErrorKind::DeadlineExceeded, secs(deadline));
        assert_eq!(error.to_string(), "the caller's deadline has passed");
        assert!(!error.is_provider_fault() && !error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_runs_out_before_the_deadline_is_the_limits_fault() {
    see(&TimeoutLayer::new(), Answer::hang(), until(streamed(), secs(31))).await.failed(HEAD, secs(30));
    see(&TimeoutLayer::new(), Answer::hang(), until(whole(), secs(121))).await.failed(TOTAL, secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_cuts_a_stream_whose_reader_is_slow() {
    let ready = Answer::stream(Frames::answer(&"on and ".repeat(100)));
    let mut body =
        TimeoutLayer::new().layer(Probe::answering(ready)).oneshot(until(streamed(), secs(60))).await.unwrap().body;
    let mut frames = 0;
    while next(&mut body).await.unwrap().is_ok() {
        frames += 1;
        sleep(secs(7)).await;
    }
    assert_eq!(frames, 9);
}

#[tokio::test(start_paused = true)]
async fn the_patience_of_the_callers_client_bounds_head_and_idle_and_not_the_total() {
    let layer = TimeoutLayer::new();
    let late = ErrorKind::DeadlineExceeded;
    see(&layer, Answer::hang(), patient(streamed(), secs(30))).await.failed(late, secs(30));
    see(&layer, Answer::hang(), patient(whole(), secs(12))).await.failed(late, secs(12));
    let talk = (0..100).fold(Frames::new(), |frames, _| frames.text("on and ").wait(secs(1)));
    see(&layer, Answer::stream(talk), patient(whole(), secs(12))).await.failed(late, secs(12));
    let stuck = Frames::new().wait(secs(25)).text("Blue ").wait(secs(4)).ping().hang();
    let seen = see(&layer, Answer::stream(stuck), patient(streamed(), secs(10))).await;
    let error = seen.failed(late, secs(35));
    assert_eq!(error.to_string(), "nothing to send in the 10s that the caller's client waits");
    let long = (0..20).fold(Frames::new(), |frames, _| frames.text("on and ").wait(secs(9))).finish().last();
    see(&layer, Answer::stream(long), patient(streamed(), secs(10))).await.completed(secs(180));
    see(&layer, Answer::hang(), patient(streamed(), secs(600))).await.failed(HEAD, secs(30));
    let off = TimeoutLayer::new().limits(Limits::off());
    let stuck = Answer::stream(Frames::new().text("Blue ").hang());
    see(&off, stuck, patient(streamed(), secs(600))).await.failed(late, secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_makes_no_call_and_keeps_no_permit() {
    let probe = Probe::new().permits(1);
    let log = probe.log();
    let layer = TimeoutLayer::new();
    let mut service = layer.layer(probe);
    for request in [streamed(), whole()] {
        let late = until(request, Duration::ZERO);
        let trail = late.context().trail();
        let refused = service.ready().await.unwrap().call(late);
        assert_eq!((log.calls(), log.permits()), (0, 0), "before the future is even polled");
        assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
        assert!(trail.attempts().is_empty(), "no attempt was made");
    }
    assert_eq!(layer.handle().counts().deadline, 2);
    assert!(service.ready().await.unwrap().call(whole()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let probe = Probe::new().permits(1);
    let log = probe.log();
    let mut first = TimeoutLayer::new().layer(probe);
    let mut second = first.clone();
    assert!(poll_fn(|cx| first.poll_ready(cx)).await.is_ok());
    let waits = poll_fn(|cx| Poll::Ready(second.poll_ready(cx).is_pending())).await;
    assert!(waits, "there is one permit, and it is taken");
    drop(first);
    assert!(poll_fn(|cx| second.poll_ready(cx)).await.is_ok());
    assert_eq!(log.permits(), 1);
}

/// Notes in the trail how a call ended, as the edge to a provider does.
struct Edge(Trail);

impl Observer for Edge {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        self.0.update(0, |record| record.end = Some(outcome.to_end()));
    }
}

/// What is left of the inner call, and how the attempt stands in the trail, at the moment at which the caller hears.
async fn left_when_told(answer: Answer, request: LlmRequest) -> (usize, Option<AttemptEnd>, Error) {
    let probe = Probe::answering(answer);
    let (log, trail) = (probe.log(), request.context().trail());
    let edge = service_fn(move |request: LlmRequest| {
        watch(&request.clone(), probe.clone().oneshot(request.clone()), Edge(request.context().trail()))
    });
    let mut called = Box::pin(TimeoutLayer::new().layer(edge).call(request));
    let told = |error| (log.in_flight(), trail.attempts()[0].end, error);
    let mut body = match ends(&mut called).await {
        Err(error) => return told(error),
        Ok(response) => response.body,
    };
    loop {
        if let Err(error) = next(&mut body).await.expect("it fails at last") {
            return told(error);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_limit_runs_out_the_call_is_cancelled_first_and_stands_in_the_trail_as_failed() {
    for (answer, request, kind) in [
        (Answer::hang(), streamed(), HEAD),
        (Answer::hang(), whole(), TOTAL),
        (Answer::stream(Frames::new().start().hang()), streamed(), FIRST_CONTENT),
        (Answer::stream(Frames::new().text("Blue ").hang()), streamed(), IDLE),
    ] {
        let (in_flight, end, error) = left_when_told(answer, request).await;
        assert_eq!((in_flight, end, error.kind()), (0, Some(AttemptEnd::Failed(kind)), kind));
        assert_eq!(error.trail().unwrap().attempts()[0].end, end);
        assert_eq!(error.target(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_and_the_trail_name_the_target() {
    let target = Target::new("openai", "gpt-4o");
    for answer in [Answer::hang(), Answer::stream(Frames::new().text("Blue ").hang())] {
        let mut request = streamed();
        request.context_mut().set_target(target.clone());
        let (_, _, error) = left_when_told(answer, request).await;
        assert_eq!(error.target(), Some(&target));
        assert_eq!(error.trail().unwrap().attempts()[0].target, Some(target.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_stands_in_the_trail_already_is_left_there() {
    // What an edge has noted of the first attempt, before somebody below made another one.
    let failed = AttemptEnd::Failed(ErrorKind::Server);
    let request = streamed();
    let trail = request.context().trail();
    trail.update(0, |record| record.end = Some(failed));
    see(&TimeoutLayer::new(), Answer::hang(), request).await.failed(HEAD, secs(30));
    assert_eq!(trail.attempts()[0].end, Some(failed));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_or_the_stream_leaves_nothing_and_counts_nothing() {
    let layer = TimeoutLayer::new();
    let probe = Probe::answering(Answer::stream(Frames::new().text("Blue ").hang()).after(secs(1)));
    let log = probe.log();
    let mut called = Box::pin(layer.layer(probe.clone()).oneshot(streamed()));
    assert!(futures_util::poll!(&mut called).is_pending());
    drop(called);
    assert_eq!((log.calls(), log.in_flight()), (1, 0));

    let mut body = layer.layer(probe).oneshot(streamed()).await.unwrap().body;
    assert!(next(&mut body).await.unwrap().is_ok());
    assert!(futures_util::poll!(body.next()).is_pending());
    drop(body);
    assert_eq!((log.calls(), log.in_flight()), (2, 0));
    assert_eq!(layer.handle().counts(), TimeoutCounts::default());
}

#[tokio::test(start_paused = true)]
async fn those_above_are_told_of_a_failure_and_those_below_of_an_abandoned_call() {
    let probe = Probe::answering(Answer::stream(Frames::new().text("Blue ").hang()));
    let log = probe.log();
    let body = TimeoutLayer::new().layer(probe).oneshot(streamed()).await.unwrap().body;
    let heard = Arc::new(Mutex::new(None));
    let told = heard.clone();
    let above =
        move |outcome: &Outcome<'_>| *told.lock().unwrap() = Some((outcome.to_end(), outcome.progress().usage()));
    assert_eq!(ends(body.on_end(above).collect()).await.unwrap_err().kind(), IDLE);
    let (end, usage) = heard.lock().unwrap().take().unwrap();
    assert_eq!(end, AttemptEnd::Failed(IDLE));
    assert!(usage.input > 0 && usage.output > 0, "both are estimated");
    assert_eq!(log.ends(), [AttemptEnd::Abandoned]);
}

#[tokio::test(start_paused = true)]
async fn below_a_commit_a_late_first_content_is_an_ordinary_failure() {
    let probe = Probe::answering(Answer::stream(Frames::new().start().hang()));
    let stack = Commit::new(TimeoutLayer::new().layer(probe), HoldBack::default());
    let request = streamed();
    let trail = request.context().trail();
    let error = ends(stack.oneshot(request)).await.unwrap_err();
    assert!(error.kind() == FIRST_CONTENT && error.is_retryable());
    assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(FIRST_CONTENT)));
}

#[tokio::test(start_paused = true)]
async fn above_one_that_holds_back_the_limits_go_on_with_the_content_that_was_held() {
    let frames = Frames::new().start().wait(secs(25)).text("Blue ").wait(secs(19)).text("light.").hang();
    let stack = TimeoutLayer::new().layer(Commit::new(Probe::answering(Answer::stream(frames)), HoldBack::default()));
    let begun = Instant::now();
    let body = ends(stack.oneshot(streamed())).await.unwrap().body;
    let error = ends(body.collect()).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (IDLE, secs(25 + 19 + 20)));
}

#[tokio::test(start_paused = true)]
async fn an_option_for_a_provider_or_a_model_holds_for_it_alone() {
    let limit = |seconds| Limits::off().head(secs(seconds)).whole_answer(secs(seconds));
    let limits = PerTarget::new(limit(1)).provider("p", limit(2)).model("large", limit(3));
    let layer = TimeoutLayer::new().limits(limits);
    for (target, expected) in [
        (None, 1),
        (Some(Target::new("q", "small")), 1),
        (Some(Target::new("p", "small")), 2),
        (Some(Target::new("p", "large")), 3),
    ] {
        for (mut request, kind) in [(streamed(), HEAD), (whole(), TOTAL)] {
            if let Some(target) = &target {
                request.context_mut().set_target(target.clone());
            }
            see(&layer, Answer::hang(), request).await.failed(kind, secs(expected));
        }
    }
    let large = LlmRequest::chat("large").user("Why?").build();
    see(&layer, Answer::hang(), large).await.failed(TOTAL, secs(3));
}

#[tokio::test(start_paused = true)]
async fn each_field_of_the_configuration_is_a_limit_of_its_own() {
    let silent = || Answer::stream(Frames::new().start().hang());
    let stuck = || Answer::stream(Frames::new().text("Blue ").hang());
    let talk = || Answer::stream((0..500).fold(Frames::new(), |frames, _| frames.text("on ").wait(secs(1))));
    let thinking =
        || LlmRequest::chat("m").user("Why?").stream().with(|chat| chat.thinking = Some(Thinking::Adaptive)).build();
    let short = || LlmRequest::chat("m").user("Why?").stream().max_output_tokens(3).build();
    for (text, answer, request, kind, after) in [
        (r#"head = "7s""#, Answer::hang(), streamed(), HEAD, 7),
        (r#"head = "off""#, Answer::hang(), streamed(), FIRST_CONTENT, 30),
        (r#"first_content = "7s""#, silent(), streamed(), FIRST_CONTENT, 7),
        (r#"first_content = { base = "7s", per_output_token = "1s" }"#, silent(), short(), FIRST_CONTENT, 10),
        (r#"first_content_reasoning = "40s""#, silent(), thinking(), FIRST_CONTENT, 40),
        (r#"idle = "7s""#, stuck(), streamed(), IDLE, 7),
        (r#"total = "7s""#, talk(), streamed(), TOTAL, 7),
        (r#"whole_answer = "7s""#, Answer::hang(), whole(), TOTAL, 7),
        (r#"models.m.whole_answer = "7s""#, Answer::hang(), whole(), TOTAL, 7),
    ] {
        let config: TimeoutConfig = toml::from_str(text).unwrap();
        let seen = see(&TimeoutLayer::try_from(config).unwrap(), answer, request).await;
        assert_eq!((seen.failed(kind, secs(after)).kind(), text), (kind, text));
    }
    let off: TimeoutConfig = toml::from_str("idle = 'off'\nwhole_answer = 'off'").unwrap();
    let off = TimeoutLayer::try_from(off).unwrap();
    let frames = Frames::new().text("Blue ").wait(secs(86_400)).finish().last();
    see(&off, Answer::stream(frames), streamed()).await.completed(secs(86_400));
    see(&off, Answer::text("Blue.").after(secs(86_400)), whole()).await.completed(secs(86_400));
}

#[tokio::test(start_paused = true)]
async fn the_presets_differ_in_who_waits() {
    let silent = || Answer::stream(Frames::new().start().hang());
    see(&TimeoutLayer::interactive(), silent(), streamed()).await.failed(FIRST_CONTENT, secs(30));
    see(&TimeoutLayer::batch(), silent(), streamed()).await.failed(FIRST_CONTENT, secs(300));
    see(&TimeoutLayer::batch(), Answer::hang(), whole()).await.failed(TOTAL, secs(600));
}

#[tokio::test(start_paused = true)]
async fn the_handle_counts_what_ran_out_for_all_services_of_the_layer() {
    let layer = TimeoutLayer::new();
    let handle = layer.handle();
    see(&layer, Answer::hang(), streamed()).await;
    see(&layer, Answer::stream(Frames::new().hang()), streamed()).await;
    for _ in 0..2 {
        see(&layer, Answer::stream(Frames::new().text("Blue ").hang()), streamed()).await;
    }
    see(&layer, Answer::hang(), whole()).await;
    see(&layer, Answer::hang(), until(whole(), secs(1))).await;
    see(&layer, Answer::hang(), patient(whole(), secs(1))).await;
    see(&layer, Answer::text("Blue."), whole()).await;
    see(&layer, Answer::fail(Error::new(HEAD, "a limit of somebody else's")), whole()).await;
    let expected = TimeoutCounts { head: 1, first_content: 1, idle: 2, total: 1, deadline: 2 };
    assert_eq!(handle.counts(), expected);

    let mut measured = Vec::new();
    handle.measure(&mut |measure| {
        let (label, phase) = &measure.labels[0];
        measured.push(format!("{} {label}={phase} {}", measure.name, measure.value));
    });
    let of = |phase, count| format!("llm.timeout.expired phase={phase} {count}");
    assert_eq!(measured, [of("head", 1), of("first_content", 1), of("idle", 2), of("total", 1), of("deadline", 2)]);
    assert_eq!(TimeoutLayer::new().handle().counts(), TimeoutCounts::default(), "another layer counts for itself");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_there_is_handed_on_at_once_and_as_it_is() {
    let frames = Frames::answer("Blue light is scattered more.").on_wire(Dialect::OpenAi);
    let plain = Probe::answering(Answer::stream(frames.clone())).oneshot(streamed()).await.unwrap().body;
    let limited =
        TimeoutLayer::new().layer(Probe::answering(Answer::stream(frames))).oneshot(streamed()).await.unwrap().body;
    let expected: Vec<_> = plain.map(Result::unwrap).collect().await;
    let mut limited = limited;
    for frame in expected {
        let seen = futures_util::poll!(limited.next());
        assert!(matches!(seen, Poll::Ready(Some(Ok(seen))) if seen == frame));
    }
}

#[tokio::test(start_paused = true)]
async fn it_stands_in_a_tower_stack_over_an_error_of_another_type() {
    let slow = |_: LlmRequest| async {
        sleep(secs(200)).await;
        Err::<LlmResponse, tower::BoxError>("nobody waits for this".into())
    };
    let mut service: Timeout<_> = ServiceBuilder::new().layer(TimeoutLayer::new()).service(service_fn(slow));
    assert_eq!(ends(service.ready().await.unwrap().call(whole())).await.unwrap_err().kind(), TOTAL);
}
