//! The body of everything a door answers.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::stream::EventStream;

/// What a door answers: a whole message, or a stream of server-sent events in which each event is one frame.
///
/// Dropping it drops the model's answer, and so cancels the call.
pub struct DoorBody(Repr);

enum Repr {
    Full(Bytes),
    Stream(Box<EventStream>),
}

impl DoorBody {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Repr::Full(bytes))
    }

    pub(crate) fn stream(events: EventStream) -> Self {
        Self(Repr::Stream(Box::new(events)))
    }
}

impl Body for DoorBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Repr::Full(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Repr::Stream(events) => ready!(events.poll_event(cx)),
        };
        Poll::Ready(data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Repr::Full(bytes) => bytes.is_empty(),
            Repr::Stream(events) => events.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Repr::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for DoorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Repr::Stream(events) => events.fmt(f),
        }
    }
}
