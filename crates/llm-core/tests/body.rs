//! A body reports one outcome, and only one, however it ends and wherever it is dropped.

#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, future::poll_fn};
use llm_core::{
    Body, Commit, Error, ErrorKind, Event, FinishReason, Frame, Head, HoldBack, LlmRequest, LlmResponse, Observer,
    Outcome, Output, Payload, Progress, Provenance, Stage, TokenEstimate, Usage, watch, watch_end,
};
use proptest::prelude::*;
use tower::{Service, ServiceExt, service_fn};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Ping,
    Start,
    Text,
    Finish,
    Last,
    Error,
    Pending,
    Panic,
}

struct Script(VecDeque<Step>);

impl Stream for Script {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(step) = self.0.front().copied() else { return Poll::Ready(None) };
        if step != Step::Pending {
            self.0.pop_front();
        }
        match step {
            Step::Pending => Poll::Pending,
            Step::Panic => panic!("scripted"),
            Step::Error => Poll::Ready(Some(Err(Error::new(ErrorKind::Server, "scripted")))),
            Step::Ping => Poll::Ready(Some(Ok(Frame::default()))),
            Step::Start => Poll::Ready(Some(Ok(Frame::event(Event::Start(Default::default()))))),
            Step::Text => Poll::Ready(Some(Ok(Frame::text("hi")))),
            Step::Finish => Poll::Ready(Some(Ok(Frame::event(Event::Finish(FinishReason::Stop))))),
            Step::Last => Poll::Ready(Some(Ok(Frame::default().last()))),
        }
    }
}

fn body(steps: &[Step]) -> Body {
    Body::stream(Script(steps.iter().copied().collect()))
}

#[derive(Clone, Debug, PartialEq)]
enum End {
    Complete,
    Failed(ErrorKind),
    Abandoned,
}

#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    frames: usize,
    contents: usize,
    ends: Vec<End>,
}

impl Spy {
    fn seen(&self) -> Seen {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Spy {
    fn on_frame(&mut self, _: &Frame, _: &Progress) {
        self.0.lock().unwrap().frames += 1;
    }

    fn on_content(&mut self, progress: &Progress) {
        assert!(progress.first_content().is_some());
        self.0.lock().unwrap().contents += 1;
    }

    fn on_end(&mut self, outcome: &Outcome<'_>) {
        assert!(outcome.progress().ended().is_some());
        self.0.lock().unwrap().ends.push(match outcome {
            Outcome::Complete(_) => End::Complete,
            Outcome::Failed(_, error) => End::Failed(error.kind()),
            Outcome::Abandoned(_) => End::Abandoned,
        });
    }
}

fn ask() -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Tell me everything there is to know about tides.").build()
}

/// What a naive reader of the rules expects of a body of which at most `reads` items are read.
fn expected(steps: &[Step], reads: usize) -> End {
    let mut finished = false;
    for step in steps.iter().take(reads) {
        match step {
            Step::Last => return End::Complete,
            Step::Error => return End::Failed(ErrorKind::Server),
            Step::Panic => return End::Failed(ErrorKind::Internal),
            Step::Pending => return End::Abandoned,
            Step::Finish => finished = true,
            Step::Ping | Step::Start | Step::Text => {}
        }
    }
    match (reads > steps.len(), finished) {
        (true, true) => End::Complete,
        (true, false) => End::Failed(ErrorKind::Interrupted),
        (false, _) => End::Abandoned,
    }
}

/// Reads up to `reads` items without waiting, then drops the body.
fn read_and_drop(mut body: Body, reads: usize) {
    let _ = catch_unwind(AssertUnwindSafe(move || {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..reads {
            match body.poll_next_unpin(&mut cx) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }));
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Text),
        2 => Just(Step::Ping),
        2 => Just(Step::Start),
        1 => Just(Step::Finish),
        1 => Just(Step::Last),
        1 => Just(Step::Error),
        1 => Just(Step::Pending),
        1 => Just(Step::Panic),
    ]
}

proptest! {
    #[test]
    fn every_ending_and_every_drop_point_is_one_outcome(
        steps in prop::collection::vec(step(), 0..12),
        reads in 0_usize..16,
        observers in 1_usize..4,
    ) {
        let spies: Vec<Spy> = (0..observers).map(|_| Spy::default()).collect();
        let watched = spies.iter().fold(body(&steps), |body, spy| body.observe(spy.clone()));
        // A panic is the last thing that can be read.
        let expected = expected(&steps, reads);
        read_and_drop(watched, reads);
        for spy in spies {
            prop_assert_eq!(spy.seen().ends, vec![expected.clone()]);
        }
    }

    #[test]
    fn holding_back_changes_neither_frames_nor_outcomes(
        steps in prop::collection::vec(step(), 0..12),
        reads in 0_usize..16,
    ) {
        let early = Spy::default();
        let hold = body(&steps).observe(early.clone()).until_content(HoldBack::default());
        let held = catch_unwind(AssertUnwindSafe(|| hold.now_or_never()));
        match held {
            // The stream is waiting, panicked or failed before content: there is no body any more.
            Ok(None) => prop_assert_eq!(early.seen().ends, vec![End::Abandoned]),
            Err(_) => prop_assert_eq!(early.seen().ends, vec![End::Failed(ErrorKind::Internal)]),
            Ok(Some(Err(error))) => {
                prop_assert_eq!(error.stage(), Stage::BeforeContent);
                prop_assert_eq!(early.seen().ends, vec![End::Failed(error.kind())]);
            }
            Ok(Some(Ok(held))) => {
                let late = Spy::default();
                read_and_drop(held.observe(late.clone()), reads);
                // Whoever came after the hold sees just what a reader of the plain body would have seen.
                let plain = Spy::default();
                read_and_drop(body(&steps).observe(plain.clone()), reads);
                prop_assert_eq!(late.seen().frames, plain.seen().frames);
                prop_assert_eq!(late.seen().contents, plain.seen().contents);
                prop_assert_eq!(&late.seen().ends, &plain.seen().ends);
                prop_assert_eq!(early.seen().ends.len(), 1);
            }
        }
    }
}

#[tokio::test]
async fn a_whole_answer_is_over_before_it_is_read() {
    let spy = Spy::default();
    let body = Body::full(Output::text("hello")).observe(spy.clone());
    assert_eq!(spy.seen().ends, [End::Complete]);
    drop(body);
    assert_eq!(spy.seen().ends, [End::Complete]);
}

#[tokio::test]
async fn a_failure_after_content_is_marked_as_one() {
    let mut body = body(&[Step::Text, Step::Error]);
    assert!(body.next().await.unwrap().is_ok());
    assert_eq!(body.next().await.unwrap().unwrap_err().stage(), Stage::AfterContent);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn observers_run_innermost_first() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |_: &Outcome<'_>| order.lock().unwrap().push(name)
    };
    let body = body(&[Step::Last]).on_end(note("inner")).on_end(note("outer"));
    body.collect().await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["inner", "outer"]);
}

#[tokio::test]
async fn observers_within_a_wrapped_body_are_told_first_however_it_ends() {
    for steps in [&[Step::Text, Step::Last][..], &[Step::Text, Step::Error], &[Step::Text, Step::Pending]] {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move |_: &Outcome<'_>| order.lock().unwrap().push(name)
        };
        let inner = body(steps).on_end(note("inner"));
        let mut wrapped = inner.wrap(|body| body).on_end(note("middle")).wrap(|body| body).on_end(note("outer"));
        while let Some(Some(Ok(_))) = wrapped.next().now_or_never() {}
        drop(wrapped);
        assert_eq!(*order.lock().unwrap(), ["inner", "middle", "outer"], "{steps:?}");
    }
}

#[tokio::test]
async fn a_stream_that_panics_when_it_is_dropped_has_been_abandoned() {
    struct Guarded;
    impl Drop for Guarded {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    let guarded = Guarded;
    let frames = futures_util::stream::pending::<Result<Frame, Error>>().map(move |frame| {
        let _ = &guarded;
        frame
    });
    let spy = Spy::default();
    let body = Body::stream(frames).observe(spy.clone());
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| drop(body))).is_err());
    assert_eq!(spy.seen().ends, [End::Abandoned]);
}

#[tokio::test]
async fn an_early_failure_is_an_error_and_a_late_one_is_not() {
    let early = body(&[Step::Start, Step::Ping, Step::Error]).until_content(HoldBack::default()).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Server);
    let late = body(&[Step::Start, Step::Text, Step::Error]).until_content(HoldBack::default()).await.unwrap();
    assert_eq!(late.collect().await.unwrap_err().stage(), Stage::AfterContent);
}

#[tokio::test]
async fn a_held_answer_is_handed_on_at_either_bound() {
    let taken = Arc::new(Mutex::new(0));
    let count = Arc::clone(&taken);
    let wire = bytes::Bytes::from_static(&[b':'; 64]);
    let endless = futures_util::stream::repeat_with(move || {
        *count.lock().unwrap() += 1;
        Ok(Frame::default().with_wire(llm_core::Dialect::OpenAi, wire.clone()))
    });
    let hold = HoldBack { bytes: 4_096, wait: None };
    let mut body = Body::stream(endless).until_content(hold).await.unwrap();
    let held = *taken.lock().unwrap();
    assert!((8..=4_096 / 64 + 1).contains(&held), "{held} frames of 64 bytes were held, and more than a few");
    for _ in 0..2 * held {
        assert!(poll_fn(|cx| body.poll_next_unpin(cx)).await.unwrap().is_ok());
    }
    assert_eq!(*taken.lock().unwrap(), 2 * held, "none is lost, and none held any more");
}

#[tokio::test(start_paused = true)]
async fn a_held_answer_waits_no_longer_than_told() {
    let begun = tokio::time::Instant::now();
    let hold = HoldBack { wait: Some(Duration::from_secs(7)), ..HoldBack::default() };
    let held = body(&[Step::Start, Step::Pending]).until_content(hold).await;
    assert!(held.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}

#[tokio::test]
async fn usage_is_the_report_or_else_an_estimate() {
    let spent = Arc::new(Mutex::new(Vec::new()));
    let keep = || {
        let spent = Arc::clone(&spent);
        move |outcome: &Outcome<'_>| spent.lock().unwrap().push(outcome.progress().usage())
    };
    let request = ask();
    let frames = |usage: Option<Usage>| {
        let mut frames = vec![Ok(Frame::text("The moon pulls the sea."))];
        frames.extend(usage.map(|usage| Ok(Frame::event(Event::Usage(usage)))));
        frames.push(Ok(Frame::default().last()));
        Body::stream(futures_util::stream::iter(frames)).answering(&request, "gpt-4o")
    };
    frames(Some(Usage::reported(19, 6))).on_end(keep()).collect().await.unwrap();
    frames(None).on_end(keep()).collect().await.unwrap();
    frames(Some(Usage::reported(19, 0))).on_end(keep()).collect().await.unwrap();
    let spent = spent.lock().unwrap();
    assert_eq!(spent[0], Usage::reported(19, 6));
    assert_eq!(spent[1].provenance, Provenance::Estimated);
    assert!((10..30).contains(&spent[1].input) && (4..10).contains(&spent[1].output), "{:?}", spent[1]);
    assert_eq!(spent[2].provenance, Provenance::Estimated, "no output for an answer that had some is no report");
    assert_eq!(spent[2].input, 19);
}

#[tokio::test]
async fn an_estimate_is_not_above_the_most_output_that_was_asked_for() {
    let output = async |request: &LlmRequest| {
        let frames = [Ok(Frame::text("The moon pulls the sea."))];
        let body = Body::stream(futures_util::stream::iter(frames)).answering(request, "gpt-4o");
        let (told, output) = std::sync::mpsc::channel();
        body.on_end(move |outcome| told.send(outcome.progress().usage().output).unwrap()).collect().await.unwrap_err();
        output.recv().unwrap()
    };
    let asked = |most| LlmRequest::chat("m").user("Why?").max_output_tokens(most).stream().build();
    assert!((4..10).contains(&output(&asked(20)).await));
    assert_eq!(output(&asked(3)).await, 3);
    let mut lowered = asked(20);
    lowered.context_mut().lower_output_ceiling(2);
    assert_eq!(output(&lowered).await, 2);
    if let Payload::Chat(chat) = lowered.payload_mut() {
        chat.n = std::num::NonZeroU32::new(2);
    }
    assert_eq!(output(&lowered).await, 4, "of each answer");
}

#[tokio::test]
async fn a_watched_call_reports_failure_drop_and_panic_before_the_head() {
    let failing = Spy::default();
    let failed = async { Err::<LlmResponse, _>(Error::new(ErrorKind::Connect, "refused")) };
    assert!(watch(&ask(), failed, failing.clone()).await.is_err());
    assert_eq!(failing.seen().ends, [End::Failed(ErrorKind::Connect)]);

    let dropped = Spy::default();
    let mut pending = Box::pin(watch(&ask(), std::future::pending::<Result<LlmResponse, Error>>(), dropped.clone()));
    assert!(pending.as_mut().now_or_never().is_none());
    drop(pending);
    assert_eq!(dropped.seen().ends, [End::Abandoned]);

    let panicked = Spy::default();
    let panicking = watch(&ask(), async { panic!("scripted") as Result<LlmResponse, Error> }, panicked.clone());
    assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
    assert_eq!(panicked.seen().ends, [End::Failed(ErrorKind::Internal)]);
}

#[tokio::test]
async fn a_watched_call_goes_on_into_the_body() {
    let spy = Spy::default();
    let answer = async { Ok::<_, Error>(LlmResponse::new(Head::default(), body(&[Step::Text, Step::Last]))) };
    let response = watch(&ask(), answer, spy.clone()).await.unwrap();
    assert!(spy.seen().ends.is_empty(), "the call is not over when its head is there");
    response.body.collect().await.unwrap();
    assert_eq!(spy.seen().ends, [End::Complete]);
}

#[tokio::test]
async fn a_failure_behind_commit_is_an_error_and_stands_in_the_trail() {
    let inner = service_fn(|_: LlmRequest| async {
        Ok::<_, Error>(LlmResponse::new(Head::default(), body(&[Step::Start, Step::Error])))
    });
    let request = LlmRequest::chat("m").user("hi").stream().build();
    let trail = request.context().trail();
    let mut commit = Commit::new(inner, HoldBack::default());
    let error = commit.ready().await.unwrap().call(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    let attempts = trail.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].end, Some(llm_core::AttemptEnd::Failed(ErrorKind::Server)));
}

/// What a provider says it used so far is not the bill of an answer that goes on.
#[tokio::test]
async fn an_early_report_is_not_the_bill_of_a_cut_stream() {
    let spent = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&spent);
    let mut frames = vec![Ok(Frame::event(Event::Usage(Usage::reported(25, 1))))];
    frames.extend((0..100).map(|_| Ok(Frame::text("and so on "))));
    let cut = Body::stream(futures_util::stream::iter(frames)).answering(&ask(), "gpt-4o");
    let cut = cut.on_end(move |outcome| *keep.lock().unwrap() = Some(outcome.progress().usage()));
    assert!(cut.collect().await.is_err());
    let usage = spent.lock().unwrap().unwrap();
    assert_eq!((usage.input, usage.provenance), (25, Provenance::Estimated));
    assert!(usage.output > 200, "{usage:?}");
}

#[tokio::test]
async fn a_report_after_the_finish_holds_although_the_caller_left_then() {
    let spent = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&spent);
    let frames = [
        Ok(Frame::text("A very long answer, and more tokens than the provider says.")),
        Ok(Frame::event(Event::Finish(FinishReason::Stop))),
        Ok(Frame::event(Event::Usage(Usage::reported(25, 3)))),
    ];
    let mut body = Body::stream(futures_util::stream::iter(frames))
        .on_end(move |outcome| *keep.lock().unwrap() = Some(outcome.progress().usage()));
    for _ in 0..3 {
        body.next().await.unwrap().unwrap();
    }
    drop(body);
    assert_eq!(spent.lock().unwrap().unwrap(), Usage::reported(25, 3));
}

#[tokio::test]
async fn a_call_that_was_given_up_counts_its_prompt_and_one_that_was_refused_does_not() {
    let spent = Arc::new(Mutex::new(Vec::new()));
    struct Keep(Arc<Mutex<Vec<Usage>>>);
    impl Observer for Keep {
        fn on_end(&mut self, outcome: &Outcome<'_>) {
            self.0.lock().unwrap().push(outcome.progress().usage());
        }
    }
    let dropped = std::future::pending::<Result<LlmResponse, Error>>();
    drop(watch(&ask(), dropped, Keep(Arc::clone(&spent))));
    for kind in [ErrorKind::Interrupted, ErrorKind::RateLimited, ErrorKind::CircuitOpen] {
        let failed = async move { Err::<LlmResponse, _>(Error::new(kind, "scripted")) };
        assert!(watch(&ask(), failed, Keep(Arc::clone(&spent))).await.is_err());
    }
    let given_up = async { Err::<LlmResponse, _>(Error::new(ErrorKind::Interrupted, "scripted")) };
    assert!(watch_end(given_up, Keep(Arc::clone(&spent))).await.is_err());
    let inputs: Vec<bool> = spent.lock().unwrap().iter().map(|usage| usage.input > 5).collect();
    assert_eq!(inputs, [true, true, false, false, false], "whoever asks for the end alone knows of no prompt");
    assert!(spent.lock().unwrap().iter().all(|usage| usage.provenance == Provenance::Estimated));
}

#[tokio::test]
async fn a_second_choice_that_is_cut_fails_the_answer() {
    let say = |choice: u32, event: Event| Ok(Frame::new([llm_core::ChoiceEvent { choice, event }]));
    let finish = || Event::Finish(FinishReason::Stop);
    let text = || Event::Text("a".to_owned());
    let cut = vec![say(0, text()), say(1, text()), say(0, finish())];
    let error = Body::stream(futures_util::stream::iter(cut)).collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    let whole = vec![say(0, text()), say(1, text()), say(0, finish()), say(1, finish())];
    assert!(Body::stream(futures_util::stream::iter(whole)).collect().await.is_ok());
}

#[tokio::test]
async fn an_observer_that_panics_silences_nobody() {
    let spy = Spy::default();
    let body = body(&[Step::Text, Step::Last]).on_end(|_| panic!("scripted")).observe(spy.clone());
    assert!(AssertUnwindSafe(body.collect()).catch_unwind().await.is_err());
    assert_eq!(spy.seen().ends, [End::Complete]);
}

#[tokio::test]
async fn who_observes_late_is_told_how_it_really_ended() {
    let mut failed = body(&[Step::Text, Step::Error]);
    while failed.next().await.is_some() {}
    let spy = Spy::default();
    drop(failed.observe(spy.clone()));
    assert_eq!(spy.seen().ends, [End::Failed(ErrorKind::Server)]);

    let mut whole = Body::full(Output::text("hello"));
    while whole.next().await.is_some() {}
    let usage = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&usage);
    drop(whole.on_end(move |outcome| *keep.lock().unwrap() = Some(outcome.progress().usage())));
    assert!(usage.lock().unwrap().unwrap().output > 0, "also when it was read already");
}

#[tokio::test]
async fn frames_without_bytes_are_not_held_without_end() {
    let endless = futures_util::stream::repeat_with(|| Ok(Frame::default()));
    let hold = HoldBack { bytes: 1024, wait: None };
    assert!(Body::stream(endless).until_content(hold).now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_failure_tells_what_was_used_until_then() {
    let frames = [Ok(Frame::text("some words")), Err(Error::new(ErrorKind::Server, "scripted"))];
    let error =
        Body::stream(futures_util::stream::iter(frames)).answering(&ask(), "gpt-4o").collect().await.unwrap_err();
    let usage = error.usage().unwrap();
    assert!(usage.input > 5 && usage.output > 0 && usage.provenance == Provenance::Estimated, "{usage:?}");

    let told = Error::new(ErrorKind::Server, "scripted").with_usage(Usage::reported(7, 2));
    let spent = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&spent);
    let body = Body::stream(futures_util::stream::iter([Err(told)]));
    let body = body.on_end(move |outcome| *keep.lock().unwrap() = Some(outcome.progress().usage()));
    assert_eq!(body.collect().await.unwrap_err().usage(), Some(&Usage::reported(7, 2)));
    assert_eq!(spent.lock().unwrap().unwrap(), Usage::reported(7, 2), "the provider's own word holds");
}

#[tokio::test]
async fn a_stream_around_another_knows_what_it_answers_and_ends_by_itself() {
    let (inside, outside) = (Spy::default(), Spy::default());
    let request = LlmRequest::chat("m").user("Why is the sky blue?").build();
    let inner = body(&[Step::Start, Step::Text, Step::Text, Step::Pending]).answering(&request, "m");
    let ended_here = async { Err(Error::new(ErrorKind::Server, "ended here")) };
    let outer = inner.observe(inside.clone()).wrap(|inner| inner.take(2).chain(futures_util::stream::once(ended_here)));
    let error = outer.observe(outside.clone()).collect().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Server, Stage::AfterContent));
    assert!(error.usage().unwrap().input > 0, "the prompt is known");
    assert_eq!(outside.seen().ends, [End::Failed(ErrorKind::Server)]);
    assert_eq!(inside.seen().ends, [End::Abandoned]);
}

#[tokio::test]
async fn a_held_answer_that_is_wrapped_is_not_held_again() {
    let held = body(&[Step::Start, Step::Text, Step::Pending]).until_content(HoldBack::default()).await.unwrap();
    let wrapped = held.wrap(|inner| inner);
    let mut again = wrapped.until_content(HoldBack::default()).now_or_never().unwrap().unwrap();
    assert!(matches!(again.next().await.unwrap().unwrap().events()[0].event, Event::Start(_)));
    assert!(Body::full(Output::text("whole")).wrap(|inner| inner).is_full());
}

#[tokio::test]
async fn an_attempt_that_somebody_in_between_gave_up_stands_in_the_trail_with_the_reason() {
    let request = LlmRequest::chat("m").user("hi").build();
    let trail = request.context().trail();
    let given_up = service_fn(|request: LlmRequest| async move {
        request.context().trail().update(0, |record| record.end = Some(llm_core::AttemptEnd::Abandoned));
        Err::<LlmResponse, _>(Error::new(ErrorKind::Timeout(llm_core::Phase::Head), "too late"))
    });
    Commit::new(given_up, HoldBack::default()).oneshot(request).await.unwrap_err();
    let late = llm_core::AttemptEnd::Failed(ErrorKind::Timeout(llm_core::Phase::Head));
    assert_eq!(trail.attempts()[0].end, Some(late));
}

/// What an observer sees of the output with every frame.
struct Outputs(Arc<Mutex<Vec<TokenEstimate>>>);

impl Observer for Outputs {
    fn on_frame(&mut self, _: &Frame, progress: &Progress) {
        self.0.lock().unwrap().push(progress.output());
    }

    fn on_end(&mut self, _: &Outcome<'_>) {}
}

#[tokio::test]
async fn the_output_so_far_is_what_came_or_what_was_reported_where_that_is_more() {
    let frames = ["Why is ", "the sky ", "blue?"].map(Frame::text);
    let report = |tokens| Frame::event(Event::Usage(Usage::reported(9, tokens)));
    let frames = frames.into_iter().chain([report(3), report(50), Frame::default().last()]).map(Ok);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let body = Body::stream(futures_util::stream::iter(frames)).observe(Outputs(Arc::clone(&seen)));
    body.collect().await.unwrap();
    let seen: Vec<_> = seen.lock().unwrap().iter().map(|output| (output.likely, output.bound)).collect();
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen[2], (6, 7));
    assert_eq!(seen[3..], [(6, 7), (50, 50), (50, 50)]);
}
