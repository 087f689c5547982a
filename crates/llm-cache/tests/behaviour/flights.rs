//! Calls that are made once for all who ask the same.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{join_all, poll_immediate},
};
use llm_cache::{CacheLayer, Refused};
use llm_core::{
    AttemptEnd, Body, CacheDirective, CacheStatus, ChatOutput, Choice, Error, ErrorKind, FinishReason, Frame,
    LlmRequest, NanoUsd, Part, Stage as ErrorStage, Usage, catalog::Catalog,
};
use llm_test::{Answer, Frames, Gate, Probe};
use tokio::time::{Instant, sleep};
use tower::Service;

use crate::stage::{SECOND, Stage, is_hit, of_tenant, question, streamed, with};

const TEXT: &str = "Blue light is scattered more than red.";

fn failure(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "the scripted failure"))
}

fn slowly() -> Frames {
    Frames::answer(TEXT).spaced(Duration::from_millis(100))
}

/// Thirty who ask at once, every third of them for a whole answer.
fn crowd() -> impl Iterator<Item = LlmRequest> {
    (0..30).map(|number| if number % 3 == 0 { question() } else { streamed() })
}

/// Reads so many frames.
async fn read(body: &mut Body, frames: usize) -> Vec<Frame> {
    body.take(frames).map(Result::unwrap).collect().await
}

async fn rest(body: Body) -> Result<String, Error> {
    body.collect().await.map(|output| output.first_text())
}

#[tokio::test(start_paused = true)]
async fn thirty_equal_misses_are_one_call_and_thirty_right_answers() {
    for answer in [Answer::stream(slowly()), Answer::whole(llm_core::Output::text(TEXT)).after(SECOND)] {
        let stage = Stage::answering([answer]);
        let answers = join_all(crowd().map(|request| stage.ask(request))).await;
        let starters = answers.iter().filter(|answer| answer.as_ref().unwrap().0 == CacheStatus::Miss).count();
        let joined = answers.iter().filter(|answer| answer.as_ref().unwrap().0 == CacheStatus::Joined).count();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().1 == TEXT));
        assert_eq!((starters, joined, stage.log.calls()), (1, 29, 1));
        let counts = stage.handle.counts();
        assert_eq!((counts.misses, counts.joined, counts.stored), (1, 29, 1));
        assert_eq!((stage.handle.under_way(), stage.log.ends()), (0, vec![AttemptEnd::Complete]));
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_their_own_share_a_call_too() {
    let stage = Stage::answering([Answer::stream(slowly())]);
    let tasks: Vec<_> = crowd()
        .map(|request| {
            let stage = stage.clone();
            tokio::spawn(async move { stage.ask(request).await.unwrap().1 })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), TEXT);
    }
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_reads_what_has_come_and_then_what_comes_when_it_does() {
    let gate = Gate::new();
    let frames = Frames::new().start().text("Blue ").text("light ").gate(&gate).text("scatters.").finish().last();
    let stage = Stage::answering([Answer::stream(frames)]);
    let mut first = stage.call(streamed()).await.unwrap().body;
    let begun = read(&mut first, 3).await;
    let mut second = stage.call(streamed()).await.unwrap().body;
    assert_eq!(read(&mut second, 3).await, begun);
    assert!(poll_immediate(second.next()).await.is_none(), "no more has come");
    gate.open();
    assert_eq!(rest(second).await.unwrap(), "scatters.");
    assert_eq!(rest(first).await.unwrap(), "scatters.");
}

#[tokio::test(start_paused = true)]
async fn when_the_starter_leaves_the_others_go_on() {
    let stage = Stage::answering([Answer::stream(slowly())]);
    let mut starter = stage.call(streamed()).await.unwrap().body;
    let followers: Vec<_> = join_all((0..5).map(|_| stage.call(streamed()))).await;
    read(&mut starter, 3).await;
    drop(starter);
    assert_eq!(stage.log.in_flight(), 1);
    for follower in followers {
        let follower = follower.unwrap();
        assert_eq!(follower.head.cache, CacheStatus::Joined);
        assert_eq!(rest(follower.body).await.unwrap(), TEXT);
    }
    assert_eq!((stage.log.calls(), stage.handle.counts().stored), (1, 1));
    assert!(is_hit(stage.ask(streamed()).await.unwrap().0));
}

#[tokio::test(start_paused = true)]
async fn when_the_starter_leaves_before_the_head_the_others_go_on() {
    let stage = Stage::answering([Answer::stream(slowly()).after(SECOND)]);
    let mut starter = Box::pin(stage.call(streamed()));
    assert!(poll_immediate(&mut starter).await.is_none());
    let follower = tokio::spawn({
        let stage = stage.clone();
        async move { stage.ask(question()).await }
    });
    tokio::task::yield_now().await;
    drop(starter);
    assert_eq!(follower.await.unwrap().unwrap(), (CacheStatus::Joined, TEXT.into()));
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_to_leave_ends_the_call() {
    let stage = Stage::answering([Answer::stream(Frames::cut(TEXT).hang())]);
    let first = stage.call(streamed()).await.unwrap();
    let second = stage.call(streamed()).await.unwrap();
    drop(first);
    assert_eq!((stage.log.in_flight(), stage.handle.under_way()), (1, 1));
    drop(second);
    assert_eq!((stage.log.in_flight(), stage.handle.under_way()), (0, 0));
    assert_eq!(stage.handle.refused(Refused::Abandoned), 1);
    assert_eq!(stage.ask(streamed()).await.unwrap().0, CacheStatus::Miss);
}

/// A task that does nothing. There are as many references to it as wakers, and one more.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_leaves_no_waker_behind() {
    let stage = Stage::answering([Answer::stream(Frames::cut(TEXT).hang())]);
    let starter = stage.call(streamed()).await.unwrap();
    let mut follower = stage.call(streamed()).await.unwrap().body;
    let task = Arc::new(Task);
    let waker = Waker::from(Arc::clone(&task));
    while follower.poll_next_unpin(&mut Context::from_waker(&waker)).is_ready() {}
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 2, "it waits");
    drop(follower);
    assert_eq!(Arc::strong_count(&task), 1);
    drop(starter);
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_content_reaches_each_once_and_nothing_is_kept() {
    let frames = Frames::cut("Blue light is").spaced(SECOND).fail(Error::new(ErrorKind::Server, "broke"));
    let stage = Stage::answering([Answer::stream(frames)]);
    let answers = join_all(crowd().map(|request| stage.call(request))).await;
    for answer in answers {
        let mut body = answer.unwrap().body;
        let items: Vec<_> = body.by_ref().collect().await;
        let (last, before) = items.split_last().unwrap();
        let error = last.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Server, ErrorStage::AfterContent));
        assert_eq!(before.iter().filter(|item| item.is_ok()).count(), 4);
        assert!(body.next().await.is_none());
    }
    assert_eq!((stage.log.calls(), stage.handle.size().entries, stage.handle.under_way()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_an_early_failure_those_who_joined_make_one_more_call_together() {
    let stage = Stage::answering([failure(ErrorKind::BudgetExceeded).after(SECOND), Answer::text(TEXT)]);
    let answers = join_all(crowd().map(|request| stage.ask(request))).await;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).map(Error::kind).collect();
    assert_eq!(failed, [ErrorKind::BudgetExceeded], "the starter's, whose budget it was");
    assert_eq!(stage.log.calls(), 2);
    assert!(answers.iter().flatten().all(|(_, text)| text == TEXT));
}

#[tokio::test(start_paused = true)]
async fn a_second_early_failure_is_everybodys() {
    let stage = Stage::new(CacheLayer::new(), Probe::answering(failure(ErrorKind::Overloaded).after(SECOND)));
    let answers = join_all(crowd().map(|request| stage.ask(request))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().kind() == ErrorKind::Overloaded));
    assert_eq!(stage.log.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_request_itself_is_at_fault_for_is_not_tried_again() {
    let stage = Stage::new(CacheLayer::new(), Probe::answering(failure(ErrorKind::ContextLength).after(SECOND)));
    let answers = join_all(crowd().map(|request| stage.ask(request))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().kind() == ErrorKind::ContextLength));
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_is_a_failure_of_all() {
    let stage = Stage::answering([Answer::stream(Frames::cut("Blue").wait(SECOND).panic())]);
    let answers = join_all(crowd().map(|request| stage.ask(request))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().kind() == ErrorKind::Internal));
    assert_eq!((stage.log.calls(), stage.handle.under_way()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_nobody_up_and_misses_nothing_while_there_is_room() {
    let stage = Stage::answering([Answer::stream(slowly())]);
    let slow = stage.call(streamed()).await.unwrap();
    assert_eq!(stage.ask(streamed()).await.unwrap().1, TEXT);
    sleep(100 * SECOND).await;
    assert_eq!(rest(slow.body).await.unwrap(), TEXT);
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_a_long_answer_is_told_and_the_others_read_on() {
    let long = "word ".repeat(1_000);
    let layer = CacheLayer::new().entry_limit(NonZeroUsize::new(20_000).unwrap());
    let stage = Stage::new(layer, Probe::answering(Answer::stream(Frames::answer(&long))));
    let mut stuck = stage.call(streamed()).await.unwrap().body;
    read(&mut stuck, 2).await;
    let quick = stage.call(streamed()).await.unwrap();
    assert_eq!(quick.head.cache, CacheStatus::Joined);
    assert_eq!(rest(quick.body).await.unwrap(), long);
    let error = rest(stuck).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Interrupted, ErrorStage::AfterContent));
    assert_eq!((stage.log.calls(), stage.handle.refused(Refused::TooLarge)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_an_answer_that_is_too_long_to_be_kept() {
    let gate = Gate::new();
    let frames = Frames::cut(&"word ".repeat(500)).gate(&gate).finish().last();
    let layer = CacheLayer::new().entry_limit(NonZeroUsize::new(20_000).unwrap());
    let stage = Stage::new(layer, Probe::answering(Answer::stream(frames)));
    let mut first = stage.call(streamed()).await.unwrap().body;
    read(&mut first, 400).await;
    assert_eq!(stage.handle.under_way(), 0);
    let second = stage.call(streamed()).await.unwrap();
    assert_eq!((second.head.cache, stage.log.calls()), (CacheStatus::Miss, 2));
    gate.open();
    assert_eq!(rest(first).await.unwrap().len(), 5 * (500 - 399));
}

#[tokio::test(start_paused = true)]
async fn each_waits_until_its_own_deadline_and_the_call_outlives_the_starters() {
    let stage = Stage::answering([Answer::stream(Frames::answer(TEXT).spaced(SECOND))]);
    let begun = Instant::now();
    let until = |seconds: u64, mut request: LlmRequest| {
        request.context_mut().set_deadline(begun + Duration::from_secs(seconds));
        request.context_mut().set_read_timeout(Duration::from_secs(seconds));
        async {
            let answer = stage.ask(request).await;
            (answer.map_err(|error| error.kind()), begun.elapsed().as_secs())
        }
    };
    let (starter, hasty, patient) = tokio::join!(until(4, streamed()), until(1, question()), until(60, streamed()));
    assert_eq!(hasty, (Err(ErrorKind::DeadlineExceeded), 1));
    assert_eq!(starter, (Err(ErrorKind::DeadlineExceeded), 4));
    assert_eq!(patient.0.unwrap(), (CacheStatus::Joined, TEXT.into()));
    let requests = stage.log.requests();
    let seen = requests[0].context();
    assert_eq!((requests.len(), seen.deadline(), seen.read_timeout()), (1, None, None));
}

#[tokio::test(start_paused = true)]
async fn the_call_is_the_starters_with_its_trail_and_accounts() {
    for answer in [Answer::stream(slowly()), Answer::whole(llm_core::Output::text(TEXT)).after(SECOND)] {
        let stage = Stage::answering([answer]);
        let (first, second) = (of_tenant(question(), "acme"), of_tenant(question(), "acme"));
        let ids = (first.context().id(), second.context().id());
        let (first, second) = tokio::join!(stage.call(first), stage.call(second));
        assert_eq!(stage.log.requests()[0].context().id(), ids.0);
        let is_unpaid = |body: Body| async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let body = body.on_end(move |outcome| sender.send(outcome.progress().is_unpaid()).unwrap());
            body.collect().await.unwrap();
            receiver.await.unwrap()
        };
        let paid = tokio::join!(is_unpaid(first.unwrap().body), is_unpaid(second.unwrap().body));
        assert_eq!(paid, (false, true), "who joined pays nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_an_answer_of_its_own_gets_it_and_nobody_joins_that() {
    let stage = Stage::new(CacheLayer::new(), Probe::answering(Answer::stream(slowly())));
    let alone = || with(streamed(), CacheDirective { no_cache: true, ..CacheDirective::default() });
    let (first, second, third) = tokio::join!(stage.ask(alone()), stage.ask(alone()), stage.ask(streamed()));
    for answer in [first, second, third] {
        assert_eq!(answer.unwrap(), (CacheStatus::Miss, TEXT.into()));
    }
    assert_eq!(stage.log.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn tenants_do_not_join_each_other() {
    let stage = Stage::new(CacheLayer::new(), Probe::answering(Answer::stream(slowly())));
    let ask = |tenant: &str| stage.ask(of_tenant(streamed(), tenant));
    let (one, other) = tokio::join!(ask("acme"), ask("globex"));
    assert_eq!((one.unwrap().0, other.unwrap().0), (CacheStatus::Miss, CacheStatus::Miss));
    assert_eq!(stage.log.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_join_save_a_call_each() {
    let prices = "[[models]]\nname = 'gpt-4o'\ninput = 2.0\noutput = 10.0";
    let layer = CacheLayer::new().catalog(Arc::new(Catalog::from_toml(prices).unwrap()));
    let output = |reason| {
        let choice = Choice { parts: vec![Part::text(TEXT)], finish: Some(reason), ..Choice::default() };
        ChatOutput { choices: vec![choice], usage: Some(Usage::reported(10, 5)), ..ChatOutput::default() }
    };
    // Also if the answer is not kept.
    let answer = Answer::whole(output(FinishReason::Length)).after(SECOND);
    let stage = Stage::new(layer, Probe::answering(answer));
    join_all((0..4).map(|_| stage.ask(question()))).await;
    assert_eq!(stage.handle.counts().saved, NanoUsd(3 * (10 * 2_000 + 5 * 10_000)));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_between_the_call_and_its_first_poll_is_found() {
    let stage = Stage::answering([Answer::text("first"), Answer::text("second")]);
    let mut service = stage.service.clone();
    let late = service.call(question());
    stage.ask(question()).await.unwrap();
    let response = late.await.unwrap();
    assert!(is_hit(response.head.cache));
    assert_eq!((rest(response.body).await.unwrap().as_str(), stage.log.calls()), ("first", 1));
    assert_eq!(stage.handle.counts().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_polls_is_driven_by_whoever_joins() {
    let stage = Stage::answering([Answer::stream(slowly())]);
    let mut first = Box::pin(stage.call(streamed()));
    assert!((&mut first).now_or_never().is_none());
    // The first one is alive and not polled any more.
    assert_eq!(stage.ask(streamed()).await.unwrap(), (CacheStatus::Joined, TEXT.into()));
    assert_eq!(rest(first.await.unwrap().body).await.unwrap(), TEXT);
    assert_eq!(stage.log.calls(), 1);
}
