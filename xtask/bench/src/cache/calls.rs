//! Questions that are asked one after the other.

use std::{
    future::poll_fn,
    hint::black_box,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use llm_core::{CacheDirective, CallId, Caller, ChatBuilder, LlmRequest, LlmResponse};
use tokio::runtime::Runtime;
use tower::Service;

use crate::{
    canned::turns,
    layers::{
        calls::MODEL,
        echo::{self, Answer, FRAMES},
    },
    rounds::{BATCH, Batches, at_once_or_later},
    tenants::Tenants,
};

/// What is asked: a prompt of this size, in bytes.
pub const PROMPT: usize = 1_000;

/// How questions are asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What is to come of them.
    pub answer: Answer,
    /// By whom: these, over and over, or somebody new each time, for whom nothing is kept.
    pub by: Option<Tenants>,
    /// Whether only the first of them asks.
    pub is_first_alone: bool,
    /// What a cache is told about them.
    pub directive: CacheDirective,
}

impl Asked {
    /// Questions of known tenants, who asked them before.
    pub fn again(answer: Answer, by: Tenants) -> Self {
        Self { answer, by: Some(by), is_first_alone: false, directive: CacheDirective::default() }
    }

    /// Questions that nobody asked before.
    pub fn anew(answer: Answer) -> Self {
        Self { answer, by: None, is_first_alone: false, directive: CacheDirective::default() }
    }

    /// The question, without a caller.
    pub fn prototype(self) -> LlmRequest {
        let mut request = chat(PROMPT, self.answer == Answer::Stream);
        request.context_mut().set_cache(self.directive);
        request
    }
}

/// A conversation of about so many bytes, to be answered always the same.
pub fn chat(bytes: usize, is_stream: bool) -> LlmRequest {
    let chat = LlmRequest::chat(MODEL).system("You answer in few words.").temperature(0.0);
    let turn = |chat: ChatBuilder, (place, text): (usize, String)| {
        if place % 2 == 0 { chat.user(text) } else { chat.assistant(text) }
    };
    let chat = turns(bytes).into_iter().enumerate().fold(chat, turn);
    if is_stream { chat.stream() } else { chat }.build()
}

/// Who has never asked anything.
fn newcomer() -> Caller {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    Caller::tenant(format!("newcomer-{:010}", NUMBER.fetch_add(1, Relaxed)))
}

/// Batches of such questions, each of which is handed to `ask`.
pub fn asking(
    asked: Asked,
    thread: usize,
    ask: impl FnMut(LlmRequest, &mut Context<'_>, &Runtime) + 'static,
) -> Box<dyn Batches> {
    let known = |tenants: Tenants| {
        let names = if asked.is_first_alone { tenants.of(0).into_iter().take(1).collect() } else { tenants.of(thread) };
        names.into_iter().map(Caller::tenant).collect()
    };
    let callers = asked.by.map(known);
    let prototype = asked.prototype();
    Box::new(Asking { asked, prototype, callers, next: 0, requests: Vec::with_capacity(BATCH), ask })
}

struct Asking<F> {
    asked: Asked,
    prototype: LlmRequest,
    callers: Option<Vec<Caller>>,
    next: usize,
    requests: Vec<LlmRequest>,
    ask: F,
}

impl<F: FnMut(LlmRequest, &mut Context<'_>, &Runtime)> Batches for Asking<F> {
    fn prepare(&mut self) {
        // What is kept is not asked for below, where there is nothing.
        echo::stock(self.asked.answer, if self.callers.is_some() { 0 } else { BATCH });
        for _ in 0..BATCH {
            let caller = match &self.callers {
                Some(callers) => {
                    self.next = (self.next + 1) % callers.len();
                    callers[self.next].clone()
                }
                None => newcomer(),
            };
            self.requests.push(asked_by(caller, &self.prototype));
        }
    }

    fn run(&mut self, runtime: &Runtime) {
        let mut cx = Context::from_waker(Waker::noop());
        self.requests.drain(..).for_each(|request| (self.ask)(request, &mut cx, runtime));
    }
}

/// The same question as a call of this caller's.
pub fn asked_by(caller: Caller, prototype: &LlmRequest) -> LlmRequest {
    let mut context = llm_core::Context::new(CallId::random());
    context.set_cache(*prototype.context().cache());
    context.set_caller(caller);
    prototype.clone().with_context(context)
}

/// Calls `service` and reads its answer to the end.
pub fn call<S>(service: &mut S, request: LlmRequest, answer: Answer, cx: &mut Context<'_>, runtime: &Runtime)
where
    S: Service<LlmRequest, Response = LlmResponse>,
{
    let ready = at_once_or_later(pin!(poll_fn(|cx| service.poll_ready(cx))), cx, runtime);
    assert!(ready.is_ok(), "the echo does not fail to get ready");
    let answered = at_once_or_later(pin!(service.call(request)), cx, runtime);
    read(answered.ok(), answer, cx);
}

/// How many ask at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// One.
    One,
    /// One, and another while the call is under way.
    Two,
}

/// Calls `service`, over an echo that is late, and reads the answer to its end; so do all the readers, who came while the
/// call was under way, and of whom the last to come drives it on.
pub fn read_together<S>(service: &mut S, request: LlmRequest, answer: Answer, readers: Readers, cx: &mut Context<'_>)
where
    S: Service<LlmRequest, Response = LlmResponse>,
{
    let mut first = pin!(service.call(request.clone()));
    assert!(first.as_mut().poll(cx).is_pending(), "the echo is late");
    if readers == Readers::Two {
        let polled = pin!(service.call(request)).poll(cx);
        read_to_end(polled, answer, cx);
    }
    read_to_end(first.poll(cx), answer, cx);
}

fn read_to_end<E>(polled: Poll<Result<LlmResponse, E>>, answer: Answer, cx: &mut Context<'_>) {
    let Poll::Ready(answered) = polled else { panic!("the echo answers when it is asked again") };
    read(answered.ok(), answer, cx);
}

fn read(answered: Option<LlmResponse>, answer: Answer, cx: &mut Context<'_>) {
    match answer {
        Answer::Whole => assert!(black_box(answered).is_some_and(|response| response.body.is_full())),
        Answer::Stream => assert_eq!(answered.map_or(0, |response| frames(response, cx)), FRAMES),
        Answer::Refusal => assert!(black_box(answered).is_none()),
    }
}

fn frames(mut response: LlmResponse, cx: &mut Context<'_>) -> usize {
    let mut frames = 0;
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut response.body).poll_next(cx) {
        black_box(frame);
        frames += 1;
    }
    frames
}
