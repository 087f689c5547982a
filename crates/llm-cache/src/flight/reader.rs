//! Somebody who waits for a flight's answer.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use llm_core::{Error, ErrorKind, Frame, Head};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Flight, Whole,
    lock::{Lock, Locks, Std},
    log::Found,
};

/// Reads a flight's answer from its beginning, each at its own pace and for as long as its caller waits.
pub(crate) struct Reader<L: Locks = Std> {
    flight: Arc<Flight<L>>,
    number: u64,
    place: u64,
    has_joined: bool,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// How an answer begins.
pub(crate) type Beginning = (Head, Option<Arc<Whole>>);

impl<L: Locks> Reader<L> {
    /// Reads until `deadline`.
    pub(crate) fn new(flight: Arc<Flight<L>>, has_joined: bool, deadline: Option<Instant>) -> Self {
        let number = flight.log.with(|log| {
            log.readers += 1;
            log.joined += u64::from(has_joined);
            log.readers
        });
        let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
        Self { flight, number, place: 0, has_joined, deadline }
    }

    /// Whether somebody else made the call.
    pub(crate) fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// How the answer begins, once that is known.
    pub(crate) fn poll_beginning(&mut self, cx: &mut Context<'_>) -> Poll<Result<Beginning, Error>> {
        let polled = self.flight.poll(self.number, cx, |log| match (&log.head, &log.end) {
            (Some(head), _) => Some(Ok((head.clone(), log.whole.clone()))),
            (None, Some(Err(error))) => Some(Err(error.clone())),
            (None, Some(Ok(()))) => Some(Err(Error::internal("an answer ended before it began"))),
            (None, None) => None,
        });
        self.or_late(cx, polled)
    }

    /// The next frame. Not asked again after the last one.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let place = self.place;
        let polled = self.flight.poll(self.number, cx, |log| log.at(place)).map(Ok);
        let found = ready!(self.or_late(cx, polled));
        Poll::Ready(match found {
            Ok(Found::Frame(frame)) => {
                self.place += 1;
                Some(Ok(frame))
            }
            Ok(Found::End(end)) => end.err().map(Err),
            Ok(Found::Gone) => {
                Some(Err(Error::new(ErrorKind::Interrupted, "the answer was read too slowly to be kept for so long")))
            }
            Err(late) => Some(Err(late)),
        })
    }

    /// What came, or that the caller's deadline has.
    fn or_late<R>(&mut self, cx: &mut Context<'_>, polled: Poll<Result<R, Error>>) -> Poll<Result<R, Error>> {
        match (polled, &mut self.deadline) {
            (Poll::Pending, Some(deadline)) => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(Error::new(ErrorKind::DeadlineExceeded, "the caller's deadline has passed")))
            }
            (polled, _) => polled,
        }
    }
}

impl<L: Locks> Stream for Reader<L> {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_frame(cx)
    }
}

impl<L: Locks> Drop for Reader<L> {
    fn drop(&mut self) {
        self.flight.wakers.forget(self.number);
    }
}

impl<L: Locks> fmt::Debug for Reader<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).field("has_joined", &self.has_joined).finish()
    }
}
