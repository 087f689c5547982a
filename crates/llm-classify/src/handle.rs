//! Watching the layer at run time.

use std::borrow::Cow;

use llm_core::{Measure, Measures, Striped};

use crate::shared::Shared;

/// Tells what a [`ClassifyLayer`](crate::ClassifyLayer) has judged. Clones tell of the same layer.
///
/// As [`Measures`] it shows counts since the layer was made: `llm.classify.intents` with the label `intent`,
/// `llm.classify.abstained`, and `llm.classify.findings` with the label `kind`. What has a label appears with its first
/// count.
#[derive(Clone, Debug)]
pub struct ClassifyHandle {
    shared: Striped<Shared>,
}

/// What was judged how often since the layer was made, see [`ClassifyHandle::counts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassifyCounts {
    /// Requests that were given an intent here, by the classifier's intents in its order.
    pub intents: Vec<(&'static str, u64)>,
    /// Requests that were given an intent which the classifier does not list.
    pub unlisted: u64,
    /// Requests that have no intent because the classifier abstained or panicked.
    pub abstained: u64,
    /// Requests that were marked as sensitive here, by what was found first: the kind of a [`Finding`](crate::Finding),
    /// `tenant`, or `detector_panicked`. In no order.
    pub findings: Vec<(&'static str, u64)>,
}

impl ClassifyCounts {
    pub(crate) fn of(intents: &[&'static str]) -> Self {
        Self { intents: intents.iter().map(|&intent| (intent, 0)).collect(), ..Self::default() }
    }

    /// How many requests were marked as sensitive because of `kind`.
    pub fn findings_of(&self, kind: &str) -> u64 {
        self.findings.iter().find(|(known, _)| *known == kind).map_or(0, |&(_, count)| count)
    }

    /// How many requests were given `intent`.
    pub fn intents_of(&self, intent: &str) -> u64 {
        self.intents.iter().find(|(known, _)| *known == intent).map_or(0, |&(_, count)| count)
    }
}

impl ClassifyHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// What was judged how often.
    pub fn counts(&self) -> ClassifyCounts {
        self.shared.counts()
    }
}

impl Measures for ClassifyHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let ClassifyCounts { intents, unlisted, abstained, findings } = self.counts();
        let others = (unlisted > 0).then_some(("unlisted", unlisted));
        for (intent, count) in intents.into_iter().chain(others).filter(|&(_, count)| count > 0) {
            let labels = [("intent", Cow::Borrowed(intent))];
            visit(&Measure { name: "llm.classify.intents", labels: &labels, value: count as f64 });
        }
        visit(&Measure { name: "llm.classify.abstained", labels: &[], value: abstained as f64 });
        for (kind, count) in findings {
            let labels = [("kind", Cow::Borrowed(kind))];
            visit(&Measure { name: "llm.classify.findings", labels: &labels, value: count as f64 });
        }
    }
}
