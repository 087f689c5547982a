//! The call to the inner service, step by step.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::FutureExt;
use llm_core::{Body, Error, Head, LlmResponse, Wire};
use pin_project_lite::pin_project;

use super::{Call, Ending, Log, Step, Whole};
use crate::{
    Refused,
    entry::Kept,
    recorder::{Recorder, Used},
};

pin_project! {
    /// A call to the inner service, and the recorder of its answer, in one allocation.
    pub(crate) struct Upstream<F> {
        #[pin]
        state: State<F>,
        recorder: Recorder,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Called { #[pin] future: F },
        Streams { body: Body },
        Over,
    }
}

impl<F> Upstream<F> {
    /// A call whose answer is held back until its first content.
    pub(crate) fn new(call: F, recorder: Recorder) -> Self {
        Self { state: State::Called { future: call }, recorder }
    }
}

impl<F> Call for Upstream<F>
where
    F: Future<Output = Result<LlmResponse, Error>> + Send,
{
    fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step> {
        let mut this = self.project();
        Poll::Ready(match this.state.as_mut().project() {
            StateProjection::Called { future } => {
                let answered = ready!(future.poll(cx));
                this.state.set(State::Over);
                match answered {
                    Ok(LlmResponse { head, body }) if body.is_full() => whole(head, body, this.recorder),
                    Ok(LlmResponse { head, body }) => {
                        let body = this.recorder.watch(body);
                        this.state.set(State::Streams { body });
                        Step::Head(head)
                    }
                    Err(error) => Step::End(Err(error)),
                }
            }
            StateProjection::Streams { body } => match ready!(Pin::new(body).poll_next(cx)) {
                Some(Ok(frame)) => Step::Frame(frame),
                Some(Err(error)) => Step::End(Err(error)),
                None => Step::End(Ok(())),
            },
            StateProjection::Over => Step::End(Ok(())),
        })
    }

    fn keep(self: Pin<&mut Self>, log: &Log) -> Result<Kept, Refused> {
        self.project().recorder.keep(log)
    }

    fn settle(self: Pin<&mut Self>, head: Option<Head>, ending: Ending, joined: u64) {
        self.project().recorder.settle(head, ending, joined);
    }
}

fn whole(head: Head, body: Body, recorder: &mut Recorder) -> Step {
    // What was reported of a whole answer holds; else somebody has to count.
    let reported = body.as_full().and_then(|output| output.usage()).filter(|usage| usage.output > 0).copied();
    let body = match reported {
        Some(usage) => {
            recorder.used = Used::Known(usage);
            body
        }
        None => recorder.watch(body),
    };
    // A copy, so that what is kept of a small answer does not hold on to a large buffer.
    let wire = body.wire().map(|wire| Wire { bytes: Bytes::copy_from_slice(&wire.bytes), ..*wire });
    match body.collect().now_or_never() {
        Some(Ok(output)) => Step::Whole(head, Arc::new(Whole { output, wire })),
        Some(Err(error)) => Step::End(Err(error)),
        None => Step::End(Err(Error::internal("a whole answer was not there"))),
    }
}

impl Recorder {
    /// The body, of which it is noted at its end what it used.
    fn watch(&mut self, body: Body) -> Body {
        let usage = Arc::new(OnceLock::new());
        self.used = Used::AtEnd(Arc::clone(&usage));
        body.on_end(move |outcome| _ = usage.set(outcome.progress().usage()))
    }
}
