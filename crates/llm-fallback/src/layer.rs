//! The layer, which is its configuration.

use llm_core::{Commit, HoldBack, Striped};
use tower_layer::Layer;

use crate::{Answer, Fallback, FallbackHandle, When, handle::Record};

/// Answers instead of a service that has failed. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct FallbackLayer {
    shared: Striped<Shared>,
}

/// What all services of a layer share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) cases: Vec<Case>,
    pub(crate) hold_back: HoldBack,
    pub(crate) record: Record,
}

/// What is answered when.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) when: When,
    pub(crate) answer: Answer,
}

impl FallbackLayer {
    /// A layer without cases, which answers nothing.
    pub fn new() -> Self {
        Self::of(Vec::new(), HoldBack::default())
    }

    fn of(cases: Vec<Case>, hold_back: HoldBack) -> Self {
        Self { shared: Striped::new(Shared { cases, hold_back, record: Record::default() }) }
    }

    /// Adds a case, which is asked after those that were added before.
    pub fn case(self, when: When, answer: Answer) -> Self {
        let mut cases = self.shared.cases.clone();
        cases.push(Case { when, answer });
        Self::of(cases, self.shared.hold_back)
    }

    /// How much of an answer is held back while waiting for its first content, before which a failure is still answered.
    /// Defaults to [`HoldBack::default`].
    pub fn hold_back(self, hold_back: HoldBack) -> Self {
        Self::of(self.shared.cases.clone(), hold_back)
    }

    /// What the layer has done so far. Setters start afresh, so take it after them.
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle::new(self.shared.clone())
    }

    /// The places of the earlier cases after which the one at `place` never has anything to answer, if it has not.
    pub(crate) fn in_vain_after(&self, place: usize) -> Option<Vec<usize>> {
        let cases = &self.shared.cases;
        let Case { when, answer } = &cases[place];
        let earlier = |at: &usize| answer.is_in_vain_after(&cases[*at].answer);
        let mut cover: Vec<usize> = (0..place).filter(earlier).collect();
        let is_covered = |by: &[usize]| when.is_covered_by(&by.iter().map(|at| &cases[*at].when).collect::<Vec<_>>());
        if !is_covered(&cover) {
            return None;
        }
        // Only those that it takes.
        for at in (0..cover.len()).rev() {
            let spared = cover.remove(at);
            if !is_covered(&cover) {
                cover.insert(at, spared);
            }
        }
        Some(cover)
    }
}

impl Default for FallbackLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback::new(Commit::new(inner, self.shared.hold_back), self.shared.clone())
    }
}
