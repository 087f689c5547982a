//! What operators see of a retry layer.

use std::borrow::Cow;

use llm_core::{Measure, Measures, Striped};

use crate::{Reason, Verdict, shared::Shared};

/// Tells what a [`RetryLayer`](crate::RetryLayer) has decided. Clones tell the same.
///
/// Its [`Measures`] are `llm.retry.decisions`, a count for each `decision` (`retried`, and the words of [`Reason`]), and
/// `llm.retry.targets`, the number of targets with a quota of their own.
#[derive(Clone, Debug)]
pub struct RetryHandle {
    shared: Striped<Shared>,
}

impl RetryHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// How many retries there were.
    pub fn retries(&self) -> u64 {
        self.shared.counts.retries()
    }

    /// How many failures went to the caller for this reason.
    pub fn stops(&self, reason: Reason) -> u64 {
        self.shared.counts.stops(reason)
    }

    /// How many targets have a quota of their own.
    pub fn targets(&self) -> usize {
        self.shared.windows.len()
    }
}

impl Measures for RetryHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let mut show = |decision: &'static str, count: u64| {
            let labels = [("decision", Cow::Borrowed(decision))];
            visit(&Measure { name: "llm.retry.decisions", labels: &labels, value: count as f64 });
        };
        show(Verdict::RETRIED, self.retries());
        for reason in Reason::ALL {
            show(reason.as_str(), self.stops(reason));
        }
        visit(&Measure { name: "llm.retry.targets", labels: &[], value: self.targets() as f64 });
    }
}
