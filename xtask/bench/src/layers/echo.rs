//! The service below the layers: ready, and done before it is called.

use std::{
    cell::RefCell,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::stream;
use llm_core::{
    Body, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmRequest, LlmResponse, Output, Start, Usage,
};
use tower::Service;

/// Frames of a streamed answer: a start, words, a usage report, a finish reason and the terminal frame.
pub const FRAMES: usize = 4 + WORDS.len();

const WORDS: [&str; 5] = ["The", " sky", " is", " blue", "."];

/// Reported, as providers do: what an estimate costs is the core's, and the first who asks for it pays for all.
const USAGE: Usage = Usage::reported(10, WORDS.len() as u64);

/// What the echo answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A whole answer.
    Whole,
    /// A stream of [`FRAMES`] frames that are all there.
    Stream,
    /// A refusal. A layer that refuses by itself is measured against it.
    Refusal,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Stream, Self::Refusal];

    /// Its name, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "stream",
            Self::Refusal => "refusal",
        }
    }

    fn make(self, refusal: &Error) -> Result<LlmResponse, Error> {
        let body = match self {
            Self::Whole => {
                let mut output = Output::text(WORDS.concat());
                output.set_usage(USAGE);
                Body::full(output)
            }
            Self::Stream => {
                let start = Frame::event(Event::Start(Start::default()));
                let words = WORDS.map(Frame::text);
                let finish = [Event::Usage(USAGE), Event::Finish(FinishReason::Stop)].map(Frame::event);
                let frames = [start].into_iter().chain(words).chain(finish).chain([Frame::default().last()]);
                let frames: Vec<_> = frames.map(Ok).collect();
                Body::stream(stream::iter(frames))
            }
            Self::Refusal => return Err(refusal.clone()),
        };
        Ok(LlmResponse::new(Head::default(), body))
    }
}

thread_local! {
    /// What the next calls on this thread are answered with.
    static STOCK: RefCell<Vec<Result<LlmResponse, Error>>> = const { RefCell::new(Vec::new()) };
}

/// Lays in what the next `calls` calls on this thread are answered with; what was left over is dropped.
pub fn stock(answer: Answer, calls: usize) {
    let refusal = Error::new(ErrorKind::CircuitOpen, "refused");
    STOCK.with_borrow_mut(|stock| {
        stock.clear();
        stock.extend((0..calls).map(|_| answer.make(&refusal)));
    });
}

/// Answers at once with what was laid in. All its state belongs to the thread, so that whatever two threads get in
/// each other's way with is the layers'.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Service<LlmRequest> for Echo {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: LlmRequest) -> Self::Future {
        ready(STOCK.with_borrow_mut(Vec::pop).expect("an answer was laid in for every call"))
    }
}
