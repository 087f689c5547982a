//! Tokens a minute: a bucket that can be looked at, can be given back to, and can be in debt.

use std::{num::NonZeroU64, time::Duration};

const MINUTE: u128 = 60_000_000_000;

/// So many tokens a minute, for every caller of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tokens(NonZeroU64);

/// When a caller's bucket will be full (the generic cell rate algorithm's theoretical arrival time), in nanoseconds
/// since the layer was made times the tokens a minute. In these units a token and a nanosecond are whole numbers, so
/// nothing is ever rounded. At first it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: u128,
    // The tokens a minute in whose units that is; absent while nothing was ever charged.
    unit: Option<Tokens>,
}

impl Bucket {
    /// How many tokens a minute it fills with, if any were ever charged.
    pub(crate) fn unit(self) -> Option<Tokens> {
        self.unit
    }
}

impl Tokens {
    pub(crate) fn new(amount: NonZeroU64) -> Self {
        Self(amount)
    }

    pub(crate) fn amount(self) -> NonZeroU64 {
        self.0
    }

    /// How long it is until so many tokens may be charged. Those beyond a full bucket are not waited for, they become
    /// debt; no tokens need not wait at all.
    pub(crate) fn wait(self, bucket: Bucket, tokens: u64, now: Duration) -> Duration {
        if tokens == 0 {
            return Duration::ZERO;
        }
        let filled_by = self.full_at(bucket, now).saturating_add(cost(tokens.min(self.0.get())));
        let too_early = filled_by.saturating_sub(self.at(now).saturating_add(cost(self.0.get())));
        from_nanos(too_early.div_ceil(self.per_nano()))
    }

    pub(crate) fn charge(self, bucket: &mut Bucket, tokens: u64, now: Duration) {
        *bucket = self.own(*bucket, now);
        bucket.full_at = bucket.full_at.saturating_add(cost(tokens));
    }

    /// Gives back what was charged before. A bucket does not become fuller than full.
    pub(crate) fn give_back(self, bucket: &mut Bucket, tokens: u64, now: Duration) {
        *bucket = self.own(*bucket, now);
        bucket.full_at = bucket.full_at.saturating_sub(cost(tokens));
    }

    /// The same in units of this amount: as many tokens are missing.
    pub(crate) fn own(self, bucket: Bucket, now: Duration) -> Bucket {
        Bucket { full_at: self.full_at(bucket, now), unit: Some(self) }
    }

    /// How many tokens there are, or below zero how many are owed.
    pub(crate) fn left(self, bucket: Bucket, now: Duration) -> i64 {
        let missing = (self.full_at(bucket, now) - self.at(now)).div_ceil(MINUTE);
        let left = i128::from(self.0.get()) - i128::try_from(missing).unwrap_or(i128::MAX);
        i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX })
    }

    pub(crate) fn is_full(self, bucket: Bucket, now: Duration) -> bool {
        self.full_at(bucket, now) == self.at(now)
    }

    fn full_at(self, bucket: Bucket, now: Duration) -> u128 {
        let full_at = match bucket.unit {
            None => 0,
            Some(unit) if unit == self => bucket.full_at,
            Some(unit) => self.at(now).saturating_add(bucket.full_at.saturating_sub(unit.at(now))),
        };
        full_at.max(self.at(now))
    }

    fn at(self, now: Duration) -> u128 {
        now.as_nanos().saturating_mul(self.per_nano())
    }

    fn per_nano(self) -> u128 {
        u128::from(self.0.get())
    }
}

fn cost(tokens: u64) -> u128 {
    u128::from(tokens) * MINUTE
}

fn from_nanos(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(amount: u64) -> Tokens {
        Tokens::new(NonZeroU64::new(amount).unwrap())
    }

    #[test]
    fn a_call_larger_than_the_bucket_waits_for_a_full_one_and_leaves_debt() {
        let (tokens, mut bucket) = (tokens(600), Bucket::default());
        assert_eq!(tokens.wait(bucket, 6_000, Duration::ZERO), Duration::ZERO);
        tokens.charge(&mut bucket, 6_000, Duration::ZERO);
        assert_eq!(tokens.left(bucket, Duration::ZERO), -5_400);
        assert_eq!(tokens.wait(bucket, 1, Duration::ZERO), Duration::from_millis(540_100));
        assert_eq!(tokens.wait(bucket, 9_999, Duration::ZERO), Duration::from_secs(600));
        assert_eq!(tokens.wait(bucket, 0, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn absurd_numbers_neither_overflow_nor_wrap() {
        let most = u64::MAX;
        for amount in [1, most] {
            let (tokens, mut bucket) = (tokens(amount), Bucket::default());
            let late = Duration::from_secs(u64::from(u32::MAX));
            for _ in 0..3 {
                tokens.charge(&mut bucket, most, late);
            }
            assert!(tokens.wait(bucket, most, late) >= Duration::from_secs(60));
            assert!(tokens.left(bucket, late) < 0 && !tokens.is_full(bucket, late));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Ask(u64),
        /// The oldest call under way used so many tokens.
        End(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..30_000_000_000).prop_map(Step::Pass),
            (0_u64..1_000).prop_map(Step::Pass),
            (0_u64..2_000).prop_map(Step::Ask),
            (0_u64..4_000).prop_map(Step::End),
        ]
    }

    proptest! {
        /// The model counts in the same whole units, but as people think of it: what is in the bucket.
        #[test]
        fn it_is_a_bucket_that_fills_evenly_with_charges_and_corrections(
            amount in 1_u64..1_500, steps in prop::collection::vec(any_step(), 1..100),
        ) {
            let full = i128::from(amount) * MINUTE as i128;
            let units = |tokens: u64| i128::from(tokens) * MINUTE as i128;
            let (tokens, mut bucket, mut level) = (tokens(amount), Bucket::default(), full);
            let mut now = Duration::ZERO;
            let mut under_way = std::collections::VecDeque::new();
            for step in steps {
                match step {
                    Step::Pass(time) => {
                        now += Duration::from_nanos(time);
                        level = full.min(level + i128::from(time) * i128::from(amount));
                    }
                    Step::Ask(asked) => {
                        let missing = if asked == 0 { 0 } else { (full.min(units(asked)) - level).max(0) };
                        let wait = tokens.wait(bucket, asked, now);
                        let expected = (missing + i128::from(amount) - 1) / i128::from(amount);
                        prop_assert_eq!(wait.as_nanos() as i128, expected);
                        if wait.is_zero() {
                            tokens.charge(&mut bucket, asked, now);
                            level -= units(asked);
                            under_way.push_back(asked);
                        } else {
                            prop_assert!(tokens.wait(bucket, asked, now + wait).is_zero());
                            prop_assert!(!tokens.wait(bucket, asked, now + wait - Duration::from_nanos(1)).is_zero());
                        }
                    }
                    Step::End(used) => if let Some(charged) = under_way.pop_front() {
                        tokens.charge(&mut bucket, used.saturating_sub(charged), now);
                        tokens.give_back(&mut bucket, charged.saturating_sub(used), now);
                        level = full.min(level + units(charged) - units(used));
                    },
                }
                prop_assert_eq!(i128::from(tokens.left(bucket, now)), level.div_euclid(MINUTE as i128));
                prop_assert_eq!(tokens.is_full(bucket, now), level == full);
            }
        }
    }
}
