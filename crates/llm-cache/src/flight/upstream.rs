//! The call to the inner service, step by step.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt, future::BoxFuture};
use llm_core::{Body, Error, LlmResponse, Usage, Wire};

use super::{Source, Step, Whole};

/// A call to the inner service.
pub(crate) struct Upstream {
    state: State,
    usage: Arc<OnceLock<Usage>>,
}

enum State {
    Called(BoxFuture<'static, Result<LlmResponse, Error>>),
    Streams(Body),
    Over,
}

impl Upstream {
    /// A call whose answer is held back until its first content. What it used is written into `usage` at its end.
    pub(crate) fn new(call: BoxFuture<'static, Result<LlmResponse, Error>>, usage: Arc<OnceLock<Usage>>) -> Self {
        Self { state: State::Called(call), usage }
    }

    fn begin(&mut self, LlmResponse { head, body }: LlmResponse) -> Step {
        let usage = Arc::clone(&self.usage);
        let body = body.on_end(move |outcome| _ = usage.set(outcome.progress().usage()));
        if !body.is_full() {
            self.state = State::Streams(body);
            return Step::Head(head);
        }
        // A copy, so that what is kept of a small answer does not hold on to a large buffer.
        let wire = body.wire().map(|wire| Wire { bytes: Bytes::copy_from_slice(&wire.bytes), ..*wire });
        match body.collect().now_or_never() {
            Some(Ok(output)) => Step::Whole(head, Arc::new(Whole { output, wire })),
            Some(Err(error)) => Step::End(Err(error)),
            None => Step::End(Err(Error::internal("a whole answer was not there"))),
        }
    }
}

impl Source for Upstream {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        Poll::Ready(match &mut self.state {
            State::Called(call) => {
                let answered = ready!(call.as_mut().poll(cx));
                self.state = State::Over;
                match answered {
                    Ok(response) => self.begin(response),
                    Err(error) => Step::End(Err(error)),
                }
            }
            State::Streams(body) => match ready!(Pin::new(body).poll_next(cx)) {
                Some(Ok(frame)) => Step::Frame(frame),
                Some(Err(error)) => Step::End(Err(error)),
                None => Step::End(Ok(())),
            },
            State::Over => Step::End(Ok(())),
        })
    }
}
