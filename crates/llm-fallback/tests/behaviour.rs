//! What callers see of a fallback: which answer, when, and what is told of it.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_core::{
    Again, AttemptEnd, CacheDirective, Caller, Error, ErrorKind, Event, FinishReason, LlmRequest, LlmResponse,
    Measures, Outcome, Output, Payload, Phase, Sensitivity, Served, Stage, Target, Usage,
};
use llm_fallback::{Answer as Instead, FallbackEvent, FallbackLayer, When};
use llm_test::{Answer, Frames, Probe, ProbeLog};
use proptest::{prelude::*, sample::subsequence};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

fn fails(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "the scripted failure"))
}

fn down() -> Probe {
    Probe::answering(fails(ErrorKind::Server))
}

fn asked() -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Why is the sky blue?").build()
}

fn streamed() -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Why is the sky blue?").stream().build()
}

fn message(text: &'static str) -> FallbackLayer {
    FallbackLayer::new().case(When::new(), Instead::message(text))
}

async fn call(layer: &FallbackLayer, probe: Probe, request: LlmRequest) -> Result<LlmResponse, Error> {
    layer.layer(probe).oneshot(request).await
}

async fn text(answered: Result<LlmResponse, Error>) -> Result<String, ErrorKind> {
    match answered {
        Ok(response) => Ok(response.body.collect().await.map_err(|error| error.kind())?.first_text()),
        Err(error) => Err(error.kind()),
    }
}

/// A service that gives this answer, and what it has seen.
fn other(answer: Answer) -> (Probe, ProbeLog) {
    let probe = Probe::answering(answer);
    let log = probe.log();
    (probe, log)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_the_answer_and_says_that_it_is_none_of_a_models() {
    let layer = message("Later, please.");
    let request = asked();
    let trail = request.context().trail();
    let response = call(&layer, down(), request).await.unwrap();
    assert_eq!(response.head.served, Served::Degraded);
    assert_eq!(response.head.target, None);
    let output = response.body.as_full().unwrap();
    assert_eq!((output.first_text().as_str(), output.usage()), ("Later, please.", Some(&Usage::reported(0, 0))));
    let (sender, receiver) = std::sync::mpsc::channel();
    drop(response.body.on_end(move |outcome| {
        let Outcome::Complete(progress) = outcome else { panic!("it is complete") };
        sender.send(progress.is_unpaid()).unwrap();
    }));
    assert!(receiver.recv().unwrap(), "nobody is paid for it");
    let attempts = trail.attempts();
    assert_eq!(attempts.len(), 1, "a message is no attempt");
    assert_eq!(attempts[0].end, Some(AttemptEnd::Failed(ErrorKind::Server)));
    assert_eq!(attempts[0].verdict, Some("fell_back"));
}

#[tokio::test(start_paused = true)]
async fn a_message_can_be_read_as_a_stream() {
    let response = call(&message("Later, please."), down(), streamed()).await.unwrap();
    let frames: Vec<_> = response.body.map(Result::unwrap).collect().await;
    let events: Vec<_> = frames.iter().flat_map(|frame| frame.events()).map(|event| event.event.clone()).collect();
    let said: String =
        events.iter().filter_map(|event| if let Event::Text(text) = event { Some(&**text) } else { None }).collect();
    assert_eq!(said, "Later, please.");
    assert!(
        events.contains(&Event::Finish(FinishReason::Stop)) && events.contains(&Event::Usage(Usage::reported(0, 0)))
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_inner_service_passes_as_it_is() {
    let response = call(&message("no"), Probe::answering(Answer::text("blue")), asked()).await.unwrap();
    assert_eq!(response.head.served, Served::FirstChoice);
    assert_eq!(response.body.collect().await.unwrap().first_text(), "blue");
}

#[tokio::test(start_paused = true)]
async fn what_is_the_callers_own_fault_passes_unless_it_is_listed() {
    for kind in ErrorKind::ALL {
        let is_ours = matches!(
            kind,
            ErrorKind::Overloaded
                | ErrorKind::Server
                | ErrorKind::Connect
                | ErrorKind::Interrupted
                | ErrorKind::Timeout(_)
                | ErrorKind::Undecodable
                | ErrorKind::CircuitOpen
                | ErrorKind::NoRoute
                | ErrorKind::QuotaExhausted
                | ErrorKind::ProviderCredentials
                | ErrorKind::RateLimited
                | ErrorKind::BudgetExceeded
        );
        let expected = if is_ours { Ok("answered".to_owned()) } else { Err(kind) };
        let probe = || Probe::answering(fails(kind));
        assert_eq!(text(call(&message("answered"), probe(), asked()).await).await, expected);
        let listed = FallbackLayer::new().case(When::new().kinds([kind]), Instead::message("listed"));
        assert_eq!(text(call(&listed, probe(), asked()).await).await, Ok("listed".to_owned()));
        let others = ErrorKind::ALL.into_iter().filter(|other| *other != kind);
        let unlisted = FallbackLayer::new().case(When::new().kinds(others), Instead::message("others"));
        assert_eq!(text(call(&unlisted, probe(), asked()).await).await, Err(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_content_is_answered_and_one_that_fails_later_is_not() {
    let cut = |frames: Frames| Probe::answering(Answer::stream(frames.fail(Error::new(ErrorKind::Overloaded, "busy"))));
    let layer = message("Later, please.");
    let early = call(&layer, cut(Frames::new().start().ping()), streamed()).await;
    assert_eq!(text(early).await, Ok("Later, please.".to_owned()));
    let late = call(&layer, cut(Frames::new().start().text("Blue ")), streamed()).await.unwrap();
    assert_eq!(late.head.served, Served::FirstChoice);
    let error = late.body.collect().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::AfterContent));
    assert_eq!(layer.handle().answered(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_kept_answer_only_gets_no_other() {
    let (service, log) = other(Answer::text("another model's"));
    for layer in [message("Later."), FallbackLayer::new().case(When::new(), Instead::service(service))] {
        let mut request = asked();
        request.context_mut().set_cache(CacheDirective { only_if_cached: true, ..CacheDirective::default() });
        let probe = Probe::answering(fails(ErrorKind::NoRoute));
        assert_eq!(text(call(&layer, probe, request).await).await, Err(ErrorKind::NoRoute));
    }
    assert_eq!(log.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_has_a_bound() {
    let hold = llm_core::HoldBack { bytes: usize::MAX, wait: Some(Duration::from_secs(1)) };
    let slow = Frames::new().start().wait(Duration::from_secs(2)).fail(Error::new(ErrorKind::Server, "down"));
    let begun = Instant::now();
    let response = call(&message("no").hold_back(hold), Probe::answering(Answer::stream(slow)), streamed()).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(text(response).await, Err(ErrorKind::Server));
}

#[tokio::test(start_paused = true)]
async fn the_first_case_that_holds_and_has_an_answer_is_it() {
    let layer = FallbackLayer::new()
        .case(When::new().workflow(["chat", "mail"]), Instead::message("workflow"))
        .case(When::new().intent(["code"]), Instead::message("intent"))
        .case(When::new().kinds([ErrorKind::Connect]), Instead::message("kind"))
        .case(When::new(), Instead::message("else"));
    let of = |workflow: Option<&str>, intent: Option<&'static str>| {
        let mut request = asked();
        request.context_mut().set_caller(Caller { workflow: workflow.map(Into::into), ..Caller::default() });
        intent.into_iter().for_each(|intent| request.context_mut().set_intent(intent));
        request
    };
    for (request, kind, expected) in [
        (of(Some("mail"), Some("code")), ErrorKind::Server, "workflow"),
        (of(Some("other"), Some("code")), ErrorKind::Server, "intent"),
        (of(None, Some("math")), ErrorKind::Connect, "kind"),
        (of(None, None), ErrorKind::Server, "else"),
    ] {
        assert_eq!(text(call(&layer, Probe::answering(fails(kind)), request).await).await, Ok(expected.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_answers_by_request_and_failure_or_leaves_it_to_the_next() {
    let by_kind = |request: &LlmRequest, failure: &Error| match failure.kind() {
        ErrorKind::Server => Some(Output::text(format!("{} is down", request.model()))),
        // Nothing that a chat could be answered with.
        ErrorKind::Connect => Some(Output::Embed(Default::default())),
        _ => None,
    };
    let layer = FallbackLayer::new()
        .case(When::new(), Instead::function(by_kind))
        .case(When::new().kinds([ErrorKind::Connect]), Instead::message("the next"));
    let answered = async |kind| text(call(&layer, Probe::answering(fails(kind)), asked()).await).await;
    assert_eq!(answered(ErrorKind::Server).await, Ok("gpt-4o is down".to_owned()));
    assert_eq!(answered(ErrorKind::Connect).await, Ok("the next".to_owned()));
    assert_eq!(answered(ErrorKind::Overloaded).await, Err(ErrorKind::Overloaded));
    let handle = layer.handle();
    assert_eq!(handle.count(ErrorKind::Server, FallbackEvent::Function), 1);
    assert_eq!(handle.count(ErrorKind::Connect, FallbackEvent::Message), 1);
    assert_eq!(handle.count(ErrorKind::Overloaded, FallbackEvent::Unanswered), 1);
}

#[tokio::test(start_paused = true)]
async fn embeddings_and_counts_are_never_answered_with_a_text() {
    let (service, log) = other(Answer::whole(Output::Embed(Default::default())));
    let embed = || LlmRequest::embed("m", ["x"]);
    let count = LlmRequest::new("m", Payload::CountTokens(Default::default()));
    assert_eq!(text(call(&message("no"), down(), embed()).await).await, Err(ErrorKind::Server));
    assert_eq!(text(call(&message("no"), down(), count).await).await, Err(ErrorKind::Server));
    let layer = message("no").case(When::new(), Instead::service(service));
    let answered = call(&layer, down(), embed()).await.unwrap();
    assert!(matches!(answered.body.collect().await.unwrap(), Output::Embed(_)));
    assert_eq!(log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_asked_with_the_callers_request_in_an_attempt_beyond_the_allowance() {
    let (service, log) = other(Answer::text("from the other"));
    let layer = FallbackLayer::new().case(When::new(), Instead::service(service));
    let request = asked();
    request.context().set_allowance(0);
    let trail = request.context().trail();
    let response = call(&layer, down(), request.clone()).await.unwrap();
    assert_eq!(response.head.served, Served::Degraded);
    assert_eq!(text(Ok(response)).await, Ok("from the other".to_owned()));
    let seen = &log.requests()[0];
    assert_eq!((seen.payload(), seen.model()), (request.payload(), "gpt-4o"));
    assert_eq!((seen.context().attempt().reason, seen.context().attempt().number), (Again::Fallback, 1));
    assert_eq!(trail.attempts()[0].verdict, Some("fell_back"));
}

#[tokio::test(start_paused = true)]
async fn of_all_fallbacks_of_a_call_one_service_is_asked() {
    let ((inner, inner_log), (outer, outer_log)) = (other(fails(ErrorKind::Server)), other(Answer::text("outer")));
    let inner = FallbackLayer::new()
        .case(When::new(), Instead::service(inner.clone()))
        .case(When::new(), Instead::service(inner))
        .layer(down());
    let layer = FallbackLayer::new().case(When::new(), Instead::service(outer));
    assert_eq!(text(layer.layer(inner).oneshot(asked()).await).await, Err(ErrorKind::Server));
    assert_eq!((inner_log.calls(), outer_log.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_call_goes_to_a_local_service_or_to_the_next_case() {
    let ((away, away_log), (local, local_log)) = (other(Answer::text("away")), other(Answer::text("local")));
    let layer = FallbackLayer::new()
        .case(When::new(), Instead::service(away))
        .case(When::new().workflow(["mail"]), Instead::local_service(local))
        .case(When::new().intent(["code"]), Instead::message("a message"));
    let mut request = asked();
    request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    assert_eq!(text(call(&layer, down(), request.clone()).await).await, Err(ErrorKind::Server));
    request.context_mut().set_intent("code");
    assert_eq!(text(call(&layer, down(), request.clone()).await).await, Ok("a message".to_owned()));
    request.context_mut().set_caller(Caller { workflow: Some("mail".into()), ..Caller::default() });
    assert_eq!(text(call(&layer, down(), request).await).await, Ok("local".to_owned()));
    assert_eq!((away_log.calls(), local_log.calls()), (0, 1));
    assert_eq!(text(call(&layer, down(), asked()).await).await, Ok("away".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_when_the_caller_has_stopped_waiting() {
    let (service, log) = other(Answer::text("too late"));
    let layer =
        FallbackLayer::new().case(When::new().kinds([ErrorKind::Timeout(Phase::Total)]), Instead::service(service));
    let slow = || Probe::answering(fails(ErrorKind::Timeout(Phase::Total)).after(Duration::from_secs(5)));
    let mut request = asked();
    request.context_mut().set_deadline(Instant::now() + Duration::from_secs(5));
    assert_eq!(text(call(&layer, slow(), request).await).await, Err(ErrorKind::Timeout(Phase::Total)));
    assert_eq!(log.calls(), 0);
    assert_eq!(text(call(&layer, slow(), asked()).await).await, Ok("too late".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn when_the_service_fails_too_the_failure_is_the_first_one_with_all_that_is_known() {
    let target = Target::new("openai", "gpt-4o");
    let first = Error::new(ErrorKind::RateLimited, "slow down")
        .with_retry_after(Duration::from_secs(9))
        .with_target(target.clone());
    let second = Error::new(ErrorKind::Overloaded, "busy").with_retry_after(Duration::from_secs(4));
    // The second one fails in its stream, before content.
    let (service, _) = other(Answer::stream(Frames::new().start().fail(second)));
    let layer = FallbackLayer::new().case(When::new(), Instead::service(service));
    let error = call(&layer, Probe::answering(Answer::fail(first)), streamed()).await.unwrap_err();
    assert_eq!((error.kind(), error.message(), error.target()), (ErrorKind::RateLimited, "slow down", Some(&target)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(4)));
    let attempts = error.trail().unwrap().attempts();
    assert_eq!(attempts.iter().map(|attempt| attempt.reason).collect::<Vec<_>>(), [Again::First, Again::Fallback]);
    assert_eq!(attempts[1].end, Some(AttemptEnd::Failed(ErrorKind::Overloaded)));
    assert_eq!(layer.handle().count(ErrorKind::RateLimited, FallbackEvent::Unanswered), 1);
    assert_eq!(layer.handle().answered(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_service_that_fails_the_next_case_answers() {
    let layer = FallbackLayer::new()
        .case(When::new(), Instead::service(down()))
        .case(When::new(), Instead::message("Later, please."));
    assert_eq!(text(call(&layer, down(), asked()).await).await, Ok("Later, please.".to_owned()));
    assert_eq!(layer.handle().count(ErrorKind::Server, FallbackEvent::Message), 1);
}

#[tokio::test(start_paused = true)]
async fn a_services_stream_that_fails_after_content_fails_for_the_caller() {
    let frames = Frames::cut("Blue ").fail(Error::new(ErrorKind::Server, "the other is down"));
    let layer = FallbackLayer::new()
        .case(When::new(), Instead::service(Probe::answering(Answer::stream(frames))))
        .case(When::new(), Instead::message("never"));
    let response = call(&layer, down(), streamed()).await.unwrap();
    assert_eq!(response.head.served, Served::Degraded);
    assert_eq!(response.body.collect().await.unwrap_err().stage(), Stage::AfterContent);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_the_service_that_is_asked() {
    let (service, log) = other(Answer::hang());
    let layer = FallbackLayer::new().case(When::new(), Instead::service(service));
    let mut call = Box::pin(call(&layer, down(), asked()));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!((log.calls(), log.in_flight()), (1, 1));
    drop(call);
    assert_eq!((log.in_flight(), log.futures_dropped()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_which_there_is_no_case_leaves_no_trace() {
    let layer = FallbackLayer::new().case(When::new().workflow(["chat"]), Instead::message("no"));
    let error = call(&layer, down(), asked()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    let mut shown = 0;
    layer.handle().measure(&mut |_| shown += 1);
    assert_eq!(shown, 0);
    let bare = call(&FallbackLayer::new(), down(), asked()).await.unwrap_err();
    assert_eq!(bare.kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn the_handle_counts_by_kind_and_tells_when_it_begins() {
    let layer = message("no");
    let handle = layer.handle();
    let mut notices = handle.notices();
    let fail = async |kind| drop(call(&layer, Probe::answering(fails(kind)), asked()).await);
    fail(ErrorKind::Connect).await;
    fail(ErrorKind::Server).await;
    fail(ErrorKind::Server).await;
    assert_eq!(handle.answered(), 3);
    let mut figures = BTreeMap::new();
    handle.measure(&mut |measure| {
        let labels: Vec<String> = measure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        figures.insert(format!("{} {}", measure.name, labels.join(" ")), measure.value);
    });
    let connect = "llm.fallback.events error=connect event=message".to_owned();
    let server = "llm.fallback.events error=server event=message".to_owned();
    assert_eq!(figures, BTreeMap::from([(connect, 1.0), (server, 2.0)]));

    let mut heard = || notices.next().now_or_never().flatten().map(|notice| (notice.kind, notice.key));
    assert_eq!(heard(), Some(("began", "connect".to_owned())));
    assert_eq!(heard(), None, "once is enough");
    tokio::time::advance(Duration::from_secs(59)).await;
    fail(ErrorKind::Server).await;
    assert_eq!(heard(), None, "it goes on");
    tokio::time::advance(Duration::from_secs(60)).await;
    fail(ErrorKind::Server).await;
    assert_eq!(heard(), Some(("began", "server".to_owned())));
}

/// What a case answers, without the answer.
#[derive(Clone, Copy, Debug)]
enum Does {
    Message,
    Function(bool),
    Service { is_local: bool, fails: bool },
}

const KINDS: [ErrorKind; 4] =
    [ErrorKind::Server, ErrorKind::InvalidRequest, ErrorKind::CircuitOpen, ErrorKind::LimitExceeded];

fn cases() -> impl Strategy<Value = Vec<(Vec<ErrorKind>, Does)>> {
    let does = prop_oneof![
        Just(Does::Message),
        any::<bool>().prop_map(Does::Function),
        any::<(bool, bool)>().prop_map(|(is_local, fails)| Does::Service { is_local, fails }),
    ];
    prop::collection::vec((subsequence(KINDS.to_vec(), 0..=4), does), 0..6)
}

proptest! {
    #[test]
    fn the_answer_is_that_of_the_first_case_that_has_one(
        cases in cases(),
        kind in prop::sample::select(KINDS.to_vec()),
        is_sensitive in any::<bool>(),
        is_embedding in any::<bool>(),
        is_taken in any::<bool>(),
    ) {
        let mut request = if is_embedding { LlmRequest::embed("m", ["x"]) } else { asked() };
        if is_sensitive {
            request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        }
        // The model: what happens, case by case.
        let (mut is_taken, mut expected, mut asked) = (is_taken, None, 0);
        if is_taken {
            prop_assert!(request.context().may_call_again(Again::Fallback, None));
        }
        for (at, (kinds, does)) in cases.iter().enumerate() {
            if !kinds.contains(&kind) || expected.is_some() {
                continue;
            }
            match does {
                Does::Message if !is_embedding => expected = Some(at),
                Does::Function(true) if !is_embedding => expected = Some(at),
                Does::Service { is_local, fails } if !is_taken && (*is_local || !is_sensitive) => {
                    is_taken = true;
                    asked += 1;
                    expected = (!fails).then_some(at);
                }
                Does::Message | Does::Function(_) | Does::Service { .. } => {}
            }
        }
        let mut layer = FallbackLayer::new();
        let mut logs = Vec::new();
        for (at, (kinds, does)) in cases.iter().enumerate() {
            let says = at.to_string();
            let answer = match *does {
                Does::Message => Instead::message(says),
                Does::Function(has_one) => Instead::function(move |_: &LlmRequest, _: &Error| {
                    has_one.then(|| Output::text(says.clone()))
                }),
                Does::Service { is_local, fails: true } => service(is_local, fails(ErrorKind::Connect), &mut logs),
                Does::Service { is_local, fails: false } => service(is_local, Answer::whole(Output::text(says)), &mut logs),
            };
            layer = layer.case(When::new().kinds(kinds.iter().copied()), answer);
        }
        let answered = call(&layer, Probe::answering(fails(kind)), request).now_or_never().expect("nobody waits");
        let seen = answered.map(|response| response.body.as_full().map(Output::first_text));
        match expected {
            Some(at) => prop_assert_eq!(seen.unwrap(), Some(at.to_string())),
            None => {
                // A service that was asked has reached a provider, as the script has it.
                let told = if asked > 0 && kind.class().is_own { ErrorKind::Connect } else { kind };
                prop_assert_eq!(seen.unwrap_err().kind(), told);
            }
        }
        prop_assert_eq!(logs.iter().map(ProbeLog::calls).sum::<usize>(), asked);
    }
}

fn service(is_local: bool, answer: Answer, logs: &mut Vec<ProbeLog>) -> Instead {
    let (service, log) = other(answer);
    logs.push(log);
    if is_local { Instead::local_service(service) } else { Instead::service(service) }
}
