//! Watching the layer at run time.

use std::{borrow::Cow, fmt};

use llm_core::{Measure, Measures, Striped};

use crate::state::State;

/// Tells how often each limit of a [`TimeoutLayer`](crate::TimeoutLayer) ran out. Clones tell of the same layer.
///
/// As [`Measures`] it shows `llm.timeout.expired`, a count since the layer was made, with the label `phase`: `head`,
/// `first_content`, `idle`, `total`, and `deadline` for what the caller's own deadline or patience ended.
#[derive(Clone)]
pub struct TimeoutHandle {
    pub(crate) state: Striped<State>,
}

/// How often each limit ran out since the layer was made, see [`TimeoutHandle::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutCounts {
    /// No response head came in time.
    pub head: u64,
    /// No first content came in time.
    pub first_content: u64,
    /// No further content came in time.
    pub idle: u64,
    /// The answer was not complete in time, streamed or not.
    pub total: u64,
    /// The caller's deadline passed, before the call or during it, or the caller's client waited no longer.
    pub deadline: u64,
}

impl TimeoutHandle {
    /// How often each limit ran out.
    pub fn counts(&self) -> TimeoutCounts {
        self.state.counts()
    }
}

impl Measures for TimeoutHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let TimeoutCounts { head, first_content, idle, total, deadline } = self.counts();
        let phases = [
            ("head", head),
            ("first_content", first_content),
            ("idle", idle),
            ("total", total),
            ("deadline", deadline),
        ];
        for (phase, count) in phases {
            let labels = [("phase", Cow::Borrowed(phase))];
            visit(&Measure { name: "llm.timeout.expired", labels: &labels, value: count as f64 });
        }
    }
}

impl fmt::Debug for TimeoutHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutHandle").field("counts", &self.counts()).finish()
    }
}
