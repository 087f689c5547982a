//! The layer, which is its configuration.

use std::num::NonZeroUsize;

use llm_core::{Commit, HoldBack, PerTarget, Random};
use serde::Deserialize;
use tower::{Layer, retry::Retry as TowerRetry};

use crate::{
    RetryHandle, RetryPolicy, RetryQuota, RetryRules,
    shared::{Settings, Shared},
};

/// For how many targets a quota is kept, unless it is said otherwise.
const TARGETS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is no zero");

/// Calls a model again when that can help. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct RetryLayer {
    policy: RetryPolicy,
    hold_back: HoldBack,
}

/// tower's `Retry` with our policy, over answers that are held back until content. See the [crate docs](crate).
pub type Retry<S> = TowerRetry<RetryPolicy, Commit<S>>;

impl RetryLayer {
    /// A layer with [`RetryRules::INTERACTIVE`] for all targets and the default quota.
    pub fn new() -> Self {
        Self::of(Settings {
            rules: PerTarget::new(RetryRules::INTERACTIVE),
            quota: Some(RetryQuota::default()),
            targets: TARGETS,
            jitter: Jitter::Full,
            random: Random::default(),
        })
    }

    /// For calls that somebody waits for: what [`new`](Self::new) makes.
    pub fn interactive() -> Self {
        Self::new()
    }

    /// For jobs that nobody waits for, see [`RetryRules::BATCH`].
    pub fn batch() -> Self {
        Self::new().rules(RetryRules::BATCH)
    }

    fn of(settings: Settings) -> Self {
        Self { policy: RetryPolicy::new(Shared::new(settings)), hold_back: HoldBack::default() }
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.policy.shared.settings.clone();
        change(&mut settings);
        Self { hold_back: self.hold_back, ..Self::of(settings) }
    }

    /// How long to wait and when to give up, which may differ by target. Defaults to [`RetryRules::INTERACTIVE`].
    pub fn rules(self, rules: impl Into<PerTarget<RetryRules>>) -> Self {
        let rules = rules.into();
        self.with(|settings| settings.rules = rules)
    }

    /// How many retries there may be beside the calls of a target. `None` turns the quota off, and each call may be
    /// retried as often as its allowance lets it. Defaults to 20 % of the calls and one a second.
    pub fn quota(self, quota: impl Into<Option<RetryQuota>>) -> Self {
        let quota = quota.into();
        self.with(|settings| settings.quota = quota)
    }

    /// For how many targets a quota of their own is kept. At the bound those make room that were not called for as
    /// long as a window is; if none is idle, further targets share one quota. Defaults to 10,000, which together are
    /// no more than 4 MB.
    pub fn targets(self, targets: NonZeroUsize) -> Self {
        self.with(|settings| settings.targets = targets)
    }

    /// How waits are spread. Defaults to [`Jitter::Full`].
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.with(|settings| settings.jitter = jitter)
    }

    /// Where random numbers come from. Defaults to a generator of each thread's own.
    pub fn random(self, random: Random) -> Self {
        self.with(|settings| settings.random = random)
    }

    /// How much of an answer is held back while it may still be retried. Defaults to [`HoldBack::default`].
    pub fn hold_back(mut self, hold_back: HoldBack) -> Self {
        self.hold_back = hold_back;
        self
    }

    /// The policy alone, for tower's own `RetryLayer`. It shares quota and counts with the layer.
    pub fn policy(&self) -> RetryPolicy {
        self.policy.clone()
    }

    /// What the layer has decided so far.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(self.policy.shared.clone())
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        TowerRetry::new(self.policy.clone(), Commit::new(inner, self.hold_back))
    }
}

/// How waits are spread, so that those who failed together do not return together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// A backoff is anything from nothing to its full length, and so is what is added to an advised wait.
    #[default]
    Full,
    /// A backoff has its full length, and nothing is added to an advised wait. For tests.
    None,
}

impl Jitter {
    pub(crate) fn draw(self, random: &Random) -> Option<f64> {
        match self {
            Self::Full => Some(random.unit()),
            Self::None => None,
        }
    }
}
