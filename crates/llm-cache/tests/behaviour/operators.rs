//! What operators see and do.

use std::{
    num::NonZeroU64,
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;
use llm_cache::{CacheConfig, CacheHandle, CacheLayer, Entry, Key, MemoryStore, Refused, Selection, Store, StoreSize};
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
async fn a_layer_that_takes_the_place_of_another_goes_on_with_what_that_keeps_and_with_its_calls() {
    let gate = Gate::new();
    let stage = Stage::answering([Answer::text("kept"), Answer::text("late").gate(&gate)]);
    stage.ask(question()).await.unwrap();
    let next = Stage::new(CacheLayer::new().ttl(2 * HOUR).resuming(&stage.handle), Probe::new());
    assert!(is_hit(next.ask(question()).await.unwrap().0));
    assert_eq!((stage.handle.counts().hits, next.handle.counts().hits), (0, 1), "each counts for itself");

    let other = || ask("m", "acme", "faq");
    let mut before = Box::pin(stage.ask(other()));
    assert!((&mut before).now_or_never().is_none());
    let mut after = Box::pin(next.ask(other()));
    assert!((&mut after).now_or_never().is_none());
    next.handle.invalidate(&Selection::All);
    gate.open();
    assert_eq!(before.await.unwrap(), (CacheStatus::Miss, "late".into()));
    assert_eq!(after.await.unwrap(), (CacheStatus::Joined, "late".into()));
    assert_eq!(next.log.calls(), 0);
    assert_eq!(next.ask(other()).await.unwrap().0, CacheStatus::Miss, "what was forgotten then is not kept");
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_would_keep_other_answers_begins_with_nothing() {
    let first = || LlmRequest::chat("gpt-4o").user("Why is the sky blue?").temperature(0.0).build();
    let config = |text: &str| CacheLayer::try_from(toml::from_str::<CacheConfig>(text).unwrap()).unwrap();
    let rows = [
        ("", "", true),
        ("ttl = '2h'\nentry_limit = 100_000", "", true),
        ("local = true", "local = true", true),
        ("local = true", "", false),
        ("", "local = true", false),
        ("capacity = 2_000_000", "", false),
        ("scope = 'everyone'", "", false),
        ("irrelevant_fields = 'seen'", "", false),
    ];
    for (before, after, goes_on) in rows {
        let stage = Stage::new(config(before), Probe::new());
        stage.ask(first()).await.unwrap();
        let next = Stage::new(config(after).resuming(&stage.handle), Probe::new());
        assert_eq!(is_hit(next.ask(first()).await.unwrap().0), goes_on, "{before:?}, then {after:?}");
    }
    let own = || Arc::new(MemoryStore::new(NonZeroU64::MIN.saturating_add(1 << 20)));
    let stage = Stage::new(CacheLayer::new().store(own()), Probe::new());
    stage.ask(first()).await.unwrap();
    for layer in [CacheLayer::new(), CacheLayer::new().store(own())] {
        let next = Stage::new(layer.resuming(&stage.handle), Probe::new());
        assert!(!is_hit(next.ask(first()).await.unwrap().0), "a store that was given stays with whoever got it");
    }
}

/// A store in which something is forgotten by everybody just before it is put in.
#[derive(Debug)]
struct Late(MemoryStore, OnceLock<CacheHandle>);

impl Store for Late {
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.0.get(key)
    }

    fn put(&self, key: Key, entry: Arc<Entry>) {
        if let Some(handle) = self.1.get() {
            handle.invalidate(&Selection::All);
        }
        self.0.put(key, entry);
    }

    fn invalidate(&self, selection: &Selection) -> u64 {
        self.0.invalidate(selection)
    }

    fn size(&self) -> StoreSize {
        self.0.size()
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_behind_whoever_forgets_is_forgotten_too() {
    let store = Arc::new(Late(MemoryStore::new(NonZeroU64::MIN.saturating_add(1 << 20)), OnceLock::new()));
    let stage = Stage::new(CacheLayer::new().store(store.clone()), Probe::new());
    store.1.set(stage.handle.clone()).unwrap();
    stage.ask(question()).await.unwrap();
    assert_eq!((stage.handle.counts().stored, stage.handle.refused(Refused::Invalidated)), (0, 1));
    assert_eq!(stage.ask(question()).await.unwrap().0, CacheStatus::Miss);
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: std::collections::HashSet<_> = Refused::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Refused::ALL.len());
    for (place, reason) in Refused::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place);
    }
}
