//! Whether a cache hands on each frame before the next one comes.

use std::{
    future::{Ready, ready},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{Stream, stream};
use llm_cache::CacheLayer;
use llm_core::{Body, Error, Event, FinishReason, Frame, Head, LlmRequest, LlmResponse, Start, Usage};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::{Layer, Service};

use super::calls::chat;
use crate::Failure;

/// How many frames a stream has, and how many of them were handed on before the next one came: to who called, and to who
/// joined. A stream that is not handed on whole is an error.
pub fn count() -> Result<(usize, [usize; 2]), Failure> {
    let (sender, receiver) = unbounded_channel();
    let mut service = CacheLayer::new().layer(Provider(Arc::new(Mutex::new(Some(receiver)))));
    let mut cx = Context::from_waker(Waker::noop());
    let calls = [(); 2].map(|()| service.call(chat(1_000, true)));
    let [caller, joiner] = calls;
    let mut calls = [pin!(caller), pin!(joiner)];
    let mut bodies = [None, None];
    let (mut come, mut at_once) = ([0; 2], [0; 2]);
    // Both are there before anything has come.
    for call in &mut calls {
        if call.as_mut().poll(&mut cx).is_ready() {
            return Err("a cache answered before there was an answer".into());
        }
    }
    let frames = frames();
    let number = frames.len();
    for (place, frame) in frames.into_iter().enumerate() {
        sender.send(frame).map_err(|_| "a cache left its call")?;
        for reader in 0..2 {
            if bodies[reader].is_none()
                && let Poll::Ready(answered) = calls[reader].as_mut().poll(&mut cx)
            {
                bodies[reader] = Some(answered?.body);
            }
            let before = come[reader];
            if let Some(body) = &mut bodies[reader] {
                come[reader] += frames_there(body, &mut cx)?;
            }
            // What was held until now came late, and only the newest came at once.
            at_once[reader] += usize::from(come[reader] == place + 1 && come[reader] > before);
        }
    }
    if come != [number; 2] {
        return Err(format!("of {number} frames {come:?} were handed on").into());
    }
    Ok((number, at_once))
}

/// Reads what there is.
fn frames_there(body: &mut Body, cx: &mut Context<'_>) -> Result<usize, Failure> {
    let mut frames = 0;
    while let Poll::Ready(Some(frame)) = Pin::new(&mut *body).poll_next(cx) {
        frame?;
        frames += 1;
    }
    Ok(frames)
}

fn frames() -> Vec<Frame> {
    let start = Frame::event(Event::Start(Start::default()));
    let words = ["The", " sky", " is", " blue", "."].map(Frame::text);
    let end = [Event::Usage(Usage::reported(10, 5)), Event::Finish(FinishReason::Stop)].map(Frame::event);
    [start].into_iter().chain(words).chain(end).chain([Frame::default().last()]).collect()
}

/// Answers one call with the frames that are sent to it.
#[derive(Clone)]
struct Provider(Arc<Mutex<Option<UnboundedReceiver<Frame>>>>);

impl Service<LlmRequest> for Provider {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: LlmRequest) -> Self::Future {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut receiver = receiver.expect("it is called once");
        let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|frame| frame.map(Ok)));
        ready(Ok(LlmResponse::new(Head::default(), Body::stream(frames))))
    }
}
