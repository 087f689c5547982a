//! Answers that have expired.

use std::time::Duration;

use futures_util::future::join_all;
use llm_cache::CacheLayer;
use llm_core::{CacheDirective, CacheStatus, Error, ErrorKind, LlmRequest};
use llm_test::{Answer, Frames, Gate, Probe};
use tokio::{task::yield_now, time::advance};

use crate::stage::{HOUR, SECOND, Stage, is_hit, of_tenant, question, streamed, with};

const MINUTE: Duration = Duration::from_secs(60);

fn failure(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "the scripted failure"))
}

async fn settle() {
    for _ in 0..16 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_good_for_its_time() {
    let stage = Stage::new(CacheLayer::new().ttl(10 * SECOND), Probe::new());
    stage.ask(question()).await.unwrap();
    advance(10 * SECOND).await;
    assert_eq!(stage.ask(question()).await.unwrap().0, CacheStatus::Hit { age: 10 * SECOND });
    advance(5 * SECOND).await;
    assert_eq!(stage.ask(question()).await.unwrap().0, CacheStatus::Miss);
}

#[tokio::test(start_paused = true)]
async fn what_has_just_expired_is_given_and_renewed_meanwhile() {
    let stage = Stage::answering([Answer::text("old"), Answer::text("new").after(SECOND)]);
    stage.ask(question()).await.unwrap();
    advance(HOUR + MINUTE).await;
    for _ in 0..5 {
        let stale = stage.ask(question()).await.unwrap();
        assert_eq!(stale, (CacheStatus::Stale { age: HOUR + MINUTE }, "old".into()));
        settle().await;
    }
    assert_eq!(stage.log.calls(), 2, "one call renews it");
    advance(SECOND).await;
    settle().await;
    assert_eq!(stage.ask(question()).await.unwrap(), (CacheStatus::Hit { age: Duration::ZERO }, "new".into()));
    let counts = stage.handle.counts();
    assert_eq!((counts.hits, counts.misses, counts.stale, counts.stored), (1, 2, 5, 2));
    assert_eq!(counts.joined, 0, "who is answered by what has expired waits for no call");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_a_call_of_its_own_for_the_same_accounts() {
    let stage = Stage::answering([]);
    let ask = || of_tenant(question(), "acme");
    stage.ask(ask()).await.unwrap();
    advance(HOUR + MINUTE).await;
    let request = ask();
    let context = request.context().clone();
    stage.ask(request).await.unwrap();
    settle().await;
    let requests = stage.log.requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(requests[1].context().id(), context.id());
    assert_eq!(requests[1].context().caller(), context.caller());
    assert!(context.trail().attempts().is_empty(), "the answer that was given cost nothing");
}

#[tokio::test(start_paused = true)]
async fn so_many_are_renewed_at_once_and_no_more() {
    let ask = |number: u32| LlmRequest::chat("m").user(number.to_string()).temperature(0.0).build();
    let kept = |number| (number..number + 10).map(|_| Answer::text("old"));
    let gate = Gate::new();
    let layer = CacheLayer::new().renewals(3);
    let stage = Stage::new(layer, Probe::answering(Answer::text("new").gate(&gate)).script(kept(0)));
    for number in 0..10 {
        stage.ask(ask(number)).await.unwrap();
    }
    advance(HOUR + MINUTE).await;
    for number in 0..10 {
        stage.ask(ask(number)).await.unwrap();
        settle().await;
    }
    assert_eq!(stage.log.calls(), 10 + 3);
    gate.open();
    settle().await;
    for number in 3..10 {
        stage.ask(ask(number)).await.unwrap();
        settle().await;
    }
    assert_eq!(stage.log.calls(), 10 + 10, "their places come back");
}

#[tokio::test(start_paused = true)]
async fn renewal_can_be_turned_off_and_set() {
    for (layer, status) in [
        (CacheLayer::new().stale_while_revalidate(Duration::ZERO), CacheStatus::Miss),
        (CacheLayer::new().stale_while_revalidate(HOUR), CacheStatus::Stale { age: HOUR + 30 * MINUTE }),
    ] {
        let stage = Stage::new(layer, Probe::new());
        stage.ask(question()).await.unwrap();
        advance(HOUR + 30 * MINUTE).await;
        assert_eq!(stage.ask(question()).await.unwrap().0, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_what_there_is() {
    let stage = Stage::answering([Answer::text("old"), failure(ErrorKind::Server)]);
    stage.ask(question()).await.unwrap();
    advance(HOUR + MINUTE).await;
    stage.ask(question()).await.unwrap();
    settle().await;
    assert_eq!(stage.ask(question()).await.unwrap().1, "old");
}

#[tokio::test(start_paused = true)]
async fn an_expired_answer_stands_in_for_a_failure() {
    let kinds = [
        ErrorKind::Server,
        ErrorKind::Overloaded,
        ErrorKind::RateLimited,
        ErrorKind::CircuitOpen,
        ErrorKind::BudgetExceeded,
        ErrorKind::NoRoute,
    ];
    for kind in kinds {
        let stage = Stage::answering([Answer::text("old"), failure(kind)]);
        stage.ask(question()).await.unwrap();
        advance(10 * HOUR).await;
        let stale = stage.ask(streamed()).await.unwrap();
        assert_eq!(stale, (CacheStatus::Stale { age: 10 * HOUR }, "old".into()), "{kind}");
        assert_eq!((stage.handle.counts().stale, stage.log.calls()), (1, 2));
    }
    for kind in [ErrorKind::InvalidRequest, ErrorKind::ContentPolicy, ErrorKind::Forbidden] {
        let stage = Stage::answering([Answer::text("old"), failure(kind)]);
        stage.ask(question()).await.unwrap();
        advance(10 * HOUR).await;
        assert_eq!(stage.ask(question()).await.unwrap_err().kind(), kind, "the caller's own");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_content_is_replaced_and_one_that_fails_later_is_not() {
    let early = Frames::new().start().fail(Error::new(ErrorKind::Server, "broke"));
    let late = Frames::new().start().text("new ").fail(Error::new(ErrorKind::Server, "broke"));
    let stage = Stage::answering([Answer::text("old"), Answer::stream(early), Answer::stream(late)]);
    stage.ask(question()).await.unwrap();
    advance(10 * HOUR).await;
    assert_eq!(stage.ask(streamed()).await.unwrap().1, "old");
    assert_eq!(stage.ask(streamed()).await.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn all_who_share_a_call_that_fails_get_what_has_expired() {
    let stage = Stage::answering([Answer::text("old"), failure(ErrorKind::Server).after(SECOND)]);
    stage.ask(question()).await.unwrap();
    advance(10 * HOUR).await;
    let answers = join_all((0..10).map(|_| stage.ask(question()))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().1 == "old"));
    assert_eq!(stage.log.calls(), 2, "who has something to fall back on does not try for itself");
}

#[tokio::test(start_paused = true)]
async fn an_answer_stands_in_for_failures_no_longer_than_was_set() {
    for (layer, hours, stands_in) in [
        (CacheLayer::new(), 25, true),
        (CacheLayer::new(), 26, false),
        (CacheLayer::new().stale_if_error(2 * HOUR), 3, true),
        (CacheLayer::new().stale_if_error(2 * HOUR), 4, false),
        (CacheLayer::new().stale_if_error(Duration::ZERO), 2, false),
    ] {
        let stage = Stage::new(layer, Probe::answering(failure(ErrorKind::Server)).script([Answer::text("old")]));
        stage.ask(question()).await.unwrap();
        advance(hours * HOUR).await;
        assert_eq!(stage.ask(question()).await.is_ok(), stands_in, "{hours}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_kept_only_where_that_was_set_and_only_those_that_would_come_again() {
    let invalid = || failure(ErrorKind::InvalidRequest);
    let stage = Stage::answering([invalid(), invalid()]);
    for _ in 0..2 {
        stage.ask(question()).await.unwrap_err();
    }
    assert_eq!(stage.log.calls(), 2, "off by default");

    let layer = CacheLayer::new().keep_failures(10 * SECOND);
    let script = [invalid(), Answer::text("fine"), failure(ErrorKind::Server), Answer::text("fine")];
    let stage = Stage::new(layer, Probe::new().script(script));
    for _ in 0..3 {
        assert_eq!(stage.ask(question()).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(stage.log.calls(), 1);
    advance(11 * SECOND).await;
    assert_eq!(stage.ask(question()).await.unwrap().1, "fine", "nor does it stand in for anything");
    let other = || of_tenant(question(), "acme");
    stage.ask(other()).await.unwrap_err();
    assert!(stage.ask(other()).await.is_ok(), "what may pass is not kept");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_keeps_nothing_renews_nothing() {
    let stage = Stage::answering([]);
    stage.ask(question()).await.unwrap();
    advance(HOUR + MINUTE).await;
    let no_store = CacheDirective { no_store: true, ..CacheDirective::default() };
    let (status, _) = stage.ask(with(question(), no_store)).await.unwrap();
    assert!(matches!(status, CacheStatus::Stale { .. }));
    settle().await;
    assert_eq!(stage.log.calls(), 1);
    assert!(!is_hit(stage.ask(question()).await.unwrap().0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_kept_takes_no_answers_place() {
    let layer = || CacheLayer::new().keep_failures(10 * SECOND);
    let script = [Answer::text("old"), failure(ErrorKind::ContentPolicy), failure(ErrorKind::ModelNotFound)];
    for after in [SECOND, HOUR + MINUTE, 10 * HOUR] {
        let stage = Stage::new(layer(), Probe::new().script(script.clone()));
        stage.ask(question()).await.unwrap();
        advance(after).await;
        let no_cache = CacheDirective { no_cache: true, ..CacheDirective::default() };
        stage.ask(with(question(), no_cache)).await.unwrap_err();
        stage.ask(question()).await.map_or_else(|error| panic!("{error}"), |(_, text)| assert_eq!(text, "old"));
    }
}
