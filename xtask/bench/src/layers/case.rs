//! One layer, or none, over the echo: calls in batches, of which only the calls themselves are timed.

use std::{
    fmt,
    future::poll_fn,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use llm_core::{CallId, LlmRequest, LlmResponse, Target};
use tokio::runtime::Runtime;
use tower::Service;

use super::echo::{self, Answer, FRAMES};

/// Calls of a batch: so few that what they are made of stays in the cache.
pub const BATCH: usize = 64;

/// Where all calls go.
pub const PROVIDER: &str = "openai";

/// What all calls ask for.
pub const MODEL: &str = "gpt-4o-mini";

/// A service over the echo, and what it is to answer.
pub struct Case {
    /// The layer's name.
    pub name: String,
    /// What each call is answered with.
    pub answer: Answer,
    service: Box<dyn Fn() -> Seed>,
}

/// A clone of the service on its way to the thread that will use it.
pub type Seed = Box<dyn FnOnce() -> Box<dyn Batches> + Send>;

/// Calls of one thread.
pub trait Batches {
    /// Makes ready what the next batch needs.
    fn prepare(&mut self);

    /// Makes the calls of a batch, and drops all that comes of them.
    fn call(&mut self, runtime: &Runtime);
}

impl Case {
    /// Measures `service`, whose calls end in `answer`.
    pub fn new<S>(name: &str, answer: Answer, service: S) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
    {
        // The same key for every thread, in a target of its own.
        Self::asking(name, answer, MODEL, || Some(Target::new(PROVIDER, MODEL)), service)
    }

    /// The same for calls whose target the service is to choose.
    pub fn untargeted<S>(name: &str, answer: Answer, model: &'static str, service: S) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
    {
        Self::asking(name, answer, model, || None, service)
    }

    fn asking<S>(name: &str, answer: Answer, model: &'static str, target: fn() -> Option<Target>, service: S) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
    {
        let seed = move || -> Seed {
            let service = service.clone();
            // Cloned again on its thread, because that is where its handles are to count.
            Box::new(move || Box::new(Calls::new(answer, model, target(), service.clone())))
        };
        Self { name: name.to_owned(), answer, service: Box::new(seed) }
    }

    /// A clone of the service. All clones share the layer's state.
    pub fn seed(&self) -> Seed {
        (self.service)()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("answer", &self.answer).finish_non_exhaustive()
    }
}

struct Calls<S> {
    service: S,
    answer: Answer,
    prototype: LlmRequest,
    target: Option<Target>,
    requests: Vec<LlmRequest>,
}

impl<S> Calls<S> {
    fn new(answer: Answer, model: &'static str, target: Option<Target>, service: S) -> Self {
        let chat = LlmRequest::chat(model).user("Why is the sky blue?");
        let prototype = if answer == Answer::Stream { chat.stream() } else { chat }.build();
        Self { service, answer, prototype, target, requests: Vec::with_capacity(BATCH) }
    }
}

impl<S> Batches for Calls<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
{
    fn prepare(&mut self) {
        echo::stock(self.answer, BATCH);
        for _ in 0..BATCH {
            let mut context = llm_core::Context::new(CallId::random());
            if let Some(target) = &self.target {
                context.set_target(target.clone());
            }
            self.requests.push(self.prototype.clone().with_context(context));
        }
    }

    fn call(&mut self, runtime: &Runtime) {
        call_all(&mut self.service, &mut self.requests, self.answer, runtime);
    }
}

/// What is measured. A function of its own, whose instructions valgrind can tell from others.
#[inline(never)]
fn call_all<S>(service: &mut S, requests: &mut Vec<LlmRequest>, answer: Answer, runtime: &Runtime)
where
    S: Service<LlmRequest, Response = LlmResponse>,
{
    let mut cx = Context::from_waker(Waker::noop());
    for request in requests.drain(..) {
        let ready = at_once_or_later(pin!(poll_fn(|cx| service.poll_ready(cx))), &mut cx, runtime);
        assert!(ready.is_ok(), "the echo does not fail to get ready");
        let answered = at_once_or_later(pin!(service.call(request)), &mut cx, runtime);
        match answer {
            Answer::Whole => assert!(black_box(answered).is_ok_and(|response| response.body.is_full())),
            Answer::Stream => assert_eq!(answered.map_or(0, |response| frames(response, &mut cx)), FRAMES),
            Answer::Refusal => assert!(black_box(answered).is_err()),
        }
    }
}

/// What comes of `future`. The echo has everything at once; only a layer that waits for another thread or for a timer
/// needs a runtime.
fn at_once_or_later<F: Future>(mut future: Pin<&mut F>, cx: &mut Context<'_>, runtime: &Runtime) -> F::Output {
    match future.as_mut().poll(cx) {
        Poll::Ready(output) => output,
        Poll::Pending => runtime.block_on(future),
    }
}

/// Reads the answer to its end.
fn frames(mut response: LlmResponse, cx: &mut Context<'_>) -> usize {
    let mut frames = 0;
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut response.body).poll_next(cx) {
        black_box(frame);
        frames += 1;
    }
    frames
}
