//! The circuits of many keys: one for each that has ever failed, and one for all others together.

use std::{
    num::NonZeroUsize,
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use llm_core::{Keyed, PerTarget, Random, Target, TargetRef};

use crate::{
    CircuitRules,
    circuit::{Admitted, Change, Circuit, Now},
    state::{End, Epoch, Millis, Refusal, State, Word},
};

/// Circuits by key.
///
/// A key that has not failed has none: it is closed, in the base epoch. When the circuit of a key is forgotten, the
/// base epoch moves up to where that circuit came, so that results from before never count in one that the key gets
/// later. Some of other keys' calls under way then do not count either; a circuit is only forgotten for want of room.
///
/// At the bound new keys share the overflow circuit. What says something of one key alone (it is refused, it is
/// throttled) does not count there, or one caller with a thousand wrong names could shut the others out.
#[derive(Debug)]
pub(crate) struct Circuits {
    known: Keyed<Target, Circuit>,
    base: AtomicU64,
    // Whether there is a rule at all under which healthy calls are counted.
    heeds_success: bool,
}

/// A change, and whether it is one of the overflow circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) change: Change,
    pub(crate) is_overflow: bool,
}

fn own(change: Change) -> Told {
    Told { change, is_overflow: false }
}

fn shared(change: Change) -> Told {
    Told { change, is_overflow: true }
}

/// What a call remembers of a circuit that let it pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    epoch: Epoch,
    // That of the overflow circuit, which the result may have to go to.
    overflow: Epoch,
    place: Place,
}

/// Where a call holds the place of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    None,
    Own,
    Overflow,
}

impl Pass {
    pub(crate) fn is_probe(self) -> bool {
        self.place != Place::None
    }
}

/// What the circuits are asked with: all they need to know about a call's key and the world.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) names: TargetRef<'a>,
    pub(crate) rules: &'a PerTarget<CircuitRules>,
    pub(crate) now: &'a Now,
    pub(crate) random: &'a Random,
}

impl<'a> Asked<'a> {
    pub(crate) fn rules(self) -> &'a CircuitRules {
        self.rules.of_names(Some(self.names.provider), self.names.model)
    }

    /// Those of the overflow circuit, which are nobody's in particular.
    fn shared_rules(self) -> &'a CircuitRules {
        self.rules.of_names(None, "")
    }
}

impl Circuits {
    pub(crate) fn new(bound: NonZeroUsize, rules: &PerTarget<CircuitRules>) -> Self {
        let overflow = Circuit::new(Epoch::default(), &rules.of_names(None, "").trip);
        let mut heeds_success = false;
        _ = rules.clone().map(|rules| heeds_success |= rules.trip.heeds_success());
        Self { known: Keyed::new(bound, overflow), base: AtomicU64::new(0), heeds_success }
    }

    /// Lets a call pass if nothing is wrong with its circuit, without a look at the clock.
    pub(crate) fn pass(&self, names: TargetRef<'_>) -> Option<Pass> {
        let overflow = self.known.overflow();
        let (epoch, overflow) = match self.known.get(&names, Circuit::lets_all_pass) {
            Some(epoch) => (epoch?, overflow.word().epoch),
            None => (self.base(), overflow.lets_all_pass()?),
        };
        Some(Pass { epoch, overflow, place: Place::None })
    }

    /// Why a call would be refused, if it would.
    pub(crate) fn refusal(&self, asked: Asked<'_>, marked: bool) -> Option<Refusal> {
        let now = asked.now.millis();
        match self.known.get(&asked.names, |circuit| circuit.refusal(now, asked.rules(), marked)) {
            Some(refusal) => refusal,
            None => self.known.overflow().refusal(now, asked.shared_rules(), marked),
        }
    }

    /// Asks for a place for a call.
    pub(crate) fn admit(&self, asked: Asked<'_>, marked: bool) -> (Result<Pass, Refusal>, Option<Told>) {
        let now = asked.now.millis();
        let overflow = self.known.overflow();
        let known = self.known.get(&asked.names, |circuit| circuit.admit(now, asked.rules(), marked)).flatten();
        if let Some((admitted, change)) = known {
            let overflow = overflow.word().epoch;
            let pass = |epoch, place| Ok(Pass { epoch, overflow, place });
            let answer = match admitted {
                Admitted::Pass(epoch) => pass(epoch, Place::None),
                Admitted::Probe(epoch) => pass(epoch, Place::Own),
                Admitted::Refused(refusal) => Err(refusal),
            };
            return (answer, change.map(own));
        }
        let pass = |overflow, place| Ok(Pass { epoch: self.base(), overflow, place });
        let admitted = overflow.admit(now, asked.shared_rules(), marked);
        let (admitted, change) = admitted.expect("the overflow circuit is never retired");
        let answer = match admitted {
            Admitted::Pass(epoch) => pass(epoch, Place::None),
            Admitted::Probe(epoch) => pass(epoch, Place::Overflow),
            Admitted::Refused(refusal) => Err(refusal),
        };
        (answer, change.map(shared))
    }

    /// Takes note of how a call ended, once.
    pub(crate) fn end(&self, asked: Asked<'_>, pass: Pass, call: End, advice: Option<Duration>) -> Option<Told> {
        let overflow = self.known.overflow();
        let at_own = |circuit: &Circuit| {
            let ended = circuit.end(pass.epoch, call, advice, asked.now, asked.rules(), asked.random);
            ended.map(|change| change.map(own))
        };
        let at_shared = || {
            let ended = overflow.end(pass.overflow, call, advice, asked.now, asked.shared_rules(), asked.random);
            ended.map(|change| change.map(shared))
        };
        match (pass.place, call) {
            (Place::Overflow, _) => at_shared().flatten(),
            (Place::Own, _) => self.known.get(&asked.names, at_own).flatten().flatten(),
            (Place::None, End::Ignored) => None,
            (Place::None, End::Success) if !(self.heeds_success && asked.rules().trip.heeds_success()) => {
                match self.known.get(&asked.names, at_own).flatten() {
                    Some(told) => told,
                    // It has nothing to make good for anywhere, unless in the circuit that it may share.
                    None if overflow.word().state == State::default() => None,
                    None => at_shared().flatten(),
                }
            }
            (Place::None, End::Success | End::Failure(_)) => self.of(asked, at_own, at_shared),
            (Place::None, End::Fatal) => self.of(asked, at_own, || Some(None)),
        }
    }

    /// Whether no success of any key changes anything.
    pub(crate) fn need_no_success(&self) -> bool {
        !self.heeds_success && self.known.is_empty() && self.known.overflow().word().state == State::default()
    }

    /// Lets no call pass until the provider's pause is over.
    pub(crate) fn cool(&self, asked: Asked<'_>, pass: Pass, advice: Duration) -> Option<Told> {
        let now = asked.now.millis();
        let until = now + asked.rules().advised(Some(advice));
        let cool = |circuit: &Circuit| circuit.cool(pass.epoch, until, now).map(|change| change.map(own));
        self.of(asked, cool, || Some(None))
    }

    /// Extends the lease of a probe that is getting on.
    pub(crate) fn renew(&self, asked: Asked<'_>, pass: Pass) {
        let now = asked.now.millis();
        match pass.place {
            Place::None => {}
            Place::Own => {
                let renew = |circuit: &Circuit| circuit.renew(pass.epoch, now, asked.rules().lease_millis());
                _ = self.known.get(&asked.names, renew);
            }
            Place::Overflow => {
                self.known.overflow().renew(pass.overflow, now, asked.shared_rules().lease_millis());
            }
        }
    }

    /// Puts a circuit into a state by hand, making it if there is none. False if there is no room for it.
    pub(crate) fn force(&self, asked: Asked<'_>, state: State) -> bool {
        self.of(asked, |circuit| circuit.set(state).map(|()| true), || Some(false))
    }

    /// Puts a circuit into the state and the pause of another. Where there is no room for it, it begins anew.
    pub(crate) fn resume(&self, asked: Asked<'_>, state: State, cool_until: Millis) {
        let is_nothing = state == State::default() && cool_until <= asked.now.millis();
        if !is_nothing {
            self.of(asked, |circuit| circuit.resume(state, cool_until), || Some(()));
        }
    }

    /// Closes a circuit and forgets what it has seen. False if there is none.
    pub(crate) fn reset(&self, names: TargetRef<'_>) -> bool {
        self.known.get(&names, |circuit| circuit.set(State::default())).flatten().is_some()
    }

    /// Closes all circuits and forgets what they have seen, also of calls under way.
    pub(crate) fn reset_all(&self) {
        self.move_base_up_to(self.base().next());
        self.known.for_each(|_, circuit| _ = circuit.set(State::default()));
        _ = self.known.overflow().set(State::default());
    }

    /// How the circuit of a key is, if it has one: its word, and when its pause ends.
    pub(crate) fn look(&self, names: TargetRef<'_>) -> Option<(Word, Millis)> {
        self.known.get(&names, |circuit| (circuit.word(), circuit.cool_until()))
    }

    /// How the circuit is that keys share for which there is no room.
    pub(crate) fn look_at_overflow(&self) -> (Word, Millis) {
        (self.known.overflow().word(), self.known.overflow().cool_until())
    }

    /// Looks at all circuits.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&Target, Word, Millis)) {
        self.known.for_each(|target, circuit| look(target, circuit.word(), circuit.cool_until()));
    }

    /// How many circuits there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// The epoch of keys that have no circuit.
    pub(crate) fn base(&self) -> Epoch {
        Epoch::new(self.base.load(Relaxed))
    }

    /// Uses the circuit of a key, making it if there is none; or the overflow circuit if there is no room.
    fn of<R>(&self, asked: Asked<'_>, own: impl Fn(&Circuit) -> Option<R>, overflow: impl Fn() -> Option<R>) -> R {
        let retire = |circuit: &Circuit| match circuit.retire(asked.now.millis()) {
            Some(epoch) => {
                self.move_base_up_to(epoch);
                true
            }
            None => false,
        };
        self.known.get_or_insert(
            &asked.names,
            || asked.names.to_target(),
            || Circuit::new(self.base(), &asked.rules().trip),
            retire,
            |circuit| if ptr::eq(circuit, self.known.overflow()) { overflow() } else { own(circuit) },
        )
    }

    fn move_base_up_to(&self, epoch: Epoch) {
        let later = |base| epoch.is_after(Epoch::new(base)).then_some(u64::from(epoch.number()));
        _ = self.base.fetch_update(Relaxed, Relaxed, later);
    }
}

impl std::fmt::Debug for Circuit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Circuit").field(&self.word()).finish()
    }
}

#[cfg(test)]
#[path = "circuits_tests.rs"]
mod tests;
