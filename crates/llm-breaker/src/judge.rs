//! A trip rule by itself, without circuits.

use std::{sync::Arc, time::Duration};

use crate::{Sample, Step, Trip, TripRule, rate::Window, trip::Rule};

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
pub struct Judge(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Score(Arc<dyn TripRule>, u32),
    Window(Window),
}

impl Judge {
    /// A rule that has seen nothing yet.
    pub fn new(trip: impl Into<Trip>) -> Self {
        Self(match trip.into().rule() {
            Rule::Score { rule, .. } => Memory::Score(Arc::clone(rule), 0),
            Rule::Rate(rate) => Memory::Window(Window::new(*rate)),
        })
    }

    /// Tells the rule of a call that ended at `now`, since any beginning; true if the circuit opens with it. Then the
    /// rule begins anew.
    pub fn trips(&mut self, sample: Sample, now: Duration) -> bool {
        match &mut self.0 {
            Memory::Score(rule, score) => {
                let (kept, trips) = match rule.after(*score, sample) {
                    Step::Keep(score) => (score, false),
                    Step::Trip => (0, true),
                };
                *score = kept;
                trips
            }
            Memory::Window(window) => {
                let trips = window.trips(sample, now.as_millis() as u64);
                if trips {
                    window.clear();
                }
                trips
            }
        }
    }
}
