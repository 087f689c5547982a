//! How long the first attempt has before a second is made beside it.

use std::{num::NonZeroU32, time::Duration};

/// How long the first attempt has for its first content before a second is made beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// This long. With zero both are made at once.
    Fixed(Duration),
    /// As long as 95 % of the calls to the target took lately, so that one in twenty is hedged. For streamed answers
    /// that is the time to the first content, for others the time to the answer, and the two are told apart.
    P95 {
        /// Never less than this. Defaults to 300 milliseconds: a call that is answered so fast gains little.
        floor: Duration,
        /// Not until this many calls have been seen. Defaults to 50: of fewer, a percentile of 95 is the second slowest
        /// or the slowest.
        samples: NonZeroU32,
    },
}

impl After {
    pub(super) const FLOOR: Duration = Duration::from_millis(300);
    pub(super) const SAMPLES: NonZeroU32 = NonZeroU32::new(50).expect("it is no zero");

    /// [`After::P95`] with its defaults.
    pub const OBSERVED: Self = Self::P95 { floor: Self::FLOOR, samples: Self::SAMPLES };
}

impl Default for After {
    fn default() -> Self {
        Self::OBSERVED
    }
}
