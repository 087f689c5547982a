//! Watching and controlling the circuits at run time.

use std::{borrow::Cow, fmt, sync::atomic::Ordering::Relaxed, time::Duration};

use llm_core::{Health, HealthState, Measure, Measures, NoticeListener, Striped, Target, TargetRef};

use crate::{
    CircuitState, CircuitStatus,
    circuit::Change,
    circuits::Told,
    names::of_key,
    shared::{Shared, Which},
    state::State,
};

/// Watches and controls the circuits of a layer. Cheap to clone.
///
/// A circuit is named by its target, or as [`circuit_of`](Self::circuit_of) says where targets share one, and that of a
/// provider's key by [`key_of`](Self::key_of) a target.
#[derive(Clone)]
pub struct BreakerHandle {
    shared: Striped<Shared>,
}

/// What has happened since the layer was made, in all its services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerCounts {
    /// Calls that were refused.
    pub rejected: u64,
    /// How often a circuit opened, other than by hand.
    pub opened: u64,
    /// How often a circuit closed, other than by hand.
    pub closed: u64,
    /// Calls that were let through as probes.
    pub probes: u64,
}

impl BreakerHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The name of the circuit that the key of `target` has for all its models: the provider, no model, the key.
    pub fn key_of(target: &Target) -> Target {
        TargetRef { model: "", ..target.names() }.to_target()
    }

    /// The name of the circuit that a call of `target` goes by: its own, unless it [shares](crate::Sharing) one.
    pub fn circuit_of(&self, target: &Target) -> Target {
        match self.shared.circuit_of(target.names()) {
            (_, false) => target.clone(),
            (shared, true) => shared.to_target(),
        }
    }

    /// All circuits that there are, in the order of their names. A target without one has not failed, as far as is
    /// remembered.
    pub fn list(&self) -> Vec<CircuitStatus> {
        let now = self.shared.now();
        let mut list = Vec::with_capacity(self.shared.targets.len() + self.shared.keys.len());
        for which in [Which::Target, Which::Key] {
            self.shared.circuits(which).for_each(|target, word, cool_until| {
                list.push(CircuitStatus::new(target.clone(), word, cool_until, now.millis()));
            });
        }
        list.sort_by(|one, other| one.target.cmp(&other.target));
        list
    }

    /// How many circuits there are.
    pub fn len(&self) -> usize {
        self.shared.targets.len() + self.shared.keys.len()
    }

    /// Whether nothing has failed, as far as is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How one circuit is. Without one it is closed.
    pub fn status(&self, target: &Target) -> CircuitStatus {
        let circuits = self.circuits_of(target);
        let (word, cool_until) = self.shared.circuits(circuits).look(target.names()).unwrap_or_default();
        CircuitStatus::new(target.clone(), word, cool_until, self.shared.now().millis())
    }

    /// How the circuit is that targets share for which there was no room; closed while there was always room. The
    /// target's names are empty.
    pub fn overflow_status(&self) -> CircuitStatus {
        let (word, cool_until) = self.shared.targets.look_at_overflow();
        CircuitStatus::new(Target::new("", ""), word, cool_until, self.shared.now().millis())
    }

    /// Lets no call through, probes neither, until it is forced closed or reset. False, and nothing done, if there is
    /// no room for another circuit.
    pub fn force_open(&self, target: &Target) -> bool {
        self.force(target, State::ForcedOpen, Change::ForcedOpen)
    }

    /// Lets every call through and counts nothing, until it is forced open or reset. False, and nothing done, if there
    /// is no room for another circuit.
    pub fn force_closed(&self, target: &Target) -> bool {
        self.force(target, State::ForcedClosed, Change::ForcedClosed)
    }

    /// Closes a circuit, forced or not, and forgets what it has seen and what it was told; calls under way do not count
    /// any more. False if there is none.
    pub fn reset(&self, target: &Target) -> bool {
        let was_there = self.shared.circuits(self.circuits_of(target)).reset(target.names());
        if was_there {
            self.tell(target, Change::Reset);
        }
        was_there
    }

    /// Does the same with all circuits.
    pub fn reset_all(&self) {
        let known = self.list();
        self.shared.targets.reset_all();
        self.shared.keys.reset_all();
        for status in known {
            self.tell(&status.target, Change::Reset);
        }
    }

    /// What has happened so far.
    pub fn counts(&self) -> BreakerCounts {
        let counts = &self.shared.counts;
        BreakerCounts {
            rejected: counts.rejected.load(Relaxed),
            opened: counts.opened.load(Relaxed),
            closed: counts.closed.load(Relaxed),
            probes: counts.probes.load(Relaxed),
        }
    }

    /// Listens to what happens from now on. The notices come from `breaker` and are named by the circuit
    /// (`provider/model#key`, `provider#key`): `opened`, `probing`, `closed`, `cooling`, `forced_open`,
    /// `forced_closed`, `reset`.
    pub fn notices(&self) -> NoticeListener {
        self.shared.notices.listen()
    }

    fn force(&self, target: &Target, state: State, change: Change) -> bool {
        let now = self.shared.now();
        let asked = self.shared.asked(target.names(), &now);
        let is_done = self.shared.circuits(self.circuits_of(target)).force(asked, state);
        if is_done {
            self.tell(target, change);
        }
        is_done
    }

    fn tell(&self, target: &Target, change: Change) {
        self.shared.tell(target.names(), Some(Told { change, is_overflow: false }));
    }

    /// Circuits of keys have no model.
    fn circuits_of(&self, target: &Target) -> Which {
        if target.model().is_empty() && !target.provider().is_empty() { Which::Key } else { Which::Target }
    }

    fn health(&self, which: Which, names: TargetRef<'_>) -> HealthState {
        let circuits = self.shared.circuits(which);
        let (word, cool_until) = circuits.look(names).unwrap_or_else(|| circuits.look_at_overflow());
        if (word.state, cool_until) == (State::default(), 0) {
            return HealthState::Healthy;
        }
        let now = self.shared.now();
        let health = CircuitStatus::new(Target::new("", ""), word, cool_until, now.millis()).health();
        match (health, circuits.refusal(self.shared.asked(names, &now), false)) {
            // Others have all the places for probes.
            (HealthState::Probing, Some(refusal)) => {
                HealthState::Open { remaining: Duration::from_millis(refusal.wait.unwrap_or_default()) }
            }
            (health, _) => health,
        }
    }
}

/// The worse of the target's circuit and that of its key: refused for the longer time, else being tried.
///
/// An open circuit whose time has come is [`Probing`](HealthState::Probing): the next call is let through. While as many
/// probes as may be are under way it is [`Open`](HealthState::Open), for as long as calls are told to wait.
impl Health for BreakerHandle {
    fn of(&self, target: &Target) -> HealthState {
        let one = self.health(Which::Target, self.shared.circuit_of(target.names()).0);
        let other = of_key(target.names()).map_or(HealthState::Healthy, |names| self.health(Which::Key, names));
        let badness = |health: &HealthState| match health {
            HealthState::Healthy => (0, Duration::ZERO),
            HealthState::Probing => (1, Duration::ZERO),
            HealthState::Cooling { remaining } | HealthState::Open { remaining } => (2, *remaining),
        };
        if badness(&other) > badness(&one) { other } else { one }
    }
}

/// `llm.breaker.state` for each circuit that there is, with a label for each part of its name: 1 for the state that it
/// is in and 0 for all others. And the [counts](BreakerCounts), as `llm.breaker.rejected` and so on.
impl Measures for BreakerHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        for status in self.list() {
            let TargetRef { provider, model, key } = status.target.names();
            for state in CircuitState::NAMES {
                let labels = [
                    ("provider", Cow::Borrowed(provider)),
                    ("model", Cow::Borrowed(model)),
                    ("key", Cow::Borrowed(key.unwrap_or_default())),
                    ("state", Cow::Borrowed(state)),
                ];
                let value = if status.state_name() == state { 1.0 } else { 0.0 };
                visit(&Measure { name: "llm.breaker.state", labels: &labels, value });
            }
        }
        let BreakerCounts { rejected, opened, closed, probes } = self.counts();
        let counts = [
            ("llm.breaker.rejected", rejected),
            ("llm.breaker.opened", opened),
            ("llm.breaker.closed", closed),
            ("llm.breaker.probes", probes),
        ];
        for (name, count) in counts {
            visit(&Measure { name, labels: &[], value: count as f64 });
        }
    }
}

impl fmt::Debug for BreakerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerHandle").field("circuits", &self.len()).field("counts", &self.counts()).finish()
    }
}
