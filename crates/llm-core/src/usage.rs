//! What a call used: token counts with one meaning for every provider.

use serde::{Deserialize, Serialize};

/// Tokens a call used, or is estimated to have used.
///
/// Providers count differently; the wire layer brings every report into this form. Subsets are part of
/// the number that they are a subset of: adding `cache_read` to `input` would count tokens twice.
///
/// Nothing guarantees that a subset is smaller than its whole. Providers report more cached tokens than
/// prompt tokens, and more reasoning than output, so whoever subtracts must saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens: `cache_read` and `cache_write` are included.
    pub input: u64,
    /// Input tokens that were read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens that were written to the provider's prompt cache: `cache_write_1h` is included.
    pub cache_write: u64,
    /// Input tokens that were written to a prompt cache that lives for an hour.
    pub cache_write_1h: u64,
    /// Output tokens: `reasoning` is included.
    pub output: u64,
    /// Output tokens that the model spent on reasoning.
    pub reasoning: u64,
    /// Whether the provider said so or we worked it out.
    pub provenance: Provenance,
}

/// Where a usage comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The provider reported it.
    #[default]
    Reported,
    /// It was estimated from what was sent and received, for want of a report.
    Estimated,
}

impl Usage {
    /// A usage that the provider reported, without cached or reasoning tokens.
    pub const fn reported(input: u64, output: u64) -> Self {
        Self::new(input, output, Provenance::Reported)
    }

    /// A usage that was estimated, without cached or reasoning tokens.
    pub const fn estimated(input: u64, output: u64) -> Self {
        Self::new(input, output, Provenance::Estimated)
    }

    const fn new(input: u64, output: u64, provenance: Provenance) -> Self {
        Self { input, cache_read: 0, cache_write: 0, cache_write_1h: 0, output, reasoning: 0, provenance }
    }

    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Whether no token is counted. Next to a non-empty answer that means "not reported".
    pub fn is_zero(&self) -> bool {
        let Self { input, cache_read, cache_write, cache_write_1h, output, reasoning, provenance: _ } = *self;
        [input, cache_read, cache_write, cache_write_1h, output, reasoning] == [0; 6]
    }

    /// Takes in a later snapshot of the same call.
    ///
    /// Streams report running totals, often with fields left out, so each field becomes the larger of the
    /// two and nothing is ever added. The result is reported if either side was; a side that counts
    /// nothing has no say in that. Since the larger number wins, an estimate belongs here only where no
    /// report has arrived.
    pub fn merge(&mut self, later: &Usage) {
        self.provenance = match (self.is_zero(), later.is_zero()) {
            (true, false) => later.provenance,
            (false, true) => self.provenance,
            (true, true) | (false, false) => self.provenance.or(later.provenance),
        };
        self.input = self.input.max(later.input);
        self.cache_read = self.cache_read.max(later.cache_read);
        self.cache_write = self.cache_write.max(later.cache_write);
        self.cache_write_1h = self.cache_write_1h.max(later.cache_write_1h);
        self.output = self.output.max(later.output);
        self.reasoning = self.reasoning.max(later.reasoning);
    }
}

impl Provenance {
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Estimated, Self::Estimated) => Self::Estimated,
            (Self::Reported, _) | (_, Self::Reported) => Self::Reported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn snapshots_replace_and_never_add() {
        let mut usage = Usage { cache_read: 10, ..Usage::reported(702, 1) };
        usage.merge(&Usage::reported(0, 40));
        usage.merge(&Usage::reported(1591, 88));
        assert_eq!(usage, Usage { cache_read: 10, ..Usage::reported(1591, 88) });
    }

    #[test]
    fn a_report_makes_it_reported_and_an_empty_one_does_not() {
        let mut usage = Usage::estimated(10, 20);
        usage.merge(&Usage::default());
        assert_eq!(usage.provenance, Provenance::Estimated);
        usage.merge(&Usage::reported(12, 20));
        assert_eq!(usage.provenance, Provenance::Reported);

        let mut fresh = Usage::default();
        fresh.merge(&Usage::estimated(10, 20));
        assert_eq!(fresh, Usage::estimated(10, 20));
    }

    #[test]
    fn the_total_counts_subsets_once_and_saturates() {
        let usage = Usage { cache_read: 8, cache_write: 2, reasoning: 5, ..Usage::reported(10, 5) };
        assert_eq!(usage.total(), 15);
        assert_eq!(Usage::reported(u64::MAX, 1).total(), u64::MAX);
    }

    #[test]
    fn fields_that_json_leaves_out_are_zero_and_reported() {
        let usage: Usage = serde_json::from_str(r#"{"input":7,"output":3}"#).unwrap();
        assert_eq!(usage, Usage::reported(7, 3));
        let estimated = serde_json::to_string(&Usage::estimated(1, 1)).unwrap();
        assert!(estimated.contains(r#""provenance":"estimated""#), "{estimated}");
    }

    fn any_usage() -> impl Strategy<Value = Usage> {
        (any::<[u16; 6]>(), any::<bool>()).prop_map(|(counts, reported)| {
            let [input, cache_read, cache_write, cache_write_1h, output, reasoning] = counts.map(u64::from);
            let provenance = if reported { Provenance::Reported } else { Provenance::Estimated };
            Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, provenance }
        })
    }

    fn merged(mut first: Usage, second: Usage) -> Usage {
        first.merge(&second);
        first
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_and_never_shrinks(first in any_usage(), second in any_usage()) {
            let once = merged(first, second);
            prop_assert_eq!(merged(once, second), once);
            prop_assert_eq!(merged(once, first), once);
            prop_assert!(once.input >= first.input.max(second.input));
            prop_assert!(once.output >= first.output && once.reasoning >= second.reasoning);
            prop_assert!(once.total() <= first.total().saturating_add(second.total()));
        }
    }
}
