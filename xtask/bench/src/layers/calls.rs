//! Calls of one layer, or of none, over the echo.

use std::{
    collections::VecDeque,
    future::poll_fn,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use llm_core::{CallId, Caller, LlmRequest, LlmResponse, Target};
use tokio::runtime::Runtime;
use tower::Service;

use super::echo::{self, Answer, FRAMES};
use crate::{
    rounds::{BATCH, Batches, Case, at_once_or_later},
    tenants::Tenants,
};

/// Where all calls go.
pub const PROVIDER: &str = "openai";

/// What all calls ask for.
pub const MODEL: &str = "gpt-4o-mini";

/// Calls of `service` that end in `answer`: all of one tenant, to one target.
pub fn calls<S>(name: &str, answer: Answer, service: S) -> Case
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    calls_of(Tenants::One, name, answer, service)
}

/// The same for other tenants.
pub fn calls_of<S>(tenants: Tenants, name: &str, answer: Answer, service: S) -> Case
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    case(name, Asked { answer, model: MODEL, is_targeted: true, tenants }, service)
}

/// The same as [`calls`] for a service that is to choose the target.
pub fn untargeted_calls<S>(name: &str, answer: Answer, model: &'static str, service: S) -> Case
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    case(name, Asked { answer, model, is_targeted: false, tenants: Tenants::One }, service)
}

#[derive(Clone, Copy)]
struct Asked {
    answer: Answer,
    model: &'static str,
    is_targeted: bool,
    tenants: Tenants,
}

fn case<S>(name: &str, asked: Asked, service: S) -> Case
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    let case = Case::new(name, asked.answer.name(), move |thread| {
        let service = service.clone();
        // Cloned again on its thread, because that is where its handles are to count.
        Box::new(move || Box::new(Calls::new(asked, thread, service.clone())))
    });
    case.by(asked.tenants)
}

struct Calls<S> {
    service: S,
    answer: Answer,
    prototype: LlmRequest,
    // Who calls next is the first.
    callers: VecDeque<Caller>,
    target: Option<Target>,
    requests: Vec<LlmRequest>,
}

impl<S> Calls<S> {
    fn new(asked: Asked, thread: usize, service: S) -> Self {
        let Asked { answer, model, is_targeted, tenants } = asked;
        let chat = LlmRequest::chat(model).user("Why is the sky blue?");
        let prototype = if answer == Answer::Stream { chat.stream() } else { chat }.build();
        let callers = tenants.of(thread).into_iter().map(Caller::tenant).collect();
        let target = is_targeted.then(|| Target::new(PROVIDER, MODEL));
        Self { service, answer, prototype, callers, target, requests: Vec::with_capacity(BATCH) }
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
            context.set_caller(self.callers[0].clone());
            self.callers.rotate_left(1);
            if let Some(target) = &self.target {
                context.set_target(target.clone());
            }
            self.requests.push(self.prototype.clone().with_context(context));
        }
    }

    fn run(&mut self, runtime: &Runtime) {
        let mut cx = Context::from_waker(Waker::noop());
        for request in self.requests.drain(..) {
            let ready = at_once_or_later(pin!(poll_fn(|cx| self.service.poll_ready(cx))), &mut cx, runtime);
            assert!(ready.is_ok(), "the echo does not fail to get ready");
            let answered = at_once_or_later(pin!(self.service.call(request)), &mut cx, runtime);
            match self.answer {
                Answer::Whole => assert!(black_box(answered).is_ok_and(|response| response.body.is_full())),
                Answer::Stream => assert_eq!(answered.map_or(0, |response| frames(response, &mut cx)), FRAMES),
                Answer::Refusal => assert!(black_box(answered).is_err()),
            }
        }
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
