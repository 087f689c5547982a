//! What all services of a layer share: the settings, the circuits, and who is told about them.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use llm_core::{Error, Notices, Outcome, PerTarget, Random, TargetRef};
use tokio::time::Instant;

use crate::{
    CircuitRules, Covers, Weight,
    circuit::{Change, Now},
    circuits::{Asked, Circuits, Pass, Told},
    names::{Names, OVERFLOW, Shares, circuit_name, of_key},
    notice::notice,
    sample::Blame,
    state::{End, Millis, Refusal},
};

/// What a layer was told to do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: PerTarget<CircuitRules>,
    pub(crate) per: Covers,
    pub(crate) shares: Shares,
    pub(crate) most_circuits: NonZeroUsize,
    pub(crate) random: Random,
}

/// What the services, handles and calls of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) targets: Circuits,
    pub(crate) keys: Circuits,
    pub(crate) notices: Notices,
    pub(crate) counts: Counts,
    // Whether there is a rule at all under which slowness counts.
    heeds_slowness: bool,
    began: Instant,
}

/// What has happened so far. None of it happens to a healthy call.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rejected: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) probes: AtomicU64,
}

/// What a call remembers of the circuits that let it pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    target: Pass,
    key: Option<Pass>,
}

impl Ticket {
    pub(crate) fn is_probe(self) -> bool {
        self.target.is_probe() || self.key.is_some_and(Pass::is_probe)
    }
}

/// Which of a call's two circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// That of one model with one of the provider's keys.
    Target,
    /// That of one of the provider's keys, with all models.
    Key,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let circuits = || Circuits::new(settings.most_circuits, &settings.rules);
        let mut heeds_slowness = false;
        _ = settings.rules.clone().map(|rules| heeds_slowness |= rules.slow_after.is_some());
        Self {
            targets: circuits(),
            keys: circuits(),
            notices: Notices::new(),
            counts: Counts::default(),
            heeds_slowness,
            began: Instant::now(),
            settings,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now::since(self.began)
    }

    /// What the circuit of a target is known by, and whether it shares it.
    pub(crate) fn circuit_of<'a>(&'a self, names: TargetRef<'a>) -> (TargetRef<'a>, bool) {
        let (circuit, is_shared) = self.settings.shares.circuit_of(names);
        // Whoever wrote rules for a model by its name means that model, and not all that it would share a circuit with.
        let has_own = is_shared && circuit.model != names.model && self.settings.rules.names_model(names.model);
        if has_own { (names, false) } else { (circuit, is_shared) }
    }

    pub(crate) fn asked<'a>(&'a self, names: TargetRef<'a>, now: &'a Now) -> Asked<'a> {
        Asked { names, rules: &self.settings.rules, now, random: &self.settings.random }
    }

    pub(crate) fn circuits(&self, which: Which) -> &Circuits {
        match which {
            Which::Target => &self.targets,
            Which::Key => &self.keys,
        }
    }

    /// Asks whether a call may be made.
    pub(crate) fn admit(&self, names: TargetRef<'_>, marked: bool) -> Result<Ticket, (Which, Refusal)> {
        let passed = || {
            let target = self.targets.pass(names)?;
            let key = match of_key(names) {
                Some(names) => Some(self.keys.pass(names)?),
                None => None,
            };
            Some(Ticket { target, key })
        };
        match passed() {
            Some(ticket) => Ok(ticket),
            None => self.admit_unwell(names, marked),
        }
    }

    /// The same where something is wrong with one of the circuits.
    fn admit_unwell(&self, names: TargetRef<'_>, marked: bool) -> Result<Ticket, (Which, Refusal)> {
        let now = self.now();
        let mut asked = [(Which::Target, Some(names)), (Which::Key, of_key(names))]
            .map(|(which, names)| names.map(|names| (which, self.asked(names, &now))))
            .into_iter()
            .flatten();
        // Both are looked at before a place is taken in one, and the longer wait of two is what counts.
        let refused = asked
            .clone()
            .filter_map(|(which, asked)| self.circuits(which).refusal(asked, marked).map(|refusal| (which, refusal)));
        let refused = refused.max_by_key(|(_, refusal)| refusal.wait.unwrap_or(u64::MAX));
        let refuse = |refused| {
            self.counts.rejected.fetch_add(1, Relaxed);
            Err(refused)
        };
        if let Some(refused) = refused {
            return refuse(refused);
        }
        let (_, asked_target) = asked.next().expect("every call has a target or a model");
        let target = match self.admit_to(Which::Target, asked_target, marked) {
            Ok(pass) => pass,
            Err(refusal) => return refuse((Which::Target, refusal)),
        };
        let key = match asked.next().map(|(_, asked)| self.admit_to(Which::Key, asked, marked)) {
            None => None,
            Some(Ok(pass)) => Some(pass),
            Some(Err(refusal)) => {
                // Somebody else was faster there, so the place that was taken here goes back.
                self.end(Which::Target, asked_target, target, End::Ignored, None);
                return refuse((Which::Key, refusal));
            }
        };
        let ticket = Ticket { target, key };
        if ticket.is_probe() {
            self.counts.probes.fetch_add(1, Relaxed);
        }
        Ok(ticket)
    }

    fn admit_to(&self, which: Which, asked: Asked<'_>, marked: bool) -> Result<Pass, Refusal> {
        let (answer, change) = self.circuits(which).admit(asked, marked);
        self.tell(asked.names, change);
        answer
    }

    /// Takes over the circuits of `previous` that are not closed.
    pub(crate) fn resume(&self, previous: &Self) {
        let (then, now) = (previous.now(), self.now());
        // Each counts its milliseconds from when it was made.
        let here = |until: Millis| now.millis() + until.saturating_sub(then.millis());
        for which in [Which::Target, Which::Key] {
            previous.circuits(which).for_each(|target, word, cool_until| {
                if let Some(state) = word.state.resumed(here) {
                    let asked = self.asked(target.names(), &now);
                    self.circuits(which).resume(asked, state, here(cool_until));
                }
            });
        }
    }

    /// Whether a call's success changes nothing: it is no probe, and where it counts nothing has failed.
    pub(crate) fn needs_no_success_of(&self, ticket: Ticket) -> bool {
        !ticket.is_probe() && self.circuits(self.scored(ticket)).need_no_success()
    }

    /// Takes note of how a call ended. Its slowness may have been counted before, and then it is not counted again.
    pub(crate) fn finish(&self, names: &Names, ticket: Ticket, outcome: &Outcome<'_>, was_slow: bool) {
        let (names, is_shared) = (names.get(), names.is_shared());
        let now = self.now();
        let scored = self.scored(ticket);
        let (mut target, mut key) = (End::Ignored, End::Ignored);
        let mut advice = None;
        match outcome {
            Outcome::Abandoned(_) => {}
            Outcome::Complete(_) if was_slow => {}
            // Kept or made up below this layer: the target has shown nothing by it.
            Outcome::Complete(progress) if progress.is_unpaid() => {}
            // A success is one for whoever holds a place, and else only where failures are counted.
            Outcome::Complete(_) => {
                let succeeds = |which, pass: Pass| which == scored || pass.is_probe();
                target = if succeeds(Which::Target, ticket.target) { End::Success } else { End::Ignored };
                key = match ticket.key {
                    Some(pass) if succeeds(Which::Key, pass) => End::Success,
                    Some(_) | None => End::Ignored,
                };
            }
            Outcome::Failed(_, error) => {
                advice = error.retry_after();
                match (Blame::of(error.kind()), scored) {
                    (Blame::Nobody, _) => {}
                    // What is wrong with one of those that share a circuit is not wrong with all others.
                    (Blame::Throttled, Which::Target) if is_shared => {}
                    (Blame::Throttled, _) => self.cool(names, ticket, error, &now),
                    (Blame::Failure(_), _) if was_slow => {}
                    (Blame::Failure(weight), Which::Target) => target = End::Failure(weight),
                    (Blame::Failure(weight), Which::Key) => key = End::Failure(weight),
                    (Blame::Target, _) if is_shared => {}
                    (Blame::Target, _) => target = End::Fatal,
                    (Blame::Key, _) if ticket.key.is_some() => key = End::Fatal,
                    (Blame::Key, _) => target = End::Fatal,
                }
            }
        }
        self.end(Which::Target, self.asked(names, &now), ticket.target, target, advice);
        if let (Some(pass), Some(names)) = (ticket.key, of_key(names)) {
            self.end(Which::Key, self.asked(names, &now), pass, key, advice);
        }
    }

    /// How long the first content may take.
    pub(crate) fn slow_after(&self, names: TargetRef<'_>) -> Option<Duration> {
        if !self.heeds_slowness {
            return None;
        }
        self.settings.rules.of_names(Some(names.provider), names.model).slow_after
    }

    /// Counts a call whose first content is late.
    pub(crate) fn slow(&self, names: TargetRef<'_>, ticket: Ticket) {
        let now = self.now();
        if let Some((which, names, pass)) = self.scored_circuit(names, ticket) {
            self.end(which, self.asked(names, &now), pass, End::Failure(Weight::HALF), None);
        }
    }

    /// Extends the lease of a probe that is getting on.
    pub(crate) fn renew(&self, names: TargetRef<'_>, ticket: Ticket) {
        let now = self.now();
        self.targets.renew(self.asked(names, &now), ticket.target);
        if let (Some(pass), Some(names)) = (ticket.key, of_key(names)) {
            self.keys.renew(self.asked(names, &now), pass);
        }
    }

    fn cool(&self, names: TargetRef<'_>, ticket: Ticket, error: &Error, now: &Now) {
        let Some(advice) = error.retry_after().filter(|advice| *advice > Duration::ZERO) else { return };
        if let Some((which, names, pass)) = self.scored_circuit(names, ticket) {
            let change = self.circuits(which).cool(self.asked(names, now), pass, advice);
            self.tell(names, change);
        }
    }

    /// The circuit in which a call's failures are counted.
    fn scored(&self, ticket: Ticket) -> Which {
        match self.settings.per {
            Covers::Provider if ticket.key.is_some() => Which::Key,
            Covers::Provider | Covers::Target => Which::Target,
        }
    }

    fn scored_circuit<'a>(&self, names: TargetRef<'a>, ticket: Ticket) -> Option<(Which, TargetRef<'a>, Pass)> {
        match self.scored(ticket) {
            Which::Target => Some((Which::Target, names, ticket.target)),
            Which::Key => Some((Which::Key, of_key(names)?, ticket.key?)),
        }
    }

    fn end(&self, which: Which, asked: Asked<'_>, pass: Pass, call: End, advice: Option<Duration>) {
        let change = self.circuits(which).end(asked, pass, call, advice);
        self.tell(asked.names, change);
    }

    /// Tells those who listen what has changed. No lock is held.
    pub(crate) fn tell(&self, names: TargetRef<'_>, told: Option<Told>) {
        let Some(Told { change, is_overflow }) = told else { return };
        match change {
            Change::Opened { .. } => _ = self.counts.opened.fetch_add(1, Relaxed),
            Change::Closed => _ = self.counts.closed.fetch_add(1, Relaxed),
            Change::Probing | Change::Cooling { .. } | Change::ForcedOpen | Change::ForcedClosed | Change::Reset => {}
        }
        let key = if is_overflow { OVERFLOW.to_owned() } else { circuit_name(names) };
        self.notices.send(notice(key, change));
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;
    use crate::{Cusum, Probes, circuit::tests::rules, state::State};

    #[test]
    fn a_call_that_one_of_its_circuits_refuses_keeps_no_place_in_the_other() {
        const MODELS: [&str; 2] = ["a", "b"];
        let names = |model| TargetRef { provider: "openai", model, key: None };
        let settings = Settings {
            rules: rules(Cusum::default(), Probes::ONE).into(),
            per: Covers::Target,
            shares: Shares::default(),
            most_circuits: NonZeroUsize::MIN.saturating_add(9),
            random: Random::seeded(1),
        };
        for _ in 0..2_000 {
            let shared = Shared::new(settings.clone());
            let mut tickets = MODELS.map(|model| shared.admit(names(model), false).ok());
            let error = |kind| Error::new(kind, "down");
            for (model, ticket) in MODELS.into_iter().zip(&mut tickets) {
                for kind in [llm_core::ErrorKind::ModelNotFound, llm_core::ErrorKind::ProviderCredentials] {
                    let failed = Outcome::Failed(&Default::default(), &error(kind));
                    shared.finish(&Names::new(names(model), false), ticket.unwrap(), &failed, false);
                }
            }
            // Two targets and their key are open, and both are asked for a probe at the same time.
            let barrier = Barrier::new(2);
            let admitted = thread::scope(|scope| {
                let ask = MODELS.map(|model| {
                    scope.spawn(|| {
                        barrier.wait();
                        shared.admit(names(model), true).is_ok()
                    })
                });
                ask.map(|thread| thread.join().unwrap())
            });
            assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 1);
            for (model, admitted) in MODELS.into_iter().zip(admitted) {
                match shared.targets.look(names(model)).unwrap().0.state {
                    State::HalfOpen { in_use, .. } => assert_eq!(in_use, u8::from(admitted)),
                    state => assert!(!admitted && matches!(state, State::Open { .. }), "{state:?}"),
                }
            }
        }
    }
}
