//! Requests a minute, by governor, with its state kept where ours is.
//!
//! governor tests and counts in one step, and gives nothing back. Here it does so on a copy of a caller's state, which
//! takes the place of the state once all limits have agreed: so a refused call burns nothing, under any number of
//! limits.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock::Clock, middleware::StateInformationMiddleware, nanos::Nanos, state::StateStore,
};
use tokio::time::Instant;

/// So many requests a minute, for every caller of a limit.
#[derive(Debug)]
pub(crate) struct Requests {
    amount: NonZeroU32,
    limiter: RateLimiter<Arrival, InPlace, Since, StateInformationMiddleware>,
}

/// When a caller's requests would next arrive if they came evenly, as governor counts. At first it is long ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    next: Cell<Nanos>,
    // The requests a minute by which that was counted; absent while there was none.
    unit: Option<NonZeroU32>,
}

// For governor's sake, which could keep arrivals in a map.
impl Hash for Arrival {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.next.get().as_u64());
    }
}

/// governor's store, in which the key is the state itself.
#[derive(Debug)]
struct InPlace;

impl StateStore for InPlace {
    type Key = Arrival;

    fn measure_and_replace<T, F, E>(&self, arrival: &Arrival, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, next) = measure(Some(arrival.next.get()))?;
        arrival.next.set(next);
        Ok(answer)
    }
}

/// governor's clock: tokio's, counted from when the first layer was made.
///
/// governor takes its first reading for the beginning of time. That must be the same in all layers that go on from each
/// other, since arrivals are counted from it, so the first reading is zero.
#[derive(Debug)]
struct Since {
    began: Instant,
    is_read: AtomicBool,
}

impl Since {
    fn new(began: Instant) -> Self {
        Self { began, is_read: AtomicBool::new(false) }
    }
}

impl Clone for Since {
    fn clone(&self) -> Self {
        Self { began: self.began, is_read: AtomicBool::new(self.is_read.load(Relaxed)) }
    }
}

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        if self.is_read.load(Relaxed) {
            return self.began.elapsed();
        }
        self.is_read.store(true, Relaxed);
        Duration::ZERO
    }
}

impl Requests {
    pub(crate) fn new(amount: NonZeroU32, began: Instant) -> Self {
        Self { amount, limiter: RateLimiter::new(Quota::per_minute(amount), InPlace, Since::new(began)) }
    }

    /// What the state becomes if a request is let through, or how long that is still too early.
    pub(crate) fn look(&self, arrival: &Arrival) -> Result<Arrival, Duration> {
        let after = self.own(arrival);
        match self.limiter.check_key(&after) {
            Ok(_) => Ok(after),
            Err(not_until) => Err(not_until.wait_time_from(self.limiter.clock().now())),
        }
    }

    /// How many requests would be let through at once.
    pub(crate) fn left(&self, arrival: &Arrival) -> u32 {
        self.limiter.check_key(&self.own(arrival)).map_or(0, |after| after.remaining_burst_capacity() + 1)
    }

    /// Whether the state is as good as that of a caller who has never called.
    pub(crate) fn is_fresh(&self, arrival: &Arrival) -> bool {
        matches!(self.limiter.check_key_n(&self.own(arrival), self.amount), Ok(Ok(_)))
    }

    /// The same as this limit counts: of another amount as many requests are used up, and so the time that they take to come
    /// back is another one.
    pub(crate) fn own(&self, arrival: &Arrival) -> Arrival {
        let next = match arrival.unit {
            Some(unit) if unit != self.amount => {
                let now = Nanos::from(self.limiter.clock().now()).as_u64();
                let used = arrival.next.get().as_u64().saturating_sub(now);
                let used = (u128::from(used) * interval(self.amount)).div_ceil(interval(unit));
                Cell::new(Nanos::new(now.saturating_add(u64::try_from(used).unwrap_or(u64::MAX))))
            }
            Some(_) | None => arrival.next.clone(),
        };
        Arrival { next, unit: Some(self.amount) }
    }

    pub(crate) fn amount(&self) -> NonZeroU32 {
        self.amount
    }
}

/// The nanoseconds that a request takes to come back.
fn interval(amount: NonZeroU32) -> u128 {
    Quota::per_minute(amount).replenish_interval().as_nanos()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What takes part in a count: so many nanoseconds of a minute come back each nanosecond, up to a full bucket.
    struct Naive {
        interval: u64,
        amount: u64,
        // In nanoseconds of bucket.
        used: u64,
    }

    impl Naive {
        fn pass(&mut self, time: u64) {
            self.used = self.used.saturating_sub(time);
        }

        fn wait(&self) -> u64 {
            (self.used + self.interval).saturating_sub(self.interval * self.amount)
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Look,
        Take,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..20_000_000_000).prop_map(Step::Pass),
            (0_u64..100).prop_map(Step::Pass),
            Just(Step::Look),
            Just(Step::Take),
            Just(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn it_counts_as_a_bucket_does_and_a_look_takes_nothing(
            amount in 1_u32..200, steps in prop::collection::vec(any_step(), 1..200),
        ) {
            let builder = &mut tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let requests = Requests::new(NonZeroU32::new(amount).unwrap(), Instant::now());
                let mut naive = Naive { interval: 60_000_000_000 / u64::from(amount), amount: amount.into(), used: 0 };
                let mut arrival = Arrival::default();
                for step in steps {
                    let looked = requests.look(&arrival);
                    let wait = looked.as_ref().err().copied().unwrap_or_default();
                    prop_assert_eq!(wait, Duration::from_nanos(naive.wait()));
                    prop_assert_eq!(looked.is_ok(), naive.wait() == 0);
                    prop_assert_eq!(requests.is_fresh(&arrival), naive.used == 0);
                    let left = (naive.interval * naive.amount - naive.used) / naive.interval;
                    prop_assert_eq!(u64::from(requests.left(&arrival)), left);
                    match step {
                        Step::Pass(time) => {
                            tokio::time::advance(Duration::from_nanos(time)).await;
                            naive.pass(time);
                        }
                        Step::Look => {}
                        Step::Take => if let Ok(after) = looked {
                            arrival = after;
                            naive.used += naive.interval;
                        },
                    }
                }
                Ok(())
            })?;
        }
    }
}
