//! Layers that get their state, their listeners, their configuration or their types wrong.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::stream;
use llm_core::{LlmRequest, Notice, Severity};
use llm_test::{Answer, PassThrough, PassThroughLayer, Subject};
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceExt};

use super::calls::around;

/// Counts calls.
#[derive(Debug)]
struct Counting<S> {
    inner: S,
    calls: Arc<AtomicU64>,
    clones_share: bool,
}

impl<S: Clone> Clone for Counting<S> {
    fn clone(&self) -> Self {
        let calls = if self.clones_share { Arc::clone(&self.calls) } else { Arc::default() };
        Self { inner: self.inner.clone(), calls, clones_share: self.clones_share }
    }
}

impl<S: Service<LlmRequest>> Service<LlmRequest> for Counting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> S::Future {
        self.calls.fetch_add(1, Relaxed);
        self.inner.call(request)
    }
}

#[derive(Clone, Debug)]
struct CountingLayer {
    calls: Arc<AtomicU64>,
    services: Arc<AtomicU64>,
    clones_share: bool,
    layers_share: bool,
}

impl<S> Layer<S> for CountingLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        let is_first = self.services.fetch_add(1, Relaxed) == 0;
        let calls = if is_first || self.layers_share { Arc::clone(&self.calls) } else { Arc::default() };
        Counting { inner, calls, clones_share: self.clones_share }
    }
}

fn counting(name: &str, clones_share: bool, layers_share: bool) -> Subject {
    let calls = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&calls);
    let layer = CountingLayer { calls, services: Arc::default(), clones_share, layers_share };
    Subject::new(name, layer).counts(Answer::text("Yes."), move || read.load(Relaxed))
}

/// A clone starts to count from nothing.
pub(crate) fn clones_count_for_themselves() -> Subject {
    counting("clones count for themselves", false, true)
}

/// A second service of the same layer starts to count from nothing.
pub(crate) fn layers_count_for_themselves() -> Subject {
    counting("layers count for themselves", true, false)
}

/// Keeps every model name that was ever asked for.
pub(crate) fn never_forgets() -> Subject {
    let models = Arc::new(Mutex::new(HashSet::new()));
    let read = Arc::clone(&models);
    let subject = around("never forgets", move |inner, request| {
        models.lock().expect("nobody panics while holding it").insert(request.model().to_owned());
        inner.oneshot(request)
    });
    let request = |number| LlmRequest::chat(format!("model-{number}")).user("Why?").build();
    subject.keyed(8, request, move || read.lock().expect("nobody panics while holding it").len())
}

/// Waits until each listener has room for the notice.
pub(crate) fn waits_for_listeners() -> Subject {
    let senders = Arc::new(Mutex::new(Vec::<mpsc::Sender<Notice>>::new()));
    let listeners = Arc::clone(&senders);
    let subject = around("waits for listeners", move |inner, request| {
        let senders = senders.lock().expect("nobody panics while holding it").clone();
        async move {
            let notice = || Notice {
                source: "broken",
                key: "all".to_owned(),
                kind: "called",
                severity: Severity::Info,
                numbers: Vec::new(),
            };
            for sender in senders {
                // A listener that has gone misses it.
                let _ = sender.send(notice()).await;
            }
            inner.oneshot(request).await
        }
    });
    subject.listeners(move || {
        let (sender, mut receiver) = mpsc::channel(16);
        listeners.lock().expect("nobody panics while holding it").push(sender);
        stream::poll_fn(move |cx| receiver.poll_recv(cx))
    })
}

/// Finds no fault with any configuration.
pub(crate) fn accepts_anything() -> Subject {
    fn build(share: f64) -> Result<f64, String> {
        Ok(share.clamp(0.0, 1.0))
    }
    Subject::new("accepts anything", PassThroughLayer).refuses("a share above one", || build(1.5))
}

/// Has a `Debug` that tells nobody anything.
#[derive(Clone)]
struct MuteLayer;

impl fmt::Debug for MuteLayer {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl<S> Layer<S> for MuteLayer {
    type Service = PassThrough<S>;

    fn layer(&self, inner: S) -> PassThrough<S> {
        PassThroughLayer.layer(inner)
    }
}

pub(crate) fn says_nothing() -> Subject {
    Subject::new("says nothing", MuteLayer)
}
