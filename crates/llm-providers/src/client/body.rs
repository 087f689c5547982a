//! The body of a response, which keeps its place in the lane until it is dropped.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lanes::Slot;

/// The body of a [`Client`](super::Client)'s response. Dropping it before its end cancels the call.
pub struct ClientBody {
    incoming: Incoming,
    _slot: Option<Slot>,
}

impl ClientBody {
    pub(super) fn new(incoming: Incoming, slot: Option<Slot>) -> Self {
        Self { incoming, _slot: slot }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientBody")
    }
}
