//! What all calls through one layer share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use llm_core::{Copies, Health, HealthState, HoldBack, Notices, Random, Target};

use crate::{
    Plan,
    routing::{Histories, Routing},
};

/// What a layer was told besides its plan.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) health: Option<Arc<dyn Health>>,
    pub(crate) hold: HoldBack,
    pub(crate) random: Random,
}

impl Settings {
    pub(crate) fn health_of(&self, target: &Target) -> HealthState {
        self.health.as_ref().map_or(HealthState::Healthy, |health| health.of(target))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("health", &self.health.is_some()).field("hold", &self.hold).finish()
    }
}

/// What has happened. Calls that go well write nothing here.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) failed_over: AtomicU64,
    pub(crate) no_candidate: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) panic_probes: AtomicU64,
}

impl Counts {
    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }
}

/// What stays the same when the plan changes.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) settings: Settings,
    pub(crate) counts: Counts,
    pub(crate) notices: Notices,
}

/// What a call goes by from its beginning to its end, whatever changes meanwhile. Calls of all threads hold it, so each
/// thread has a handle whose references are counted by themselves.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<Apart>);

// Counts of two handles never share a cache line, nor the two lines that a processor fetches together.
#[derive(Debug)]
#[repr(align(128))]
struct Apart {
    routing: Arc<Routing>,
    common: Arc<Common>,
}

impl Current {
    pub(crate) fn routing(&self) -> &Routing {
        &self.0.routing
    }

    pub(crate) fn common(&self) -> &Common {
        &self.0.common
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwap<Copies<Current>>,
    common: Arc<Common>,
    // Locked by whoever changes the plan.
    histories: Mutex<Histories>,
}

impl Shared {
    pub(crate) fn new(plan: Plan, settings: Settings) -> Self {
        Self::with_histories(plan, settings, Histories::new())
    }

    /// The same with what `previous` has seen of the targets.
    pub(crate) fn resuming(plan: Plan, settings: Settings, previous: &Self) -> Self {
        let histories = previous.histories().clone();
        Self::with_histories(plan, settings, histories)
    }

    fn with_histories(plan: Plan, settings: Settings, mut histories: Histories) -> Self {
        let common = Arc::new(Common { settings, counts: Counts::default(), notices: Notices::new() });
        let current = copies(Routing::new(plan, &mut histories), &common);
        Self { current: ArcSwap::from_pointee(current), common, histories: Mutex::new(histories) }
    }

    /// What a call that begins now goes by.
    pub(crate) fn current(&self) -> Current {
        self.current.load().own().clone()
    }

    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Calls that begin from now on go by what `change` makes of the plan. Changes come one after the other, so that
    /// none is lost.
    pub(crate) fn change<E>(&self, change: impl FnOnce(&Plan) -> Result<Plan, E>) -> Result<(), E> {
        let mut histories = self.histories();
        let plan = change(&self.current().routing().plan)?;
        self.current.store(Arc::new(copies(Routing::new(plan, &mut histories), &self.common)));
        Ok(())
    }

    fn histories(&self) -> MutexGuard<'_, Histories> {
        // After a panic while a plan was looked up, histories may be missing; they begin anew then.
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copies(routing: Routing, common: &Arc<Common>) -> Copies<Current> {
    let routing = Arc::new(routing);
    Copies::new(|| Current(Arc::new(Apart { routing: Arc::clone(&routing), common: Arc::clone(common) })))
}
