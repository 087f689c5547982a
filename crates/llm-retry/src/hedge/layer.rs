//! The layer, which is its configuration.

use std::{num::NonZeroUsize, sync::Arc};

use llm_core::{Commit, Health, HoldBack, PerTarget, Striped};
use tower::Layer;

use super::{
    After, Alternatives, Hedge, HedgeHandle, HedgeQuota,
    shared::{Settings, Shared},
};

/// For how many targets percentile and quota are kept, unless it is said otherwise.
const TARGETS: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is no zero");

/// Starts a second attempt beside a late one. See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct HedgeLayer {
    shared: Striped<Shared>,
    hold_back: HoldBack,
}

impl HedgeLayer {
    /// A layer that hedges calls slower than the 95th percentile of their target, one in ten at most.
    pub fn new() -> Self {
        Self::of(Settings {
            after: PerTarget::new(After::OBSERVED),
            quota: HedgeQuota::default(),
            targets: TARGETS,
            health: None,
            alternatives: None,
        })
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings)), hold_back: HoldBack::default() }
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self { hold_back: self.hold_back, ..Self::of(settings) }
    }

    /// When an attempt is late, which may differ by target. Defaults to [`After::OBSERVED`].
    pub fn after(self, after: impl Into<PerTarget<After>>) -> Self {
        let after = after.into();
        self.with(|settings| settings.after = after)
    }

    /// How many hedges there may be beside the calls of a target. Defaults to [`HedgeQuota::default`].
    pub fn quota(self, quota: HedgeQuota) -> Self {
        self.with(|settings| settings.quota = quota)
    }

    /// For how many targets percentile and quota are kept. At the bound those make room that were not called for ten
    /// minutes; if there are none, further targets share both. Defaults to 1,000, which together are about a megabyte.
    pub fn targets(self, targets: NonZeroUsize) -> Self {
        self.with(|settings| settings.targets = targets)
    }

    /// Who knows whether a target is fit to be called, such as a breaker. Without one all are taken for healthy, also
    /// one that has just told a retry below to come back later.
    pub fn health(self, health: Arc<dyn Health>) -> Self {
        self.with(|settings| settings.health = Some(health))
    }

    /// Where second attempts go instead. Without it they go to the same target again.
    pub fn alternatives(self, alternatives: impl Alternatives + 'static) -> Self {
        self.with(|settings| settings.alternatives = Some(Arc::new(alternatives)))
    }

    /// How much of an answer is held back while the other one may still win. One that is handed on at such a bound has
    /// won, and what it took until then is what the percentile sees. Defaults to [`HoldBack::default`].
    pub fn hold_back(mut self, hold_back: HoldBack) -> Self {
        self.hold_back = hold_back;
        self
    }

    /// What the layer has done so far.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(self.shared.clone())
    }
}

impl Default for HedgeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge::new(Commit::new(inner, self.hold_back), self.shared.clone())
    }
}
