//! A trip rule by itself, without circuits.

use std::time::Duration;

use crate::{Sample, Step, Trip, rate::Window, trip::Rule};

/// A trip rule at work on one circuit that is always closed: for simulations, and for tests of rules of your own.
///
/// ```
/// use std::time::Duration;
/// use llm_breaker::{Consecutive, Judge, Sample, Weight};
///
/// let mut judge = Judge::new(Consecutive::default());
/// let failures = (1..).find(|_| judge.trips(Sample::Failure(Weight::ONE), Duration::ZERO));
/// assert_eq!(failures, Some(5));
/// ```
#[derive(Clone, Debug)]
pub struct Judge {
    trip: Trip,
    score: u32,
    window: Window,
}

impl Judge {
    /// A rule that has seen nothing yet.
    pub fn new(trip: impl Into<Trip>) -> Self {
        Self { trip: trip.into(), score: 0, window: Window::default() }
    }

    /// Tells the rule of a call that ended at `now`, since any beginning; true if the circuit opens with it. Then the
    /// rule begins anew.
    pub fn trips(&mut self, sample: Sample, now: Duration) -> bool {
        let trips = match self.trip.rule() {
            Rule::Score(rule) => match rule.after(self.score, sample) {
                Step::Keep(score) => {
                    self.score = score;
                    false
                }
                Step::Trip => true,
            },
            Rule::Rate(rate) => self.window.trips(rate, sample, now.as_millis() as u64),
        };
        if trips {
            self.score = 0;
            self.window = Window::default();
        }
        trips
    }
}
