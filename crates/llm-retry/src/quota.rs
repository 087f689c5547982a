//! The quota: how many retries there may be beside the calls of late.
//!
//! It is our own because the one that comes with tower, `TpsBudget`, rounds its price of a retry down to whole
//! deposits: any share above one half lets every call be retried.

use std::{
    num::NonZeroU16,
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

/// Into how many slots a window is cut.
const SLOTS: usize = 10;

/// How many retries there may be in a window of time: a share of the calls in it, and a few that are always allowed.
///
/// Defaults to 20 % of the calls and one retry a second, over 10 seconds. While all goes well nearly nothing is
/// retried, and the quota is out of the way; when everything fails, it is what keeps retries from doubling and
/// tripling the load of a provider that is already in trouble. The few that are always allowed keep a service with
/// little traffic, which has a share of nearly nothing, able to retry at all.
///
/// A retry is allowed while the retries in the window, itself included, are at most
/// `percent / 100 × calls + per_second × seconds`. A call counts in the window when its first answer or failure has
/// come, unless a layer of ours refused it, and a retry when it is allowed.
/// The window moves in steps of a tenth of its length, so it reaches back between nine and ten tenths of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryQuota {
    percent: u32,
    per_second: u32,
    seconds: NonZeroU16,
}

impl RetryQuota {
    /// This many retries for each hundred calls, which may be more than a hundred. Defaults to 20.
    pub const fn percent(percent: u32) -> Self {
        Self { percent, per_second: 1, seconds: NonZeroU16::new(SLOTS as u16).expect("it is no zero") }
    }

    /// How many retries a second are allowed however few calls there are. Defaults to 1: ten a second, as is usual
    /// for services that answer in milliseconds, would be no limit for most users of models.
    pub const fn per_second(mut self, retries: u32) -> Self {
        self.per_second = retries;
        self
    }

    /// The length of the window in seconds. Defaults to 10: long enough to even out a burst, short enough that an
    /// hour of calls which went well does not pay for a minute of retries.
    pub const fn seconds(mut self, seconds: NonZeroU16) -> Self {
        self.seconds = seconds;
        self
    }

    /// The most retries in a window with `calls` calls.
    fn allows(&self, calls: u64) -> u64 {
        calls * u64::from(self.percent) / 100 + u64::from(self.per_second) * u64::from(self.seconds.get())
    }

    /// The number of the slot that is current after `elapsed`.
    pub(crate) fn slot(&self, elapsed: Duration) -> u32 {
        let length = u64::from(self.seconds.get()) * 1_000 / SLOTS as u64;
        let elapsed = elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis());
        // Numbers are compared by their distance, which is right for six years of the shortest slots.
        (elapsed / length) as u32
    }
}

impl Default for RetryQuota {
    fn default() -> Self {
        Self::percent(20)
    }
}

/// The calls and retries of a window, in 80 bytes.
///
/// A slot is one word, so counting in it, and beginning it anew when its turn has come again, is one step.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: [AtomicU64; SLOTS],
}

/// What a slot has counted. Both counts stop at their ends, which makes the quota stricter, not looser: a quarter of
/// a million calls, and sixteen thousand retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    slot: u32,
    calls: u32,
    retries: u32,
}

const CALL_BITS: u32 = 18;
const RETRY_BITS: u32 = 14;

impl Counts {
    fn unpack(word: u64) -> Self {
        let low = |word: u64, bits: u32| (word & ((1 << bits) - 1)) as u32;
        Self {
            slot: (word >> (CALL_BITS + RETRY_BITS)) as u32,
            calls: low(word >> RETRY_BITS, CALL_BITS),
            retries: low(word, RETRY_BITS),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.slot) << (CALL_BITS + RETRY_BITS) | u64::from(self.calls) << RETRY_BITS | u64::from(self.retries)
    }

    /// One more call, if it can be counted.
    fn with_call(self) -> Option<Self> {
        (self.calls + 1 < 1 << CALL_BITS).then_some(Self { calls: self.calls + 1, ..self })
    }

    fn with_retry(self) -> Option<Self> {
        (self.retries + 1 < 1 << RETRY_BITS).then_some(Self { retries: self.retries + 1, ..self })
    }

    fn without_retry(self) -> Option<Self> {
        self.retries.checked_sub(1).map(|retries| Self { retries, ..self })
    }

    /// How many slots ago this one was current; negative for one that is not yet.
    fn age(self, slot: u32) -> i32 {
        slot.wrapping_sub(self.slot) as i32
    }

    fn is_in_window(self, slot: u32) -> bool {
        self.age(slot) < SLOTS as i32
    }
}

impl Window {
    /// Counts a call.
    pub(crate) fn count_call(&self, slot: u32) {
        // Nobody decides on a single call, so when others see it does not matter.
        self.change(slot, Counts::with_call);
    }

    /// Takes a retry, if the quota has one.
    pub(crate) fn take_retry(&self, slot: u32, quota: &RetryQuota) -> bool {
        // Taken first and looked at afterwards. Of all who take at the same time the last one sees what the others
        // took (these changes and reads have one order for all threads), so together they never get more than there
        // is. Two who take the last one may both be turned away, and the next one gets it.
        if !self.change(slot, Counts::with_retry) {
            return false;
        }
        let (calls, retries) = self.sums(slot);
        let is_within = retries <= quota.allows(calls);
        if !is_within {
            self.give_back(slot);
        }
        is_within
    }

    /// Gives back a retry that was taken in the same slot and not made.
    pub(crate) fn give_back(&self, slot: u32) {
        self.change(slot, Counts::without_retry);
    }

    /// Whether there is nothing in the window, so that a new one is as good.
    pub(crate) fn is_idle(&self, slot: u32) -> bool {
        self.sums(slot) == (0, 0)
    }

    fn sums(&self, slot: u32) -> (u64, u64) {
        let counts = self.slots.iter().map(|word| Counts::unpack(word.load(SeqCst)));
        counts.filter(|counts| counts.is_in_window(slot)).fold((0, 0), |(calls, retries), counts| {
            (calls + u64::from(counts.calls), retries + u64::from(counts.retries))
        })
    }

    /// Changes the counts of `slot`. Does nothing when that slot is gone: its time was over before it was looked at.
    fn change(&self, slot: u32, change: impl Fn(Counts) -> Option<Counts>) -> bool {
        let begun = Counts { slot, calls: 0, retries: 0 };
        let changed = self.slots[slot as usize % SLOTS].fetch_update(SeqCst, Relaxed, |word| {
            let counts = Counts::unpack(word);
            match counts.age(slot) {
                0 => change(counts).map(Counts::pack),
                age if age > 0 => change(begun).map(Counts::pack),
                _ => None,
            }
        });
        changed.is_ok()
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
