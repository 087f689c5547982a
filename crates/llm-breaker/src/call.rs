//! A call under way, from its admission to its outcome.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use llm_core::{Frame, Observer, Outcome, Progress, Striped};

use crate::{
    names::Names,
    shared::{Shared, Ticket},
};

/// What a call holds: the places of a probe that it has, if any. It observes the call, and gives them back at its end.
pub(crate) struct InFlight {
    pub(crate) admitted: Admitted,
    // Only where slowness counts.
    pub(crate) was_slow: Option<Arc<AtomicBool>>,
}

/// That a call was let through, and by which circuits.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(crate) shared: Striped<Shared>,
    pub(crate) names: Names,
    pub(crate) ticket: Ticket,
}

impl Admitted {
    /// Counts the call as slow.
    pub(crate) fn slow(&self) {
        self.shared.slow(self.names.get(), self.ticket);
    }
}

impl Observer for InFlight {
    fn on_frame(&mut self, frame: &Frame, _: &Progress) {
        if self.admitted.ticket.is_probe() && frame.is_content() {
            let Admitted { shared, names, ticket } = &self.admitted;
            shared.renew(names.get(), *ticket);
        }
    }

    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let Admitted { shared, names, ticket } = &self.admitted;
        if matches!(outcome, Outcome::Complete(_)) && shared.needs_no_success_of(*ticket) {
            return;
        }
        let was_slow = self.was_slow.as_ref().is_some_and(|slow| slow.load(Relaxed));
        shared.finish(names, *ticket, outcome, was_slow);
    }
}
