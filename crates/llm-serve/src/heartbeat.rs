//! Notices when a stream has been silent for too long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Falls due after each `interval` without a write.
///
/// The timer is not moved with every write, which would cost more than the write: it runs out, finds that something
/// was written since, and is set again for the rest.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    written: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    /// An interval of zero is never due.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, written: Instant::now(), timer: None }
    }

    pub(crate) fn note_write(&mut self) {
        self.written = Instant::now();
    }

    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.interval.is_zero() {
            return Poll::Pending;
        }
        // An interval beyond the clock's range is never over.
        let Some(due) = self.written.checked_add(self.interval) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}
