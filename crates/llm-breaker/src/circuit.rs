//! One circuit, shared by threads: its word, changed in single steps, and the pause that its provider asked for.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use llm_core::Random;
use tokio::time::Instant;

use crate::{
    CircuitRules, Sample, Step,
    rate::Window,
    state::{Admission, End, Epoch, Millis, Reason, Refusal, State, Word, left},
    trip::{Rule, Trip},
};

/// What a circuit asks of an atomic number, so that the same code runs on a model checker's.
pub(crate) trait Atomic {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn compare_exchange(&self, known: u64, new: u64) -> Result<u64, u64>;
    fn fetch_max(&self, value: u64) -> u64;
    fn store(&self, value: u64);
}

impl Atomic for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn compare_exchange(&self, known: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn fetch_max(&self, value: u64) -> u64 {
        self.fetch_max(value, Ordering::AcqRel)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }
}

/// The time, read from the clock when it is first asked for: a healthy call never asks.
pub(crate) struct Now {
    since: Instant,
    read: Cell<Option<Millis>>,
}

impl Now {
    pub(crate) fn since(since: Instant) -> Self {
        Self { since, read: Cell::new(None) }
    }

    pub(crate) fn millis(&self) -> Millis {
        let read = self.read.get().unwrap_or_else(|| self.since.elapsed().as_millis() as Millis);
        self.read.set(Some(read));
        read
    }
}

/// A circuit. All its methods answer `None` when it is retired: then it must not be used any more.
pub(crate) struct Circuit<A = AtomicU64> {
    word: A,
    // Zero while nobody asked for a pause.
    cool_until: A,
    // Only under the rule `rate`.
    window: Option<Box<Mutex<Counted>>>,
}

/// What the rule `rate` has counted, and when.
struct Counted {
    epoch: Epoch,
    window: Window,
}

/// What became of a call at a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It may go on; its result counts in this epoch.
    Pass(Epoch),
    /// It may go on, and holds a place of a probe in this epoch.
    Probe(Epoch),
    Refused(Refusal),
}

/// What has changed at a circuit, for those who operate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { openings: u8, wait: Millis },
    Probing,
    Closed,
    Cooling { wait: Millis },
    ForcedOpen,
    ForcedClosed,
    Reset,
}

impl<A: Atomic> Circuit<A> {
    /// A closed circuit that has seen nothing, in this epoch.
    pub(crate) fn new(epoch: Epoch, trip: &Trip) -> Self {
        let window = match trip.rule() {
            Rule::Score { .. } => None,
            Rule::Rate(rate) => Some(Box::new(Mutex::new(Counted { epoch, window: Window::new(*rate) }))),
        };
        Self { word: A::new(Word::at(epoch, State::default()).into()), cool_until: A::new(0), window }
    }

    pub(crate) fn word(&self) -> Word {
        self.word.load().into()
    }

    /// When the pause ends that its provider asked for.
    pub(crate) fn cool_until(&self) -> Millis {
        self.cool_until.load()
    }

    /// The epoch in which a call may go on, if that takes no clock to know: nothing is wrong.
    pub(crate) fn lets_all_pass(&self) -> Option<Epoch> {
        let Word { epoch, state } = self.word();
        match state {
            State::Closed { .. } if self.cool_until() == 0 => Some(epoch),
            State::ForcedClosed => Some(epoch),
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } | State::ForcedOpen | State::Retired => {
                None
            }
        }
    }

    /// Why a call would be refused, if it would.
    pub(crate) fn refusal(&self, now: Millis, rules: &CircuitRules, marked: bool) -> Option<Refusal> {
        let word = self.word();
        self.answer(word, now, rules, marked).err()
    }

    /// Asks for a place for a call; the second value says what has changed with that.
    pub(crate) fn admit(&self, now: Millis, rules: &CircuitRules, marked: bool) -> Option<(Admitted, Option<Change>)> {
        loop {
            let word = self.word();
            if word.state == State::Retired {
                return None;
            }
            match self.answer(word, now, rules, marked) {
                Err(refusal) => return Some((Admitted::Refused(refusal), None)),
                Ok(None) => {
                    self.forget_pause(now);
                    return Some((Admitted::Pass(word.epoch), None));
                }
                Ok(Some(probing)) => {
                    if self.replace(word, probing) {
                        let change = matches!(word.state, State::Open { .. }).then_some(Change::Probing);
                        return Some((Admitted::Probe(probing.epoch), change));
                    }
                }
            }
        }
    }

    /// A pause that is over is nothing to look at any more, so that calls need no clock again.
    fn forget_pause(&self, now: Millis) {
        let known = self.cool_until();
        if known != 0 && known <= now {
            // If it fails somebody has just asked for another one.
            let _ = self.cool_until.compare_exchange(known, 0);
        }
    }

    /// The state in which a call goes on as a probe, `None` if it just goes on.
    fn answer(&self, word: Word, now: Millis, rules: &CircuitRules, marked: bool) -> Result<Option<Word>, Refusal> {
        let cooling = match word.state {
            State::ForcedClosed | State::Retired => 0,
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } | State::ForcedOpen => {
                self.cool_until().saturating_sub(now)
            }
        };
        match word.admit(now, rules.probes, rules.lease_millis(), marked) {
            Admission::Refused(refusal) => {
                // A probe has its place for as long as its lease, but most are through with it much sooner.
                let most = if refusal.reason == Reason::Probing { rules.open_for.shortest() } else { Millis::MAX };
                Err(Refusal { wait: refusal.wait.map(|wait| wait.min(most).max(cooling)), ..refusal })
            }
            Admission::Pass | Admission::Probe(_) if cooling > 0 => {
                Err(Refusal { reason: Reason::Cooling, wait: Some(cooling) })
            }
            Admission::Pass => Ok(None),
            Admission::Probe(probing) => Ok(Some(probing)),
        }
    }

    /// Takes note of how a call of `epoch` ended.
    ///
    /// `advice` is how long the provider asked to be left alone. It makes the time longer that the circuit is open.
    pub(crate) fn end(
        &self,
        epoch: Epoch,
        call: End,
        advice: Option<Duration>,
        now: &Now,
        rules: &CircuitRules,
        random: &Random,
    ) -> Option<Option<Change>> {
        // Held while the word changes, so that a window is not counted in and forgotten at the same time.
        let mut counted = self.window.as_ref().map(|window| lock(window));
        // What the rule made of the window, and what was drawn, is not asked for twice.
        let mut verdict = None;
        let mut unit = None;
        loop {
            let word = self.word();
            if word.state == State::Retired {
                return None;
            }
            let judge = |score, sample| match (rules.trip.rule(), &mut counted) {
                (Rule::Score { rule, .. }, _) => rule.after(score, sample),
                (Rule::Rate(_), Some(counted)) => {
                    *verdict.get_or_insert_with(|| counted.judge(epoch, score, sample, now.millis()))
                }
                (Rule::Rate(_), None) => Step::Keep(score),
            };
            let open_until = |openings| {
                let unit = *unit.get_or_insert_with(|| random.unit());
                now.millis() + rules.open_for.draw(openings, unit).max(rules.advised(advice))
            };
            let Some(next) = word.after(epoch, call, rules.probes, judge, open_until) else { return Some(None) };
            let next = next.changed(|| now.millis());
            if self.replace(word, next) {
                return Some(change(word.state, next.state, now));
            }
        }
    }

    /// Lets no call pass before `until`, as the answer to a call of `epoch` asked for.
    pub(crate) fn cool(&self, epoch: Epoch, until: Millis, now: Millis) -> Option<Option<Change>> {
        let mut before = None;
        loop {
            let word = self.word();
            match word.state {
                State::Retired => return None,
                State::ForcedOpen | State::ForcedClosed => return Some(None),
                State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } if word.epoch != epoch => {
                    if let Some(before) = before {
                        // It was reset in between, or opened: take back what came too late, unless it was done already.
                        let _ = self.cool_until.compare_exchange(until, before);
                    }
                    return Some(None);
                }
                State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => {}
            }
            let known = self.cool_until.fetch_max(until);
            let before = *before.get_or_insert(known);
            // Whoever retires a circuit looks for a pause once more when it has. Of the two one sees the other,
            // because both write first and then look by writing.
            if self.replace(word, word) {
                let begins = before <= now && until > now;
                return Some(begins.then_some(Change::Cooling { wait: until.saturating_sub(now) }));
            }
        }
    }

    /// Extends the lease of a probe that is getting on.
    pub(crate) fn renew(&self, epoch: Epoch, now: Millis, lease: Millis) {
        loop {
            let word = self.word();
            match word.renew(epoch, now, lease) {
                Some(renewed) if !self.replace(word, renewed) => {}
                Some(_) | None => return,
            }
        }
    }

    /// Puts it into a state by hand, in an epoch of its own; nothing of what was before counts any more.
    pub(crate) fn set(&self, state: State) -> Option<()> {
        loop {
            let word = self.word();
            if word.state == State::Retired {
                return None;
            }
            if self.replace(word, word.then(state)) {
                self.cool_until.store(0);
                return Some(());
            }
        }
    }

    /// Puts it into the state and the pause of another.
    pub(crate) fn resume(&self, state: State, cool_until: Millis) -> Option<()> {
        self.set(state)?;
        self.cool_until.store(cool_until);
        Some(())
    }

    /// Retires it if there is nothing in it that must be kept, and says up to which epoch it came.
    ///
    /// Not for two threads at once.
    pub(crate) fn retire(&self, now: Millis) -> Option<Epoch> {
        let mut counted = self.window.as_ref().map(|window| lock(window));
        let word = self.word();
        let is_idle = word.is_idle(now)
            && self.cool_until() <= now
            && counted.as_mut().is_none_or(|counted| counted.window.is_empty(now));
        if !is_idle || !self.replace(word, Word { state: State::Retired, ..word }) {
            return None;
        }
        // See `cool`.
        if self.cool_until.fetch_max(0) > now {
            self.word.store(word.into());
            return None;
        }
        // Results that an open circuit waits for are never to count; those that a closed one does, may.
        Some(if matches!(word.state, State::Closed { .. }) { word.epoch } else { word.epoch.next() })
    }

    fn replace(&self, known: Word, new: Word) -> bool {
        self.word.compare_exchange(known.into(), new.into()).is_ok()
    }
}

impl Counted {
    fn judge(&mut self, epoch: Epoch, score: u32, sample: Sample, now: Millis) -> Step {
        if self.epoch != epoch {
            self.window.clear();
            self.epoch = epoch;
        }
        if self.window.trips(sample, now) { Step::Trip } else { Step::Keep(score) }
    }
}

// Every writer leaves the counts whole, so a panic elsewhere does not spoil them.
fn lock(window: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What operators call the change from one state to another.
fn change(before: State, after: State, now: &Now) -> Option<Change> {
    match (before, after) {
        (_, State::Open { openings, until }) => {
            Some(Change::Opened { openings: openings + 1, wait: left(until, now.millis()) })
        }
        (State::HalfOpen { .. }, State::Closed { .. }) => Some(Change::Closed),
        (State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }, _)
        | (State::ForcedOpen | State::ForcedClosed | State::Retired, _) => None,
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
#[path = "loom_tests.rs"]
mod loom_tests;
