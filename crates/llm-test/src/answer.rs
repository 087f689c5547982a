//! Scripted answers: what the probe does when it is called.

use std::time::Duration;

use bytes::Bytes;
use llm_core::{Body, Dialect, Error, Head, LlmRequest, LlmResponse, Output, Usage};

use crate::{BodyLog, Frames, Gate, log::Flight};

/// What a [`Probe`](crate::Probe) answers to one call.
#[derive(Clone, Debug)]
#[must_use = "an answer does nothing until a probe is given it"]
pub struct Answer {
    wait: Duration,
    gate: Option<Gate>,
    head: Head,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Fitting(String),
    Whole(Box<Output>, Option<(Dialect, Bytes)>),
    Stream(Frames),
    Fail(Error),
    Hang,
    PanicInCall,
    PanicInFuture,
}

impl Answer {
    fn of(act: Act) -> Self {
        Self { wait: Duration::ZERO, gate: None, head: Head::default(), act }
    }

    /// This text: a stream of words to a streamed request, a whole answer to any other.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Act::Fitting(text.into()))
    }

    /// A whole answer, whatever was asked for.
    pub fn whole(output: impl Into<Output>) -> Self {
        Self::of(Act::Whole(Box::new(output.into()), None))
    }

    /// A stream, whatever was asked for.
    pub fn stream(frames: Frames) -> Self {
        Self::of(Act::Stream(frames))
    }

    /// A failure instead of a response.
    pub fn fail(error: Error) -> Self {
        Self::of(Act::Fail(error))
    }

    /// No response, ever.
    pub fn hang() -> Self {
        Self::of(Act::Hang)
    }

    /// A panic in `Service::call`.
    pub fn panic_in_call() -> Self {
        Self::of(Act::PanicInCall)
    }

    /// A panic in the future, when it is first polled.
    pub fn panic_in_future() -> Self {
        Self::of(Act::PanicInFuture)
    }

    /// Lets the response come this much later.
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Lets the response come when the gate is open.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// What the response says before its body.
    pub fn head(mut self, head: Head) -> Self {
        self.head = head;
        self
    }

    /// The bytes that a [`whole`](Self::whole) answer was decoded from. The frames of a stream have their own.
    pub fn with_wire(mut self, dialect: Dialect, bytes: impl Into<Bytes>) -> Self {
        if let Act::Whole(_, wire) = &mut self.act {
            *wire = Some((dialect, bytes.into()));
        }
        self
    }

    pub(crate) fn panics_in_call(&self) -> bool {
        matches!(self.act, Act::PanicInCall)
    }

    /// Answers `request`. The flight lands when the call is over.
    pub(crate) async fn play(
        self,
        request: LlmRequest,
        body_log: BodyLog,
        flight: Flight,
    ) -> Result<LlmResponse, Error> {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        if let Some(gate) = &self.gate {
            std::future::poll_fn(|cx| gate.poll_passed(cx)).await;
        }
        let stream = |frames: Frames, flight: Flight| Body::stream(frames.play(body_log, Some(flight.with_body())));
        let body = match self.act {
            Act::Fitting(text) if request.is_stream() => stream(Frames::answer(&text), flight),
            Act::Fitting(text) => {
                flight.over();
                let mut output = Output::text(text);
                output.set_usage(Usage::reported(10, 5));
                Body::full(output)
            }
            Act::Whole(output, wire) => {
                flight.over();
                let body = Body::full(*output);
                match wire {
                    Some((dialect, bytes)) => body.with_wire(dialect, bytes),
                    None => body,
                }
            }
            Act::Stream(frames) => stream(frames, flight),
            Act::Fail(error) => {
                flight.over();
                return Err(error);
            }
            Act::Hang => std::future::pending().await,
            Act::PanicInCall | Act::PanicInFuture => panic!("the probe's future panics, as its script says"),
        };
        Ok(LlmResponse::new(self.head, body.answering(&request, request.model())))
    }
}
