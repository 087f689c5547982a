//! A call under way, from its admission to its outcome.

use llm_core::{Observer, Outcome, Striped};

use super::shared::{Admitted, Shared};

/// What a call holds of its limits. It observes the call, and puts everything right at its end.
pub(crate) struct InFlight {
    pub(crate) shared: Striped<Shared>,
    pub(crate) admitted: Admitted,
}

impl Observer for InFlight {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let progress = outcome.progress();
        // Those of an answer out of a cache were never used, and nobody works out what nobody counts.
        let is_free = progress.is_unpaid() || !self.shared.count_tokens(&self.admitted.entries);
        let really = if is_free { 0 } else { progress.usage().total() };
        self.shared.end(&self.admitted, really);
    }
}
