//! Watching and controlling a router at run time.

use std::{borrow::Cow, fmt, sync::atomic::Ordering::Relaxed, time::Duration};

use llm_core::{
    ConfigError, LlmRequest, Measure, Measures, Notice, NoticeListener, Severity, Striped, Target, TargetRef,
};
use tokio::time::Instant;

use crate::{Candidate, Plan, Route, RouteTarget, route::check_weight, service, shared::Shared};

/// Watches and controls the router of a layer. Cheap to clone.
///
/// What is changed holds for calls that begin afterwards, all of it at once; calls under way end by what they began
/// with. Targets keep what was seen of them.
#[derive(Clone)]
pub struct RouterHandle {
    shared: Striped<Shared>,
}

/// How a target has been doing.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStatus {
    /// Which. A model that ends in `*` stands for all names that callers make up for a provider's pattern.
    pub target: Target,
    /// How many calls are under way there.
    pub in_flight: usize,
    /// How long it takes to the first content of a stream, as far as that was seen lately.
    pub first_content: Option<Duration>,
    /// How many seconds an output token takes, as far as that was seen lately.
    pub seconds_per_token: Option<f64>,
    /// The share of its calls that failed lately, from 0 to 1.
    pub failing: f64,
}

/// What has happened since the layer was made, in all its services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterCounts {
    /// Failures after which another target was called.
    pub failed_over: u64,
    /// Calls that had nobody left, or nobody fit, to be called.
    pub no_candidate: u64,
    /// Calls that a rule refused.
    pub refused: u64,
    /// Calls that were made although every target was open.
    pub panic_probes: u64,
}

impl RouterHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What calls go by that begin now.
    pub fn plan(&self) -> Plan {
        self.shared.current().routing().plan.clone()
    }

    /// Lets calls go by another plan. Targets that are in both keep what was seen of them.
    pub fn replace(&self, plan: impl Into<Plan>) {
        let plan = plan.into();
        let replaced = self.shared.change(|_| Ok::<_, std::convert::Infallible>(plan));
        replaced.unwrap_or_else(|never| match never {});
    }

    /// Gives a target of a route another weight. The target is named as in the route.
    ///
    /// # Errors
    /// If there is no such route, it has no such target, its targets come one after the other whatever their weights, or the
    /// weight is no number from zero to a billion.
    pub fn set_weight(&self, route: &str, target: &str, weight: f64) -> Result<(), ConfigError> {
        check_weight(weight)?;
        self.shared.change(|plan| {
            let mut plan = plan.clone();
            let otherwise = plan.choosing.clone();
            let Route { entries, choosing, .. } = known(&mut plan, route)?;
            if choosing.as_ref().unwrap_or(&otherwise).is_ordered() {
                let message = format!("the targets of `{route}` come one after the other, whatever their weights");
                return Err(ConfigError::new("weight", message));
            }
            let entry = entries.iter_mut().find(|entry| *entry.name == *target);
            let unknown = || ConfigError::new("target", format!("the route `{route}` has no target `{target}`"));
            entry.ok_or_else(unknown)?.weight = weight;
            Ok(plan)
        })
    }

    /// Puts other targets into a route, or the same in another order. Those that stay keep their weights; how the route
    /// chooses, and what stands in for it, stay as well.
    ///
    /// # Errors
    /// If there is no such route, or the targets are none for [`Targets::route`](crate::Targets::route).
    pub fn set_order(&self, route: &str, targets: &[&str]) -> Result<(), ConfigError> {
        self.shared.change(|plan| {
            let mut plan = plan.clone();
            let stated = &known(&mut plan, route)?.entries;
            let weight =
                |name: &str| stated.iter().find(|entry| *entry.name == *name).map_or(1.0, |entry| entry.weight);
            let named: Vec<RouteTarget> = targets.iter().map(|name| (*name, weight(name)).into()).collect();
            let Route { entries, .. } = plan.targets.route(named)?;
            known(&mut plan, route)?.entries = entries;
            Ok(plan)
        })
    }

    /// Where a call that was sent to `target` might have gone as well, for a second attempt beside it: another key of the
    /// provider, or else another provider of the same model. Only what the request's name or rule stands for, that can serve
    /// it, and that the call may go to. None beside a target that is not among these, such as one chosen elsewhere.
    pub fn beside(&self, target: &Target, request: &LlmRequest) -> Option<Target> {
        service::beside(&self.shared.current(), target, request)
    }

    /// Every target with a name of its own, and every pattern of a provider, in the order of their names.
    pub fn targets(&self) -> Vec<TargetStatus> {
        let (current, now) = (self.shared.current(), Instant::now());
        let named = current.routing().candidates().map(|candidate| TargetStatus::of(candidate, now));
        let shared = current.routing().shared();
        let mut all: Vec<_> = named.chain(shared.map(|candidate| TargetStatus::of(&candidate, now))).collect();
        all.sort_by(|one, other| one.target.cmp(&other.target));
        all
    }

    /// What has happened so far.
    pub fn counts(&self) -> RouterCounts {
        let counts = &self.shared.common().counts;
        RouterCounts {
            failed_over: counts.failed_over.load(Relaxed),
            no_candidate: counts.no_candidate.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            panic_probes: counts.panic_probes.load(Relaxed),
        }
    }

    /// Listens to what happens from now on. The notices come from `router` and are named by the route: `panic_probe`,
    /// when a call was made although every target was open.
    pub fn notices(&self) -> NoticeListener {
        self.shared.common().notices.listen()
    }
}

fn known<'p>(plan: &'p mut Plan, route: &str) -> Result<&'p mut Route, ConfigError> {
    let unknown = || ConfigError::new("route", format!("there is no route `{route}`"));
    plan.routes.get_mut(route).ok_or_else(unknown)
}

impl TargetStatus {
    fn of(candidate: &Candidate, now: Instant) -> Self {
        Self {
            target: candidate.target().clone(),
            in_flight: candidate.in_flight(),
            first_content: candidate.first_content(now),
            seconds_per_token: candidate.seconds_per_token(now),
            failing: candidate.failing(now),
        }
    }
}

/// For each target `llm.router.in_flight`, `llm.router.first_content` and `llm.router.seconds_per_token` in seconds
/// where they are known, and `llm.router.failing`; and the [counts](RouterCounts), as `llm.router.failed_over` and so on.
impl Measures for RouterHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        for status in self.targets() {
            let TargetRef { provider, model, key } = status.target.names();
            let labels = [
                ("provider", Cow::Borrowed(provider)),
                ("model", Cow::Borrowed(model)),
                ("key", Cow::Borrowed(key.unwrap_or_default())),
            ];
            let figures = [
                ("llm.router.in_flight", Some(status.in_flight as f64)),
                ("llm.router.first_content", status.first_content.map(|wait| wait.as_secs_f64())),
                ("llm.router.seconds_per_token", status.seconds_per_token),
                ("llm.router.failing", Some(status.failing)),
            ];
            for (name, value) in figures {
                if let Some(value) = value {
                    visit(&Measure { name, labels: &labels, value });
                }
            }
        }
        let RouterCounts { failed_over, no_candidate, refused, panic_probes } = self.counts();
        let counts = [
            ("llm.router.failed_over", failed_over),
            ("llm.router.no_candidate", no_candidate),
            ("llm.router.refused", refused),
            ("llm.router.panic_probes", panic_probes),
        ];
        for (name, count) in counts {
            visit(&Measure { name, labels: &[], value: count as f64 });
        }
    }
}

impl fmt::Debug for RouterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterHandle").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// That a call goes to `target` although everything is open.
pub(crate) fn panic_probe(route: &str, target: &Target) -> Notice {
    Notice {
        source: "router",
        key: format!("{route}: {target}"),
        kind: "panic_probe",
        severity: Severity::Critical,
        numbers: Vec::new(),
    }
}
