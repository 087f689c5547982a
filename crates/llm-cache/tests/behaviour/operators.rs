//! What operators see and do.

use futures_util::FutureExt;
use llm_cache::{CacheLayer, Refused, Selection};
use llm_core::{CacheStatus, Error, ErrorKind, LlmRequest, Measures, Severity};
use llm_test::{Answer, Gate, Probe};
use tokio::time::advance;

use crate::stage::{HOUR, SECOND, Stage, is_hit, of_tenant, question};

fn ask(model: &str, tenant: &str, tag: &str) -> LlmRequest {
    let mut request = of_tenant(LlmRequest::chat(model).user("Why?").temperature(0.0).build(), tenant);
    request.context_mut().set_tags([tag]);
    request
}

#[tokio::test(start_paused = true)]
async fn answers_are_invalidated_by_key_tag_model_tenant_or_all_together() {
    let all = || [ask("m1", "acme", "faq"), ask("m2", "acme", "faq"), ask("m1", "globex", "news")];
    let key = |stage: &Stage| stage.handle.keys(&all()[0])[0];
    type Select = fn(llm_cache::Key) -> Selection;
    let selections: [(Select, [bool; 3]); 5] = [
        (Selection::Key, [false, true, true]),
        (|_| Selection::Tag("faq".into()), [false, false, true]),
        (|_| Selection::Model("m1".into()), [false, true, false]),
        (|_| Selection::Tenant("globex".into()), [true, true, false]),
        (|_| Selection::All, [false, false, false]),
    ];
    for (select, left) in selections {
        let stage = Stage::answering([]);
        for request in all() {
            stage.ask(request).await.unwrap();
        }
        let selection = select(key(&stage));
        let gone = left.iter().filter(|is_left| !**is_left).count() as u64;
        assert_eq!(stage.handle.invalidate(&selection), gone, "{selection:?}");
        assert_eq!(stage.handle.size().entries, 3 - gone);
        for (request, is_left) in all().into_iter().zip(left) {
            assert_eq!(is_hit(stage.ask(request).await.unwrap().0), is_left, "{selection:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_something_is_invalidated_is_not_kept() {
    let gate = Gate::new();
    let stage = Stage::answering([Answer::text("old").gate(&gate)]);
    let mut call = Box::pin(stage.ask(question()));
    assert!((&mut call).now_or_never().is_none());
    stage.handle.invalidate(&Selection::All);
    gate.open();
    assert_eq!(call.await.unwrap().1, "old", "whoever asked before is answered");
    assert_eq!(stage.handle.refused(Refused::Invalidated), 1);
    assert_eq!(stage.ask(question()).await.unwrap().0, CacheStatus::Miss);
}

#[tokio::test(start_paused = true)]
async fn an_operator_hears_of_answers_that_stand_in_for_failures_and_of_those_that_were_invalidated() {
    let down = Answer::fail(Error::new(ErrorKind::Server, "down"));
    let stage = Stage::new(CacheLayer::new(), Probe::answering(down).script([Answer::text("old")]));
    let mut notices = stage.handle.notices();
    stage.ask(question()).await.unwrap();
    advance(10 * HOUR).await;
    for _ in 0..3 {
        stage.ask(question()).await.unwrap();
        advance(SECOND).await;
    }
    let notice = notices.next().await.unwrap();
    assert_eq!((notice.source, notice.kind, notice.severity), ("cache", "stale", Severity::Warning));
    assert_eq!(notice.key, "server");
    stage.handle.invalidate(&Selection::Tag("faq".into()));
    let notice = notices.next().await.unwrap();
    assert_eq!((notice.kind, notice.key.as_str()), ("invalidated", "faq"), "the first of a minute only");
    assert_eq!(notice.numbers, [("entries", 0.0)]);
    advance(60 * SECOND).await;
    stage.ask(question()).await.unwrap();
    assert_eq!(notices.next().await.unwrap().kind, "stale");
}

#[tokio::test(start_paused = true)]
async fn measures_tell_what_the_handle_tells() {
    let stage = Stage::answering([]);
    for _ in 0..3 {
        stage.ask(question()).await.unwrap();
    }
    stage.ask(LlmRequest::chat("m").user("Why?").build()).await.unwrap();
    let mut seen = Vec::new();
    stage.handle.measure(&mut |measure| {
        let labels: Vec<_> = measure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        seen.push((measure.name, labels.join(","), measure.value));
    });
    let figure = |name| seen.iter().find(|(known, ..)| *known == name).unwrap().2;
    assert_eq!((figure("llm.cache.hits"), figure("llm.cache.misses"), figure("llm.cache.stored")), (2.0, 1.0, 1.0));
    assert_eq!(figure("llm.cache.bytes"), stage.handle.size().bytes as f64);
    assert!(figure("llm.cache.bytes") > 600.0 && figure("llm.cache.saved_nano_usd") > 0.0);
    let refused: Vec<_> = seen.iter().filter(|(name, ..)| *name == "llm.cache.refused").collect();
    assert_eq!(refused, [&("llm.cache.refused", "reason=not_deterministic".to_owned(), 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_layer_goes_on_with_the_store_of_the_old_one() {
    let stage = Stage::answering([]);
    stage.ask(question()).await.unwrap();
    let next = Stage::new(CacheLayer::new().ttl(2 * HOUR).store(stage.handle.store()), Probe::new());
    assert!(is_hit(next.ask(question()).await.unwrap().0));
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: std::collections::HashSet<_> = Refused::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Refused::ALL.len());
    for (place, reason) in Refused::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place);
    }
}
