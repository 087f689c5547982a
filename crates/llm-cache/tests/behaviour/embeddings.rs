//! Embeddings, which are kept for each input.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use llm_cache::{Cache, CacheHandle, CacheLayer, Refused};
use llm_core::{
    Body, CacheDirective, CacheStatus, Dialect, Embed, EmbedInput, EmbedOutput, Error, ErrorKind, Extra, Head,
    LlmRequest, LlmResponse, Output, Payload, Usage, Vector,
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::stage::{HOUR, with};

/// Embeds a text as its length, and writes down what it was asked.
#[derive(Clone)]
struct Stage {
    service: Cache<BoxCloneSyncService<LlmRequest, LlmResponse, Error>>,
    handle: CacheHandle,
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    mode: Arc<Mutex<Mode>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Right,
    TooFew,
    TooMany,
    Empty,
    Down,
    Slow,
}

fn text(input: &EmbedInput) -> String {
    match input {
        EmbedInput::Text(text) => text.clone(),
        EmbedInput::Tokens(tokens) => format!("{tokens:?}"),
    }
}

fn vector(text: &str) -> Vector {
    Vector(vec![text.len() as f32, 0.5])
}

impl Stage {
    fn new() -> Self {
        let (asked, mode) = (Arc::<Mutex<Vec<Vec<String>>>>::default(), Arc::new(Mutex::new(Mode::Right)));
        let (noted, how) = (asked.clone(), mode.clone());
        let answer = move |request: LlmRequest| {
            let Payload::Embed(Embed { input, .. }) = request.payload() else { unreachable!() };
            let texts: Vec<_> = input.iter().map(text).collect();
            noted.lock().unwrap().push(texts.clone());
            let mut vectors: Vec<_> = texts.iter().map(|text| vector(text)).collect();
            let mode = *how.lock().unwrap();
            match mode {
                Mode::TooFew => _ = vectors.pop(),
                Mode::TooMany => vectors.push(vector("more")),
                Mode::Empty => vectors.iter_mut().for_each(|vector| vector.0.clear()),
                Mode::Right | Mode::Down | Mode::Slow => {}
            }
            let usage = Some(Usage::reported(10 * vectors.len() as u64, 0));
            let output = Output::Embed(EmbedOutput { vectors, usage, ..EmbedOutput::default() });
            async move {
                if mode == Mode::Slow {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                match mode {
                    Mode::Down => Err(Error::new(ErrorKind::Server, "down")),
                    Mode::Right | Mode::TooFew | Mode::TooMany | Mode::Empty | Mode::Slow => {
                        Ok(LlmResponse::from(output))
                    }
                }
            }
        };
        let layer = CacheLayer::new();
        let service = layer.layer(BoxCloneSyncService::new(service_fn(answer)));
        Self { service, handle: layer.handle(), asked, mode }
    }

    async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.service.clone().oneshot(request).await
    }

    async fn embed(&self, texts: &[&str]) -> (CacheStatus, EmbedOutput) {
        let response = self.call(batch(texts)).await.unwrap();
        let status = response.head.cache;
        let Output::Embed(output) = response.body.collect().await.unwrap() else { unreachable!() };
        assert_eq!(output.vectors, texts.iter().map(|text| vector(text)).collect::<Vec<_>>());
        (status, output)
    }

    fn asked(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

fn batch(texts: &[&str]) -> LlmRequest {
    LlmRequest::embed("text-embedding-3-small", texts.iter().copied())
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_only_for_what_is_missing() {
    let stage = Stage::new();
    assert_eq!(stage.embed(&["a", "bb"]).await.0, CacheStatus::Miss);
    assert_eq!(stage.asked(), [["a", "bb"]]);
    let (status, output) = stage.embed(&["ccc", "a", "dddd", "bb"]).await;
    assert_eq!((status, output.usage), (CacheStatus::Miss, Some(Usage::reported(20, 0))), "it says what was paid");
    assert_eq!(stage.asked(), [["ccc", "dddd"]]);
    let (status, _) = stage.embed(&["bb", "ccc"]).await;
    assert_eq!((status, stage.asked().len()), (CacheStatus::Hit { age: Duration::ZERO }, 0));
    assert_eq!(stage.handle.counts().stored, 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_all_kept_costs_nothing_and_says_what_it_would_have() {
    let stage = Stage::new();
    stage.embed(&["a", "bb", "ccc"]).await;
    advance(Duration::from_secs(9)).await;
    let response = stage.call(batch(&["bb", "a"])).await.unwrap();
    assert_eq!(response.head.cache, CacheStatus::Hit { age: Duration::from_secs(9) });
    response.body.on_end(|outcome| {
        assert!(outcome.progress().is_unpaid());
        // Three of the six letters that thirty tokens were for.
        assert_eq!(outcome.progress().usage(), Usage::estimated(15, 0));
    });
    assert!(stage.handle.counts().saved.0 > 0);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_comes_twice_is_asked_for_once() {
    let stage = Stage::new();
    stage.embed(&["a", "bb", "a"]).await;
    assert_eq!(stage.asked(), [["a", "bb"]]);
    stage.embed(&["ccc", "bb", "ccc"]).await;
    assert_eq!(stage.asked(), [["ccc"]]);
}

#[tokio::test(start_paused = true)]
async fn equal_batches_at_once_are_one_call() {
    let stage = Stage::new();
    stage.set(Mode::Slow);
    join_all((0..10).map(|_| stage.embed(&["a", "bb"]))).await;
    assert_eq!(stage.asked().len(), 1);
    let counts = stage.handle.counts();
    assert_eq!((counts.misses, counts.joined), (1, 9));
}

#[tokio::test(start_paused = true)]
async fn vectors_that_were_kept_between_the_call_and_its_first_poll_are_found() {
    let stage = Stage::new();
    let late = stage.service.clone().call(batch(&["a", "bb"]));
    stage.embed(&["bb"]).await;
    stage.embed(&["a"]).await;
    assert_eq!(late.await.unwrap().head.cache, CacheStatus::Hit { age: Duration::ZERO });
    assert_eq!(stage.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn vectors_of_another_number_are_not_kept_and_not_mixed_with_others() {
    let stage = Stage::new();
    stage.embed(&["a"]).await;
    for mode in [Mode::TooMany, Mode::TooFew] {
        stage.set(mode);
        let error = stage.call(batch(&["a", "bb", "ccc"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
    }
    let response = stage.call(batch(&["dddd", "eeeee"])).await.unwrap();
    let Output::Embed(output) = response.body.collect().await.unwrap() else { unreachable!() };
    assert_eq!(output.vectors.len(), 1, "what was asked for as it is comes as it is");
    assert_eq!((stage.handle.refused(Refused::Unfinished), stage.handle.counts().stored), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn vectors_that_have_just_expired_are_still_given_and_said_to_be_old() {
    let stage = Stage::new();
    stage.embed(&["a", "bb"]).await;
    let age = HOUR + Duration::from_secs(60);
    advance(age).await;
    assert_eq!(stage.embed(&["bb"]).await.0, CacheStatus::Stale { age });
    assert_eq!((stage.asked().len(), stage.handle.counts().stale), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn vectors_of_nothing_are_not_kept() {
    let stage = Stage::new();
    stage.set(Mode::Empty);
    stage.call(batch(&["a"])).await.unwrap();
    assert_eq!((stage.handle.refused(Refused::Empty), stage.handle.counts().stored), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn expired_vectors_stand_in_for_a_failure_if_all_are_there() {
    let stage = Stage::new();
    stage.embed(&["a", "bb"]).await;
    advance(10 * HOUR).await;
    stage.embed(&["ccc"]).await;
    stage.asked();
    assert_eq!(stage.embed(&["a", "ccc"]).await.0, CacheStatus::Miss);
    assert_eq!(stage.asked(), [["a"]], "while it can be asked for anew it is");
    advance(10 * HOUR).await;
    stage.embed(&["ccc"]).await;
    stage.set(Mode::Down);
    assert_eq!(stage.embed(&["ccc", "a", "bb"]).await.0, CacheStatus::Stale { age: 20 * HOUR });
    assert_eq!(stage.call(batch(&["a", "dddd"])).await.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn directives_hold_for_batches_too() {
    let stage = Stage::new();
    let only_if_cached = CacheDirective { only_if_cached: true, ..CacheDirective::default() };
    let no_cache = CacheDirective { no_cache: true, ..CacheDirective::default() };
    let no_store = CacheDirective { no_store: true, ..CacheDirective::default() };
    assert_eq!(stage.call(with(batch(&["a"]), only_if_cached)).await.unwrap_err().kind(), ErrorKind::NoRoute);
    stage.call(with(batch(&["a"]), no_store)).await.unwrap();
    assert_eq!((stage.asked().len(), stage.handle.counts().stored), (1, 0));
    stage.call(with(batch(&["a"]), no_cache)).await.unwrap();
    stage.call(with(batch(&["a"]), no_cache)).await.unwrap();
    assert_eq!((stage.asked().len(), stage.handle.counts().stored), (2, 2));
    stage.call(with(batch(&["a"]), only_if_cached)).await.unwrap();
    assert_eq!(stage.asked().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_is_the_inner_services_business() {
    let service = service_fn(|_: LlmRequest| -> Ready<Result<LlmResponse, Error>> {
        ready(Err(Error::invalid_request("nothing to embed")))
    });
    let service = CacheLayer::new().layer(service);
    let error = service.oneshot(batch(&[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_is_not_given_the_bytes_of_a_call_that_may_have_asked_for_another_encoding() {
    let model = service_fn(|_: LlmRequest| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let output = EmbedOutput { vectors: vec![vector("a")], usage: None, extra: Extra::new() };
        let body = Body::full(Output::Embed(output)).with_wire(Dialect::OpenAi, Bytes::from_static(b"as base64"));
        Ok::<_, Error>(LlmResponse::new(Head::default(), body))
    });
    let service = CacheLayer::new().layer(model);
    let answers = join_all((0..2).map(|_| service.clone().oneshot(batch(&["a"])))).await;
    let bytes: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().body.wire().is_some()).collect();
    assert_eq!(bytes, [true, false]);
}
