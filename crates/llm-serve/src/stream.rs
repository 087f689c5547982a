//! A model's answer as server-sent events.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use llm_core::{Body, Error, Head, LlmRequest, LlmResponse, Trail};
use llm_wire::sse;

use crate::{
    DoorOptions,
    dialect::{CallerDialect, StreamEncoder},
    heartbeat::Heartbeat,
    told::Attempts,
};

/// The inner service's answer, when it comes.
pub(crate) type Awaited = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

/// The events of one answer, one piece of bytes each, handed on as soon as the frame they come from is there.
pub(crate) struct EventStream {
    source: Source,
    dialect: CallerDialect,
    heartbeat: Heartbeat,
    buffer: BytesMut,
    /// Where the cost of the call will be, if the stream is to end with it.
    bill: Option<Trail>,
    /// Where the attempts are that a failure within the stream tells of, if callers are told of them.
    attempts: Option<Trail>,
}

#[allow(clippy::large_enum_variant, reason = "nearly every source is an answer, and it lives in one box as it is")]
enum Source {
    /// The head went out before there was an answer.
    Awaited {
        answer: Awaited,
        request: LlmRequest,
    },
    Answer {
        body: Body,
        encoder: StreamEncoder,
    },
    /// The answer is dropped as soon as it is over, and with it all that it held.
    Over,
}

impl EventStream {
    pub(crate) fn answer(
        response: LlmResponse,
        request: &LlmRequest,
        dialect: CallerDialect,
        options: &DoorOptions,
    ) -> Self {
        let encoder = dialect.stream_encoder(&response.head, request);
        Self::new(Source::Answer { body: response.body, encoder }, request, dialect, options)
    }

    pub(crate) fn awaited(
        answer: Awaited,
        request: &LlmRequest,
        dialect: CallerDialect,
        options: &DoorOptions,
    ) -> Self {
        Self::new(Source::Awaited { answer, request: request.clone() }, request, dialect, options)
    }

    fn new(source: Source, request: &LlmRequest, dialect: CallerDialect, options: &DoorOptions) -> Self {
        let trail = |is_told: bool| is_told.then(|| request.context().trail());
        Self {
            source,
            dialect,
            heartbeat: Heartbeat::new(options.heartbeat),
            buffer: BytesMut::new(),
            bill: trail(options.cost_comment),
            attempts: trail(options.provenance_headers),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.source, Source::Over) && self.bill.is_none()
    }

    /// The bytes of the next event; `None` at the end, which is always a clean one: what went wrong was said in-band.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.source {
                Source::Awaited { answer, request } => match answer.as_mut().poll(cx) {
                    Poll::Pending => return self.poll_heartbeat(cx).map(Some),
                    Poll::Ready(Ok(response)) => {
                        let encoder = self.dialect.stream_encoder(&response.head, request);
                        self.source = Source::Answer { body: response.body, encoder };
                    }
                    Poll::Ready(Err(error)) => {
                        let error = told(&self.attempts, error);
                        self.dialect.stream_encoder(&Head::default(), request).fail(&error, &mut self.buffer);
                        self.source = Source::Over;
                    }
                },
                Source::Answer { body, encoder } => match Pin::new(body).poll_next(cx) {
                    Poll::Pending => return self.poll_heartbeat(cx).map(Some),
                    Poll::Ready(Some(Ok(frame))) => {
                        encoder.encode(&frame, &mut self.buffer);
                        if frame.is_last() {
                            encoder.finish(&mut self.buffer);
                            self.source = Source::Over;
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        encoder.fail(&told(&self.attempts, error), &mut self.buffer);
                        self.source = Source::Over;
                    }
                    // It had its finish reason, or the body would have failed.
                    Poll::Ready(None) => {
                        encoder.finish(&mut self.buffer);
                        self.source = Source::Over;
                    }
                },
                Source::Over => {
                    let cost = self.bill.take().and_then(|trail| Attempts::of(&trail).cost());
                    let Some(cost) = cost else { return Poll::Ready(None) };
                    sse::comment(&format!("llm-cost-usd {}", cost.decimal()), &mut self.buffer);
                }
            }
            if !self.buffer.is_empty() {
                self.heartbeat.note_write();
                return Poll::Ready(Some(self.buffer.split().freeze()));
            }
        }
    }

    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        ready!(self.heartbeat.poll_due(cx));
        self.heartbeat.note_write();
        Poll::Ready(self.dialect.heartbeat())
    }
}

/// The failure with the attempts that led to it.
fn told(attempts: &Option<Trail>, error: Error) -> Error {
    attempts.as_ref().and_then(|trail| Attempts::of(trail).tell(&error)).unwrap_or(error)
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.source {
            Source::Awaited { .. } => "awaited",
            Source::Answer { .. } => "answer",
            Source::Over => "over",
        };
        f.debug_struct("EventStream").field("state", &state).finish_non_exhaustive()
    }
}
