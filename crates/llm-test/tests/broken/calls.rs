//! Layers that get the future, the request or the failure wrong.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use llm_core::{BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Payload, Phase};
use llm_test::{Answer, Subject};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

/// An always-ready layer that is nothing but a function.
pub(crate) fn around<F, R>(name: &str, call: F) -> Subject
where
    F: Fn(BoxLlmService, LlmRequest) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    let wrap = move |inner: BoxLlmService| {
        let call = call.clone();
        BoxCloneSyncService::new(service_fn(move |request| call(inner.clone(), request)))
    };
    Subject::stack(name, wrap).always_ready()
}

/// The call goes on in a task when its future is dropped.
pub(crate) fn calls_in_a_task() -> Subject {
    around("calls in a task", |inner, request| async move {
        match tokio::spawn(inner.oneshot(request)).await {
            Ok(answered) => answered,
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        }
    })
}

/// Takes a place and only then makes the guard that gives it back.
#[derive(Clone, Debug)]
struct Places<S> {
    inner: S,
    taken: Arc<AtomicU64>,
}

struct Place(Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<S> Service<LlmRequest> for Places<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send + 'static>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        self.taken.fetch_add(1, Relaxed);
        let future = self.inner.call(request);
        let place = Place(Arc::clone(&self.taken));
        async move {
            let response = future.await?;
            Ok(response.map(|body| body.on_end(move |_| drop(place))))
        }
        .boxed()
    }
}

#[derive(Clone, Debug)]
struct PlacesLayer(Arc<AtomicU64>);

impl<S> Layer<S> for PlacesLayer {
    type Service = Places<S>;

    fn layer(&self, inner: S) -> Places<S> {
        Places { inner, taken: Arc::clone(&self.0) }
    }
}

pub(crate) fn takes_a_place_before_its_guard() -> Subject {
    let taken = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&taken);
    Subject::new("takes a place before its guard", PlacesLayer(taken)).holds("places", move || read.load(Relaxed))
}

/// Every failure becomes one of its own.
pub(crate) fn wraps_errors() -> Subject {
    around("wraps errors", |inner, request| async move {
        inner.oneshot(request).await.map_err(|error| Error::internal("the call failed").with_source(error))
    })
}

/// Makes a new request of the parts that it knows.
pub(crate) fn asks_anew() -> Subject {
    around("asks anew", |inner, request| {
        inner.oneshot(
            LlmRequest::new(request.model(), request.payload().clone()).with_context(request.context().clone()),
        )
    })
}

/// Asks to be polled again a few times without having a reason.
pub(crate) fn wakes_itself() -> Subject {
    around("wakes itself", |inner, request| async move {
        let mut answered = pin!(inner.oneshot(request));
        let mut times = 0;
        poll_fn(|cx| {
            let polled = answered.as_mut().poll(cx);
            times += 1;
            if polled.is_pending() && times < 8 {
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    })
}

/// A time limit of ten seconds on a clock that does not pause.
pub(crate) fn reads_the_std_clock() -> Subject {
    let limit = Duration::from_secs(10);
    let subject = around("reads the std clock", move |inner, request| async move {
        let begun = std::time::Instant::now();
        let mut answered = pin!(inner.oneshot(request));
        loop {
            match tokio::time::timeout(Duration::from_secs(1), answered.as_mut()).await {
                Ok(answered) => return answered,
                Err(_) if begun.elapsed() < limit => {}
                Err(_) => return Err(Error::new(ErrorKind::Timeout(Phase::Head), "no response in time")),
            }
        }
    });
    subject.takes(limit, [Answer::hang()])
}

/// Tells the log what was asked.
pub(crate) fn logs_the_prompt() -> Subject {
    around("logs the prompt", |inner, request| {
        if let Payload::Chat(chat) = request.payload() {
            let prompt = chat.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.as_text());
            tracing::debug!(prompt = prompt.collect::<String>(), "called");
        }
        inner.oneshot(request)
    })
}
