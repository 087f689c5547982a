//! What callers say about a single call.

use llm_cache::{CacheLayer, CacheRule, Refused, Use};
use llm_core::{CacheDirective, CacheStatus, ErrorKind, LlmRequest};
use llm_test::Answer;

use crate::stage::{HOUR, SECOND, Stage, is_hit, question, with};

fn no_cache() -> CacheDirective {
    CacheDirective { no_cache: true, ..CacheDirective::default() }
}

fn no_store() -> CacheDirective {
    CacheDirective { no_store: true, ..CacheDirective::default() }
}

fn only_if_cached() -> CacheDirective {
    CacheDirective { only_if_cached: true, ..CacheDirective::default() }
}

#[tokio::test(start_paused = true)]
async fn no_cache_asks_anew_and_keeps_the_new_answer() {
    let stage = Stage::answering([Answer::text("old"), Answer::text("new")]);
    stage.ask(question()).await.unwrap();
    let anew = stage.ask(with(question(), no_cache())).await.unwrap();
    assert_eq!(anew, (CacheStatus::Miss, "new".into()));
    assert_eq!(stage.ask(question()).await.unwrap().1, "new");
    assert_eq!(stage.log.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_store_is_answered_by_what_is_kept_and_keeps_nothing() {
    let stage = Stage::answering([Answer::text("first"), Answer::text("second")]);
    assert_eq!(stage.ask(with(question(), no_store())).await.unwrap().1, "first");
    assert_eq!((stage.handle.size().entries, stage.handle.refused(Refused::NoStore)), (0, 1));
    stage.ask(question()).await.unwrap();
    assert_eq!(stage.ask(with(question(), no_store())).await.unwrap().1, "second");
    assert_eq!(stage.log.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_is_answered_by_what_is_kept_or_fails_at_once() {
    let stage = Stage::answering([Answer::text("kept")]);
    let error = stage.ask(with(question(), only_if_cached())).await.unwrap_err();
    assert_eq!((error.kind(), stage.log.calls()), (ErrorKind::NoRoute, 0));
    assert!(!error.is_retryable());
    stage.ask(question()).await.unwrap();
    assert!(is_hit(stage.ask(with(question(), only_if_cached())).await.unwrap().0));
    tokio::time::advance(2 * HOUR).await;
    let expired = stage.ask(with(question(), only_if_cached())).await.unwrap();
    assert_eq!(expired, (CacheStatus::Stale { age: 2 * HOUR }, "kept".into()), "rather than nothing at all");
    assert_eq!(stage.log.calls(), 1);

    let warm = LlmRequest::chat("m").user("Why?").temperature(1.0).build();
    let error = stage.ask(with(warm, only_if_cached())).await.unwrap_err();
    assert_eq!((error.kind(), stage.log.calls()), (ErrorKind::NoRoute, 1));
}

#[tokio::test(start_paused = true)]
async fn force_keeps_what_might_be_answered_differently() {
    let warm = || LlmRequest::chat("m").user("Why?").temperature(1.0).build();
    let force = CacheDirective { force: true, ..CacheDirective::default() };
    let stage = Stage::answering([]);
    stage.ask(with(warm(), force)).await.unwrap();
    assert!(is_hit(stage.ask(with(warm(), force)).await.unwrap().0));
    assert_eq!(stage.ask(warm()).await.unwrap().0, CacheStatus::None, "others have nothing to do with it");
}

#[tokio::test(start_paused = true)]
async fn a_caller_says_how_long_its_answer_is_good() {
    let brief = CacheDirective { ttl: Some(10 * SECOND), ..CacheDirective::default() };
    let stage = Stage::answering([]);
    stage.ask(with(question(), brief)).await.unwrap();
    tokio::time::advance(10 * SECOND).await;
    assert!(is_hit(stage.ask(question()).await.unwrap().0));
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(stage.ask(question()).await.unwrap().0, CacheStatus::Miss);
}

#[tokio::test(start_paused = true)]
async fn a_caller_says_how_old_its_answer_may_be() {
    let stage = Stage::answering([Answer::text("old"), Answer::text("new"), Answer::text("newest")]);
    let young = |seconds| CacheDirective { max_age: Some(seconds * SECOND), ..CacheDirective::default() };
    stage.ask(question()).await.unwrap();
    tokio::time::advance(10 * SECOND).await;
    assert!(is_hit(stage.ask(with(question(), young(10))).await.unwrap().0));
    let anew = stage.ask(with(question(), young(9))).await.unwrap();
    assert_eq!(anew, (CacheStatus::Miss, "new".into()));
    assert_eq!(stage.ask(question()).await.unwrap().1, "new", "it takes the place of the old one");
    let nothing_kept = stage.ask(with(question(), young(0))).await.unwrap();
    assert_eq!(nothing_kept, (CacheStatus::Miss, "newest".into()));
    tokio::time::advance(SECOND).await;
    let neither = CacheDirective { only_if_cached: true, ..young(0) };
    assert_eq!(stage.ask(with(question(), neither)).await.unwrap_err().kind(), ErrorKind::NoRoute);
}

#[tokio::test(start_paused = true)]
async fn rules_cache_some_calls_otherwise_than_others() {
    let warm = |model: &str| LlmRequest::chat(model).user("Why?").temperature(1.0).build();
    let rules = [
        CacheRule::new().models(["weather"]).use_for(Use::Never),
        CacheRule::new().models(["poet"]).use_for(Use::All).ttl(60 * SECOND),
    ];
    let stage = Stage::new(CacheLayer::new().rules(rules), llm_test::Probe::new());
    let cold = LlmRequest::chat("weather").user("Why?").temperature(0.0).build();
    for _ in 0..2 {
        assert_eq!(stage.ask(cold.clone()).await.unwrap().0, CacheStatus::None);
    }
    assert_eq!(stage.handle.refused(Refused::Excluded), 2);
    let force = CacheDirective { force: true, ..CacheDirective::default() };
    assert_eq!(stage.ask(with(cold, force)).await.unwrap().0, CacheStatus::None, "that is not the caller's to say");
    assert_eq!(stage.ask(warm("poet")).await.unwrap().0, CacheStatus::Miss);
    tokio::time::advance(59 * SECOND).await;
    assert!(is_hit(stage.ask(warm("poet")).await.unwrap().0));
    tokio::time::advance(HOUR).await;
    assert_eq!(stage.ask(warm("poet")).await.unwrap().0, CacheStatus::Miss, "its time was a minute");
    assert_eq!(stage.ask(warm("gpt-4o")).await.unwrap().0, CacheStatus::None);
}
