//! One call to the inner service, and everybody who waits for its answer.
//!
//! The flight owns the call, and its readers own the flight: the map of flights only holds it weakly. Whichever reader is
//! polled drives the call on and writes down what comes, for all to read; no task does. When the last reader leaves, the
//! flight is dropped, and the call with it.

mod flights;
mod lock;
mod log;
mod reader;
mod upstream;
mod wakers;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use llm_core::{Error, Frame, Head};

pub(crate) use self::{
    flights::{Boarded, Flights},
    log::{Log, Whole},
    reader::Reader,
    upstream::Upstream,
};
use self::{
    lock::{Lock, Locks, Std},
    wakers::Wakers,
};
use crate::{Key, Refused, entry::Kept};

/// A call that is made for all who wait, and what is to be done when it is over.
pub(crate) trait Call: Send {
    /// The next step of the call. Not asked again after the last one.
    fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step>;

    /// What is to be kept of an answer that is complete. It is locked meanwhile.
    fn keep(self: Pin<&mut Self>, log: &Log) -> Result<Kept, Refused>;

    /// The call is over, and so many joined it. No lock is held.
    fn settle(self: Pin<&mut Self>, head: Option<Head>, ending: Ending, joined: u64);
}

/// What comes next of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// A stream begins.
    Head(Head),
    /// A whole answer, with which the call is over.
    Whole(Head, Arc<Whole>),
    /// A frame, with which the call is over if it is the last one.
    Frame(Frame),
    /// The call is over.
    End(Result<(), Error>),
}

/// How a call ended, for the store.
#[derive(Debug)]
pub(crate) enum Ending {
    Kept(Kept),
    Refused(Refused),
    Failed(Error),
}

/// Where the call is.
enum Slot {
    /// Here, and nobody drives it at the moment.
    Idle(Pin<Box<dyn Call>>),
    /// With the reader who drives it. Others may have come meanwhile, who have to look again once it is back.
    Busy { others_came: bool },
    /// Nowhere: it is over.
    Over,
}

/// A call under way. The locks are a parameter, so that the same code runs on a model checker's.
pub(crate) struct Flight<L: Locks = Std> {
    key: Key,
    // None where nobody can join.
    flights: Option<Arc<Flights<L>>>,
    log: L::Of<Log>,
    slot: L::Of<Slot>,
    // Apart from the flight, because the call holds on to them.
    wakers: Arc<Wakers<L>>,
    waker: Waker,
    /// The most bytes of frames to keep.
    limit: usize,
}

impl<L: Locks> Flight<L> {
    pub(crate) fn new(key: Key, flights: Option<Arc<Flights<L>>>, limit: usize, call: Pin<Box<dyn Call>>) -> Self {
        let wakers = Arc::new(Wakers::new());
        Self {
            key,
            flights,
            log: Lock::new(Log::default()),
            slot: Lock::new(Slot::Idle(call)),
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
            limit,
        }
    }

    /// Waits until `look` finds what `reader` looks for, and drives the call meanwhile.
    ///
    /// At the end of the log it must always find something.
    fn poll<R>(&self, reader: u64, cx: &mut Context<'_>, look: impl Fn(&Log) -> Option<R>) -> Poll<R> {
        loop {
            if let Some(found) = self.log.with(|log| look(log)) {
                return Poll::Ready(found);
            }
            // Before the next look, or what comes in between would wake nobody.
            self.wakers.register(reader, cx.waker());
            let Some(mut call) = self.take_call() else {
                // Whoever drives it wakes us afterwards.
                return self.log.with(|log| look(log)).map_or(Poll::Pending, Poll::Ready);
            };
            if let Some(found) = self.log.with(|log| look(log)) {
                self.put_back(call, reader);
                return Poll::Ready(found);
            }
            let polled =
                catch_unwind(AssertUnwindSafe(|| call.as_mut().poll_step(&mut Context::from_waker(&self.waker))));
            let panicked = |_| Poll::Ready(Step::End(Err(Error::internal("the inner service panicked"))));
            match polled.unwrap_or_else(panicked) {
                Poll::Pending => {
                    self.put_back(call, reader);
                    return Poll::Pending;
                }
                Poll::Ready(step) => match self.write_down(step) {
                    None => {
                        self.put_back(call, reader);
                        self.wakers.wake_others(reader);
                    }
                    Some(end) => self.end(call, end, reader),
                },
            }
        }
    }

    /// The call, unless somebody has it.
    fn take_call(&self) -> Option<Pin<Box<dyn Call>>> {
        self.slot.with(|slot| match std::mem::replace(slot, Slot::Busy { others_came: true }) {
            Slot::Idle(call) => {
                *slot = Slot::Busy { others_came: false };
                Some(call)
            }
            Slot::Busy { .. } => None,
            Slot::Over => {
                *slot = Slot::Over;
                None
            }
        })
    }

    fn put_back(&self, call: Pin<Box<dyn Call>>, reader: u64) {
        let before = self.slot.with(|slot| std::mem::replace(slot, Slot::Idle(call)));
        if matches!(before, Slot::Busy { others_came: true }) {
            // They went to sleep over a call that nobody drives any more.
            self.wakers.wake_others(reader);
        }
    }

    /// Writes down what came; says so if the call is over with it.
    fn write_down(&self, step: Step) -> Option<Result<(), Error>> {
        let has_overflown = self.log.with(|log| match step {
            Step::Head(head) => {
                log.head = Some(head);
                Ok(false)
            }
            Step::Whole(head, whole) => {
                log.head = Some(head);
                log.whole = Some(whole);
                Err(Ok(()))
            }
            Step::Frame(frame) => {
                let is_last = frame.is_last();
                let has_overflown = log.push(frame, self.limit);
                if is_last { Err(Ok(())) } else { Ok(has_overflown) }
            }
            Step::End(end) => Err(end),
        });
        match has_overflown {
            Ok(false) => None,
            Ok(true) => {
                self.leave_map();
                None
            }
            Err(end) => Some(end),
        }
    }

    /// The answer is stored before the flight leaves the map, or somebody would find it in neither.
    fn end(&self, mut call: Pin<Box<dyn Call>>, end: Result<(), Error>, reader: u64) {
        let (head, joined) = self.log.with(|log| (log.head.clone(), log.joined));
        // A store of somebody else's may panic, which must not leave the others waiting.
        let settled = catch_unwind(AssertUnwindSafe(|| {
            let ending = match &end {
                Ok(()) => self.log.with(|log| call.as_mut().keep(log)).map_or_else(Ending::Refused, Ending::Kept),
                Err(error) => Ending::Failed(error.clone()),
            };
            call.as_mut().settle(head, ending, joined);
        }));
        if settled.is_err() {
            tracing::error!("the store panicked");
        }
        self.leave_map();
        self.log.with(|log| log.end = Some(end));
        self.slot.with(|slot| *slot = Slot::Over);
        self.wakers.wake_others(reader);
    }

    fn leave_map(&self) {
        if let Some(flights) = &self.flights {
            flights.leave(&self.key, self);
        }
    }
}

impl<L: Locks> Drop for Flight<L> {
    /// The last reader has left.
    fn drop(&mut self) {
        self.leave_map();
        if let Slot::Idle(mut call) = self.slot.with(|slot| std::mem::replace(slot, Slot::Over)) {
            call.as_mut().settle(None, Ending::Refused(Refused::Abandoned), 0);
        }
    }
}

impl<L: Locks> fmt::Debug for Flight<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flight({})", self.key)
    }
}

#[cfg(test)]
mod loom_tests;
