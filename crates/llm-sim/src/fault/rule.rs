//! When faults happen.

use std::{fmt, num::NonZeroU64, ops::RangeBounds, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{FaultScript, ScriptError};
use crate::seed::Seed;
use llm_core::ConfigError;

/// Faults and when they happen. All conditions that are stated must hold; without any, every call is hit.
///
/// Calls are counted per model, from 1, over all clones and servers of one [`Sim`](crate::Sim).
///
/// ```
/// use llm_sim::FaultRule;
///
/// let ladder = FaultRule::new("status 429 retry-after=1".parse()?).calls(3..=5);
/// let flaky = FaultRule::new("cut after 4".parse()?).share(0.2);
/// # Ok::<(), llm_sim::ScriptError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Every *n*th call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<NonZeroU64>,
    /// This share of calls, drawn from the seed by the number of the call. 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The calls of these numbers: `"3"`, `"3..=5"`, `"3.."`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallRange>,
    /// Calls with the key of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What happens, see [`FaultScript`].
    pub fault: FaultScript,
}

impl FaultRule {
    /// These faults at every call.
    pub fn new(fault: FaultScript) -> Self {
        Self { every: None, share: None, calls: None, key: None, fault }
    }

    /// Only at every *n*th call.
    pub fn every(mut self, n: NonZeroU64) -> Self {
        self.every = Some(n);
        self
    }

    /// Only at this share of calls.
    pub fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }

    /// Only at the calls of these numbers.
    pub fn calls(mut self, numbers: impl RangeBounds<u64>) -> Self {
        self.calls = Some(CallRange::new(numbers));
        self
    }

    /// Only at calls with the key of this name.
    pub fn key(mut self, name: impl Into<String>) -> Self {
        self.key = Some(name.into());
        self
    }

    /// Whether the rule holds for a call. `seed` is the rule's own.
    pub(crate) fn applies(&self, call: u64, key: Option<&str>, seed: &Seed) -> bool {
        self.every.is_none_or(|n| call.is_multiple_of(n.get()))
            && self.calls.is_none_or(|calls| calls.contains(call))
            && self.key.as_deref().is_none_or(|name| key == Some(name))
            && self.share.is_none_or(|share| seed.with_number(call).rng().f64() < share)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self.share {
            Some(share) if !(0.0..=1.0).contains(&share) => Err(ConfigError::new("share", "must be between 0 and 1")),
            _ => Ok(()),
        }
    }
}

/// The numbers of calls from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallRange {
    first: u64,
    last: u64,
}

impl CallRange {
    /// These numbers.
    pub fn new(numbers: impl RangeBounds<u64>) -> Self {
        use std::ops::Bound;
        let first = match numbers.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let last = match numbers.end_bound() {
            Bound::Included(last) => *last,
            // An end of 0 excludes everything: a range that ends before it begins.
            Bound::Excluded(0) => return Self { first: 1, last: 0 },
            Bound::Excluded(end) => end - 1,
            Bound::Unbounded => u64::MAX,
        };
        Self { first, last }
    }

    fn contains(self, call: u64) -> bool {
        (self.first..=self.last).contains(&call)
    }
}

impl FromStr for CallRange {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let parse = || {
            let number = |text: &str| text.trim().parse::<u64>().ok();
            let Some((first, last)) = text.split_once("..") else {
                return number(text).map(|only| Self { first: only, last: only });
            };
            let first = if first.trim().is_empty() { 0 } else { number(first)? };
            Some(match (last.trim(), last.trim().strip_prefix('=')) {
                ("", _) => Self::new(first..),
                (_, Some(last)) => Self::new(first..=number(last)?),
                (end, None) => Self::new(first..number(end)?),
            })
        };
        let range = parse().filter(|range| range.first <= range.last);
        range
            .ok_or_else(|| ScriptError(format!("`{text}` is not a range of calls such as \"3\", \"3..=5\" or \"3..\"")))
    }
}

impl TryFrom<String> for CallRange {
    type Error = ScriptError;

    fn try_from(text: String) -> Result<Self, ScriptError> {
        text.parse()
    }
}

impl From<CallRange> for String {
    fn from(range: CallRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for CallRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            u64::MAX => write!(f, "{}..", self.first),
            last => write!(f, "{}..={last}", self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rule: &FaultRule, key: Option<&str>) -> Vec<u64> {
        (1..=20).filter(|call| rule.applies(*call, key, &Seed::new(1))).collect()
    }

    fn rule() -> FaultRule {
        FaultRule::new("hang".parse().unwrap())
    }

    #[test]
    fn all_stated_conditions_must_hold() {
        assert_eq!(hits(&rule(), None).len(), 20);
        assert_eq!(hits(&rule().every(NonZeroU64::new(7).unwrap()), None), [7, 14]);
        assert_eq!(hits(&rule().calls(3..=5), None), [3, 4, 5]);
        assert_eq!(hits(&rule().calls(18..), None), [18, 19, 20]);
        assert_eq!(hits(&rule().calls(..3), None), [1, 2]);
        assert_eq!(hits(&rule().every(NonZeroU64::new(2).unwrap()).calls(3..=6), None), [4, 6]);
        assert_eq!(hits(&rule().key("b").calls(1..3), Some("b")), [1, 2]);
        assert!(hits(&rule().key("b"), Some("a")).is_empty() && hits(&rule().key("b"), None).is_empty());
    }

    #[test]
    fn a_share_is_drawn_from_the_seed_and_comes_out_right() {
        let rule = rule().share(0.2);
        let count = |seed: u64| (1..=5_000).filter(|call| rule.applies(*call, None, &Seed::new(seed))).count();
        assert_eq!(count(1), count(1));
        assert!((800..1200).contains(&count(1)), "{}", count(1));
        assert_ne!(hits(&rule, None), (1..=20).filter(|n| rule.applies(*n, None, &Seed::new(2))).collect::<Vec<_>>());
    }

    #[test]
    fn ranges_are_read_as_rust_writes_them() {
        for (text, range) in
            [("3", CallRange::new(3..=3)), ("3..5", CallRange::new(3..5)), ("..=5", CallRange::new(..=5))]
        {
            assert_eq!(text.parse::<CallRange>().unwrap(), range);
            assert_eq!(range.to_string().parse::<CallRange>().unwrap(), range);
        }
        for text in ["", "a", "5..=3", "3...5", "1..=x"] {
            assert!(text.parse::<CallRange>().is_err(), "{text}");
        }
    }
}
