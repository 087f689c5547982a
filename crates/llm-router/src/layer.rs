//! The layer, which is the configuration.

use std::sync::Arc;

use llm_core::{Health, HoldBack, Random, Striped};
use tower::Layer;

use crate::{
    Plan, Router, RouterHandle,
    shared::{Settings, Shared},
};

/// Picks a target for each call, and another one where that helps. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct RouterLayer {
    shared: Striped<Shared>,
}

impl RouterLayer {
    /// Calls go by this plan; by [`Targets`](crate::Targets) alone to the providers that serve the requested model, one
    /// after the other.
    pub fn new(plan: impl Into<Plan>) -> Self {
        Self { shared: Striped::new(Shared::new(plan.into(), Settings::default())) }
    }

    /// Who knows which targets are fit to be called, such as a breaker's handle. Without it, all are taken to be, and
    /// that a circuit is open is found out by calling.
    pub fn health(self, health: Arc<dyn Health>) -> Self {
        self.with(|settings| settings.health = Some(health))
    }

    /// How long an answer is held back while waiting for its first content: what fails before that goes to another
    /// target. Defaults to 64 KiB without a limit in time.
    pub fn hold_back(self, hold: HoldBack) -> Self {
        self.with(|settings| settings.hold = hold)
    }

    /// Where random choices come from. Defaults to a generator of each thread's own.
    pub fn random(self, random: Random) -> Self {
        self.with(|settings| settings.random = random)
    }

    /// Begins with what another layer has seen of the targets, calls under way among it, for a change of settings or of what
    /// stands below. Setters start afresh, so call it after them.
    pub fn resuming(self, previous: &RouterHandle) -> Self {
        let settings = self.shared.common().settings.clone();
        let plan = self.shared.current().routing().plan.clone();
        Self { shared: Striped::new(Shared::resuming(plan, settings, previous.shared())) }
    }

    /// A handle to watch and control it with. Setters start afresh, so take it after them.
    pub fn handle(&self) -> RouterHandle {
        RouterHandle::new(self.shared.clone())
    }

    fn with(self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.common().settings.clone();
        set(&mut settings);
        let plan = self.shared.current().routing().plan.clone();
        Self { shared: Striped::new(Shared::new(plan, settings)) }
    }
}

impl<S> Layer<S> for RouterLayer {
    type Service = Router<S>;

    fn layer(&self, inner: S) -> Router<S> {
        Router::new(inner, self.shared.clone())
    }
}
