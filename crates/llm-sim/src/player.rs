//! Plays the steps of a plan in their time.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::plan::{Happening, Step};

/// What stands for "no end": waits that no clock can add up to.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Hands out what happens when its time has come.
pub(crate) struct Player {
    steps: VecDeque<Step>,
    // When the last step was due. Waits add up from there, not from when a step was taken, so that the timer's
    // granularity of a millisecond does not slow the stream down.
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    hangs: bool,
}

impl Player {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), due: Instant::now(), sleep: None, hangs: false }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Happening>> {
        loop {
            if self.hangs {
                return Poll::Pending;
            }
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.steps.pop_front() {
                Some(Step::Wait(wait)) => self.wait(wait),
                Some(Step::Pings(every)) => {
                    self.steps.push_front(Step::Pings(every));
                    self.steps.push_front(Step::Wait(every));
                    return Poll::Ready(Some(Happening::Ping));
                }
                Some(Step::Hang) => self.hangs = true,
                Some(Step::Do(happening)) => return Poll::Ready(Some(happening)),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Lets the time of the answer run on by `wait`.
    fn wait(&mut self, wait: Duration) {
        self.due += wait.min(FOREVER);
        if self.due > Instant::now() {
            self.sleep = Some(Box::pin(sleep_until(self.due)));
        }
    }
}

/// Waits, also for longer than a clock can count.
pub(crate) async fn wait(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait.min(FOREVER)).await;
    }
}
