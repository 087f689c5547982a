//! An answer on its way out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{slow::Serving, stall::Offered};

/// The largest frame that an HTTP/2 stream is given at once: what it has taken is queued whatever the client's window,
/// and no longer watched. 16 KiB is the largest frame that every HTTP/2 client takes (RFC 9113, 4.2).
const MOST_AT_ONCE: usize = 16 * 1024;

pin_project! {
    /// The body of an answer. Its request is being served as long as this lives.
    pub(crate) struct Served {
        #[pin]
        body: Body,
        // What is left of a frame that was larger than an HTTP/2 stream is given at once.
        rest: Bytes,
        frames: u64,
        offered: Option<Offered>,
        _serving: Serving,
    }
}

impl Served {
    /// Made within the task that sends the answer.
    pub(crate) fn new(body: Body, serving: Serving) -> Self {
        Self { body, rest: Bytes::new(), frames: 0, offered: Offered::of_this_stream(), _serving: serving }
    }
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let Some(offered) = this.offered else { return this.body.poll_frame(cx) };
        let polled = if this.rest.is_empty() {
            this.body.poll_frame(cx).map_ok(|frame| match frame.into_data() {
                Ok(data) => {
                    *this.rest = data;
                    Frame::data(this.rest.split_to(this.rest.len().min(MOST_AT_ONCE)))
                }
                Err(other) => other,
            })
        } else {
            Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(this.rest.len().min(MOST_AT_ONCE))))))
        };
        let is_given = matches!(polled, Poll::Ready(Some(Ok(_))));
        *this.frames += u64::from(is_given);
        offered.note(is_given.then_some(*this.frames));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
