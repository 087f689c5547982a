//! The quota of hedges: a bucket that calls fill and hedges empty.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// What a hedge costs. Calls pay in percent.
const TOKEN: u32 = 100;

/// How many hedges there may be beside the calls of a target.
///
/// Each call pays a share of a hedge into the target's bucket, and each hedge takes a whole one out. When the percentile
/// is right one call in twenty is late, and the default of 10 % is out of the way; when everything is late at once, it
/// is what keeps hedges from doubling the load.
///
/// A bucket begins empty, so that at any time there were at most that share of hedges: beginning full, each new target
/// could have as many as the bucket holds out of nowhere, and while a percentile is learned nothing is hedged anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgeQuota {
    percent: u32,
    burst: NonZeroU32,
}

impl HedgeQuota {
    /// This many hedges for each hundred calls. Defaults to 10. With 0 there are none.
    pub const fn percent(percent: u32) -> Self {
        Self { percent, burst: NonZeroU32::new(10).expect("it is no zero") }
    }

    /// How many hedges a quiet time can save up for. Defaults to 10.
    pub const fn burst(mut self, hedges: NonZeroU32) -> Self {
        self.burst = hedges;
        self
    }

    const fn full(&self) -> u32 {
        self.burst.get().saturating_mul(TOKEN)
    }
}

impl Default for HedgeQuota {
    fn default() -> Self {
        Self::percent(10)
    }
}

/// What has been paid in and not taken out, in hundredths of a hedge.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU32);

impl Bucket {
    /// A call pays in. A full bucket is left as it is, and nothing is written.
    pub(super) fn pay(&self, quota: &HedgeQuota) {
        self.add(quota.percent, quota);
    }

    /// Takes a hedge out, if there is one.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |paid| paid.checked_sub(TOKEN)).is_ok()
    }

    /// Gives a hedge back that was not made.
    pub(super) fn give_back(&self, quota: &HedgeQuota) {
        self.add(TOKEN, quota);
    }

    fn add(&self, hundredths: u32, quota: &HedgeQuota) {
        let full = quota.full();
        let _ = self
            .0
            .fetch_update(Relaxed, Relaxed, |paid| (paid < full).then(|| paid.saturating_add(hundredths).min(full)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hedges_are_at_most_their_share_of_the_calls_and_a_burst_at_most_what_it_holds(
            percent in 0..300_u32,
            burst in 1..20_u32,
            steps in prop::collection::vec(prop::bool::weighted(0.6), 0..500),
        ) {
            let quota = HedgeQuota::percent(percent).burst(NonZeroU32::new(burst).unwrap());
            let (bucket, mut calls, mut hedges, mut in_a_row) = (Bucket::default(), 0, 0, 0);
            for is_call in steps {
                if is_call {
                    bucket.pay(&quota);
                    calls += 1;
                    in_a_row = 0;
                } else if bucket.take() {
                    hedges += 1;
                    in_a_row += 1;
                }
                prop_assert!(hedges * 100 <= calls * percent);
                prop_assert!(in_a_row <= burst);
            }
            // Nothing that a bucket has room for is lost.
            let room = Bucket::default();
            (0..40).for_each(|_| room.pay(&quota));
            let taken = (0..1_000).filter(|_| room.take()).count() as u32;
            prop_assert_eq!(taken, (40 * percent / 100).min(burst));
        }
    }

    #[test]
    fn what_was_not_made_comes_back_and_a_full_bucket_stays_full() {
        let quota = HedgeQuota::percent(100).burst(NonZeroU32::MIN);
        let bucket = Bucket::default();
        bucket.pay(&quota);
        assert!(bucket.take());
        bucket.give_back(&quota);
        bucket.give_back(&quota);
        assert!(bucket.take() && !bucket.take());
        let endless = quota.burst(NonZeroU32::MAX);
        bucket.0.store(u32::MAX - 1, Relaxed);
        bucket.pay(&endless);
        assert_eq!(bucket.0.load(Relaxed), u32::MAX);
    }
}
