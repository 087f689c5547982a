//! Which answers are kept, and for whom.

use std::{num::NonZeroUsize, sync::Arc};

use llm_cache::{CacheLayer, Entry, Key, MemoryStore, Refused, Scope, Selection, Store, StoreSize};
use llm_core::{
    CacheStatus, ChatOutput, Choice, Event, FinishReason, Frame, Head, LlmRequest, NanoUsd, Output, Part, PartContent,
    Reasoning, Sensitivity, Served, Target, Usage, catalog::Catalog,
};
use llm_test::{Answer, Frames, Probe};

use crate::stage::{SECOND, Stage, is_hit, of_tenant, question, streamed};

fn finished(reason: Option<FinishReason>, parts: Vec<Part>) -> Output {
    let choice = Choice { parts, finish: reason, ..Choice::default() };
    ChatOutput { choices: vec![choice], ..ChatOutput::default() }.into()
}

fn ends(reason: FinishReason) -> Frame {
    Frame::event(Event::Finish(reason))
}

fn served(served: Served) -> Head {
    Head { served, ..Head::default() }
}

/// Answers that are not kept, whole and streamed, and why.
fn poison() -> Vec<(Answer, Refused)> {
    use FinishReason as F;
    let text = || vec![Part::text("Blue, because")];
    let whole = |reason| Answer::whole(finished(Some(reason), text()));
    let stream = |reason| Answer::stream(Frames::cut("Blue, because").frame(ends(reason)).last());
    let refusal = PartContent::Refusal("No.".into()).into();
    let thought = PartContent::Reasoning(Reasoning { text: "Hm.".into(), ..Reasoning::default() }).into();
    let thinks = Frame::event(Event::Reasoning("Hm.".to_owned().into()));
    vec![
        (whole(F::Length), Refused::Truncated),
        (stream(F::Length), Refused::Truncated),
        (whole(F::ContentFilter), Refused::Filtered),
        (stream(F::ContentFilter), Refused::Filtered),
        (Answer::whole(finished(Some(F::Stop), vec![refusal])), Refused::Filtered),
        (whole(F::Error), Refused::Failed),
        (stream(F::Other("pause_turn".into())), Refused::Unfinished),
        (Answer::whole(finished(None, text())), Refused::Unfinished),
        (Answer::whole(finished(Some(F::Stop), vec![])), Refused::Empty),
        (Answer::whole(finished(Some(F::Stop), vec![thought])), Refused::Empty),
        (Answer::stream(Frames::new().start().frame(thinks).finish().last()), Refused::Empty),
        (Answer::whole(ChatOutput::default()), Refused::Empty),
        (Answer::stream(Frames::new().start().text("").finish().last()), Refused::Empty),
        (Answer::text("From elsewhere.").head(served(Served::Substitute)), Refused::Substitute),
        (Answer::text("Try again later.").head(served(Served::Degraded)), Refused::Degraded),
        (Answer::text("Kept below.").head(Head { cache: CacheStatus::Joined, ..Head::default() }), Refused::Cached),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_answer_that_is_cut_filtered_empty_or_somebody_elses_is_kept() {
    for (answer, reason) in poison() {
        for request in [question, streamed] {
            let stage = Stage::answering([answer.clone()]);
            stage.ask(request()).await.unwrap();
            assert_eq!(stage.handle.refused(reason), 1, "{reason:?}");
            assert_eq!((stage.handle.counts().stored, stage.handle.size().entries), (0, 0), "{reason:?}");
            let (status, text) = stage.ask(request()).await.unwrap();
            assert_eq!((status, stage.log.calls()), (CacheStatus::Miss, 2), "{reason:?}");
            assert_eq!(text, "Blue, for the most part.");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_stream_that_breaks_off_or_is_abandoned_is_kept() {
    let stage = Stage::answering([Answer::stream(Frames::cut("Blue, because"))]);
    stage.ask(streamed()).await.unwrap_err();
    assert_eq!((stage.handle.refused(Refused::Failed), stage.handle.size().entries), (1, 0));

    let stage = Stage::answering([Answer::stream(Frames::cut("Blue, because").hang())]);
    drop(stage.call(streamed()).await.unwrap());
    assert_eq!((stage.handle.refused(Refused::Abandoned), stage.handle.size().entries), (1, 0));
    assert_eq!((stage.handle.under_way(), stage.log.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_choice_that_was_cut_spoils_the_others() {
    let two = Frames::new().start().text("Blue.").frame(ends(FinishReason::Stop));
    let second = |event| Frame::new([llm_core::ChoiceEvent { choice: 1, event }]);
    let cut = two.frame(second(Event::Text("Bl".into()))).frame(second(Event::Finish(FinishReason::Length))).last();
    let stage = Stage::answering([Answer::stream(cut)]);
    stage.ask(streamed()).await.unwrap();
    assert_eq!(stage.handle.refused(Refused::Truncated), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_not_kept() {
    for request in [question, streamed] {
        let layer = CacheLayer::new().entry_limit(NonZeroUsize::new(1_000).unwrap());
        let stage = Stage::new(layer, Probe::answering(Answer::text("word ".repeat(200))));
        let (_, text) = stage.ask(request()).await.unwrap();
        assert_eq!(text.len(), 1_000);
        assert_eq!((stage.handle.refused(Refused::TooLarge), stage.handle.size().entries), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn only_calls_that_are_answered_alike_each_time_are_kept() {
    let stage = Stage::answering([]);
    for temperature in [None, Some(0.7), Some(1.0)] {
        let ask = || question_at(temperature);
        stage.ask(ask()).await.unwrap();
        assert_eq!(stage.ask(ask()).await.unwrap().0, CacheStatus::None, "{temperature:?}");
    }
    assert_eq!((stage.log.calls(), stage.handle.refused(Refused::NotDeterministic)), (6, 6));
}

fn question_at(temperature: Option<f64>) -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Why?").with(|chat| chat.sampling.temperature = temperature).build()
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_unpaid_and_tells_its_age_and_what_it_saves() {
    let prices = "[[models]]\nname = 'gpt-4o'\nprovider = 'openai'\ninput = 2.0\noutput = 10.0";
    let layer = CacheLayer::new().catalog(Arc::new(Catalog::from_toml(prices).unwrap()));
    let head = Head { target: Some(Target::new("openai", "gpt-4o")), ..Head::default() };
    let stage = Stage::new(layer, Probe::answering(Answer::text("Blue.").head(head)));
    for _ in 0..2 {
        let response = stage.call(question()).await.unwrap();
        let is_first = response.head.cache == CacheStatus::Miss;
        response.body.on_end(move |outcome| {
            assert_eq!(outcome.progress().is_unpaid(), !is_first);
            assert_eq!(outcome.progress().usage(), Usage::reported(10, 5));
        });
        tokio::time::advance(3 * SECOND).await;
    }
    let response = stage.call(question()).await.unwrap();
    assert_eq!(response.head.cache, CacheStatus::Hit { age: 6 * SECOND });
    assert_eq!(response.head.target, Some(Target::new("openai", "gpt-4o")));
    let counts = stage.handle.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (2, 1, 1));
    // Ten tokens at two dollars a million and five at ten, twice.
    assert_eq!(counts.saved, NanoUsd(2 * (10 * 2_000 + 5 * 10_000)));
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_saves_what_it_cost() {
    let prices = "[[models]]\nname = 'gpt-4o'\ninput = 2.0\noutput = 10.0";
    let layer = CacheLayer::new().catalog(Arc::new(Catalog::from_toml(prices).unwrap()));
    let stage = Stage::new(layer, Probe::answering(Answer::stream(Frames::answer("Blue light scatters."))));
    stage.ask(streamed()).await.unwrap();
    stage.ask(streamed()).await.unwrap();
    assert_eq!(stage.handle.counts().saved, NanoUsd(10 * 2_000 + 3 * 10_000));
}

/// A store whose every answer is a panic.
#[derive(Debug)]
struct Broken;

impl Store for Broken {
    fn get(&self, _: &Key) -> Option<Arc<Entry>> {
        None
    }

    fn put(&self, _: Key, _: Arc<Entry>) {
        panic!("the store panics, as its author wants");
    }

    fn invalidate(&self, _: &Selection) -> u64 {
        0
    }

    fn size(&self) -> StoreSize {
        StoreSize::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_costs_nobody_an_answer() {
    let logs = llm_test::CapturedLogs::start();
    let slow = Answer::stream(Frames::answer("Blue.").spaced(SECOND));
    let stage = Stage::new(CacheLayer::new().store(Arc::new(Broken)), Probe::answering(slow));
    let (first, second) = tokio::join!(stage.ask(streamed()), stage.ask(question()));
    assert_eq!((first.unwrap().1, second.unwrap().1), ("Blue.".into(), "Blue.".into()));
    assert_eq!((stage.log.calls(), stage.handle.under_way()), (1, 0));
    assert!(logs.text().contains("the store panicked"));
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_served_while_the_inner_service_is_never_ready() {
    let layer = CacheLayer::new();
    Stage::new(layer.clone(), Probe::new()).ask(question()).await.unwrap();
    let stuck = Stage::new(layer, Probe::new().never_ready());
    assert!(is_hit(stuck.ask(question()).await.unwrap().0));
    assert!(is_hit(stuck.ask(streamed()).await.unwrap().0));
    assert_eq!(stuck.log.ready_polls(), 0);
}

#[tokio::test(start_paused = true)]
async fn tenants_share_nothing_unless_everyone_does() {
    for (scope, is_shared) in [(Scope::Tenant, false), (Scope::Everyone, true)] {
        let stage = Stage::new(CacheLayer::new().scope(scope), Probe::new());
        stage.ask(of_tenant(question(), "acme")).await.unwrap();
        assert!(is_hit(stage.ask(of_tenant(question(), "acme")).await.unwrap().0));
        assert_eq!(is_hit(stage.ask(of_tenant(question(), "globex")).await.unwrap().0), is_shared);
    }
}

#[tokio::test(start_paused = true)]
async fn declared_fields_make_no_difference() {
    let traced = |id: u32| {
        let json = llm_core::Json::from_text(id.to_string()).unwrap();
        let chat = LlmRequest::chat("m").user("Why?").temperature(0.0);
        chat.with(|chat| chat.extra.insert("x_trace", json)).build()
    };
    for (layer, is_shared) in [(CacheLayer::new(), false), (CacheLayer::new().irrelevant_fields(["x_trace"]), true)] {
        let stage = Stage::new(layer, Probe::new());
        stage.ask(traced(1)).await.unwrap();
        assert_eq!(is_hit(stage.ask(traced(2)).await.unwrap().0), is_shared);
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_beside_a_request_can_make_a_difference() {
    let with = |beta: &'static str| {
        let mut request = question();
        request.extensions_mut().insert(beta);
        request
    };
    let varies = CacheLayer::new().vary(|request, say| {
        if let Some(beta) = request.extensions().get::<&'static str>() {
            say(beta);
        }
    });
    for (layer, is_shared) in [(CacheLayer::new(), true), (varies, false)] {
        let stage = Stage::new(layer, Probe::new());
        stage.ask(with("context-1m")).await.unwrap();
        assert!(is_hit(stage.ask(with("context-1m")).await.unwrap().0));
        assert_eq!(is_hit(stage.ask(with("files-api")).await.unwrap().0), is_shared);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_sensitive_calls_are_kept_only_in_a_local_store() {
    let capacity = std::num::NonZeroU64::new(1 << 20).unwrap();
    let sensitive = || {
        let mut request = question();
        request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        request
    };
    for (store, is_kept) in [(MemoryStore::new(capacity), false), (MemoryStore::new(capacity).local(), true)] {
        let stage = Stage::new(CacheLayer::new().store(Arc::new(store)), Probe::new());
        stage.ask(sensitive()).await.unwrap();
        assert_eq!(is_hit(stage.ask(sensitive()).await.unwrap().0), is_kept);
        assert_eq!(stage.handle.refused(Refused::Sensitive), if is_kept { 0 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_the_same_in_another_order_or_dialect_is_the_same() {
    use llm_core::{Dialect, Json, Tool};
    let ask = |schema: &str, dialect| {
        let tool = Tool::function("look", "looks", Json::from_text(schema).unwrap());
        let chat = LlmRequest::chat("m").user("Why?").temperature(0.0).tool(tool);
        chat.with(|chat| chat.dialect = Some(dialect)).build()
    };
    let stage = Stage::answering([]);
    stage.ask(ask(r#"{"type":"object","properties":{}}"#, Dialect::OpenAi)).await.unwrap();
    let other = ask(r#"{"properties": {}, "type": "object"}"#, Dialect::Anthropic);
    assert!(is_hit(stage.ask(other).await.unwrap().0));
    assert_eq!(stage.log.calls(), 1);
}
