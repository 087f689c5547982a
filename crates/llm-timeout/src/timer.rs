//! The one timer of a call.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

pin_project! {
    /// A timer that is made when somebody waits for the first time, and set anew as rarely as can be: one that is set
    /// too early is left to ring, and only then set to what it should be. Moving it for every wait would cost more than
    /// the waits do.
    #[derive(Debug, Default)]
    pub(crate) struct Timer {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// Ready once `at` has come; until then the task is woken at that time, or earlier.
    pub(crate) fn poll_until(self: Pin<&mut Self>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.set_by(at);
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }

    /// Lets it ring at `at`, or earlier, although nobody waits now.
    pub(crate) fn ring_by(self: Pin<&mut Self>, at: Instant) {
        let is_set = self.sleep.is_some();
        let sleep = self.set_by(at);
        if !is_set || sleep.is_elapsed() {
            sleep.reset(at);
        }
    }

    /// Whether it has been set and has rung since.
    pub(crate) fn has_rung(&self) -> bool {
        self.sleep.as_ref().is_some_and(Sleep::is_elapsed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.sleep.is_some()
    }

    fn set_by(self: Pin<&mut Self>, at: Instant) -> Pin<&mut Sleep> {
        let mut sleep = self.project().sleep;
        match sleep.as_ref().get_ref() {
            None => sleep.set(Some(sleep_until(at))),
            Some(set) if set.deadline() > at => sleep.as_mut().as_pin_mut().expect("it is set").reset(at),
            Some(_) => {}
        }
        sleep.as_pin_mut().expect("it was set above")
    }
}
