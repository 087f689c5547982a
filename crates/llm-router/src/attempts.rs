//! Which candidate is called, and which one after a failure. Plain decisions: what is asked for comes in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use llm_core::{Breaker, Elsewhere, Error, ErrorKind, HealthState, NanoUsd, Target};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{Asked, Candidate, Choice, Rank};

/// How far apart calls to targets that are all open are, at least: each that fails doubles the time of a circuit, which begins
/// with about as much.
const BETWEEN_PANIC_PROBES: Duration = Duration::from_secs(5);

/// The candidates of a call that have not been called yet.
#[derive(Debug)]
pub(crate) struct Attempts<'p> {
    // By tier, the first one first.
    left: SmallVec<[Choice<'p>; 4]>,
    // That of each.
    tiers: SmallVec<[u16; 8]>,
    ranks: Ranks<'p>,
    first_tier: Option<u16>,
    // Those that were picked and are not fit to be called.
    aside: Vec<Aside<'p>>,
}

/// What chooses within each tier.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ranks<'p> {
    /// The same in all of them.
    Same(&'p dyn Rank),
    /// By the tier's number.
    Each(&'p [Arc<dyn Rank>]),
}

/// A candidate that was picked and is not fit to be called.
#[derive(Clone, Copy, Debug)]
struct Aside<'p> {
    candidate: &'p Candidate,
    tier: u16,
    state: HealthState,
}

/// A candidate to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picked<'p> {
    pub(crate) candidate: &'p Candidate,
    /// Whether it stands in for those that would have been chosen.
    pub(crate) is_substitute: bool,
    /// Whether it is called although it is open.
    pub(crate) is_probe: bool,
}

/// The candidate that failed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) error: &'a Error,
}

impl<'p> Attempts<'p> {
    pub(crate) fn new(ranks: Ranks<'p>) -> Self {
        Self { left: SmallVec::new(), tiers: SmallVec::new(), ranks, first_tier: None, aside: Vec::new() }
    }

    /// Adds a candidate. Tiers come in their order.
    pub(crate) fn push(&mut self, tier: u16, choice: Choice<'p>) {
        self.first_tier.get_or_insert(tier);
        self.left.push(choice);
        self.tiers.push(tier);
    }

    /// The next one to call: of the first tier in which a healthy one is left, or of those that mend `after` best. Each
    /// is returned at most once. `health` is asked only about those that would be called.
    pub(crate) fn next(
        &mut self,
        asked: &Asked<'_>,
        after: Option<Failure<'_>>,
        health: impl Fn(&Target) -> HealthState,
    ) -> Option<Picked<'p>> {
        while !self.left.is_empty() {
            let at = match after {
                None => self.pick(asked),
                Some(failure) => self.pick_after(asked, failure),
            };
            let candidate = self.left.remove(at).candidate;
            let tier = self.tiers.remove(at);
            match health(candidate.target()) {
                // One whose time has come to be tried again would never be, if nobody called it.
                HealthState::Healthy | HealthState::Probing => {
                    return Some(Picked { candidate, is_substitute: Some(tier) != self.first_tier, is_probe: false });
                }
                state @ (HealthState::Cooling { .. } | HealthState::Open { .. }) => {
                    self.aside.push(Aside { candidate, tier, state })
                }
            }
        }
        None
    }

    /// How many would be called if `picked` failed, up to `most`. Other keys of the same model are not counted: a retry
    /// does as well as they do.
    pub(crate) fn untried(&self, picked: &Candidate, most: u32, health: impl Fn(&Target) -> HealthState) -> u32 {
        let fit = self.left.iter().filter(|choice| {
            let target = choice.candidate.target();
            !is_sibling(picked.target(), target) && health(target) == HealthState::Healthy
        });
        // No more than `most`, which fits.
        fit.take(most as usize).count() as u32
    }

    /// What a call to `target` might have gone to as well, of those that were added: the next key of its provider, else
    /// the first other provider of its model. Nothing that gets calls only when no other is left, and nothing beside what
    /// was not added itself.
    pub(crate) fn beside(&self, target: &Target) -> Option<&'p Target> {
        let of_model = self.left.iter().map(|choice| (choice.candidate.target(), choice.weight));
        let of_model: SmallVec<[_; 8]> = of_model.filter(|(other, _)| other.model() == target.model()).collect();
        let at = of_model.iter().position(|(other, _)| *other == target)?;
        let others = of_model[at + 1..].iter().chain(&of_model[..at]).filter(|(_, weight)| *weight > 0.0);
        let mut others = others.map(|(other, _)| *other);
        others.clone().find(|other| other.provider() == target.provider()).or_else(|| others.next())
    }

    /// Drops those that would fail as the one of `failure` has. `cost` tells what the call costs at a candidate, where
    /// that is known.
    pub(crate) fn narrow(&mut self, failure: Failure<'_>, mut cost: impl FnMut(&Candidate) -> Option<NanoUsd>) {
        let failed = failure.candidate;
        match failure.error.class().elsewhere {
            Elsewhere::LargerContext => {
                let window = |candidate: &Candidate| candidate.model().and_then(|model| model.context_window);
                let known = window(failed);
                self.retain(|other| known.is_some_and(|known| window(other).is_some_and(|window| window > known)));
            }
            Elsewhere::Cheaper => {
                let known = cost(failed);
                self.retain(|other| cost(other).is_some_and(|cost| known.is_none_or(|known| cost < known)));
            }
            Elsewhere::OtherKeyFirst => {
                let same_key = |other: &Target| {
                    other.provider() == failed.target().provider() && other.key() == failed.target().key()
                };
                self.retain(|other| !same_key(other.target()));
            }
            Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::Yes => {}
        }
    }

    /// Whether nothing is left that has not been called or set aside.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// When nobody is fit to be called: of those that are open, the one that reopens first. One that asked for a pause
    /// is never called before its time, nor one that is open until somebody closes it, and neither is one that is all
    /// there is: it has nothing in common with others by which it would be closed longer than it should.
    pub(crate) fn first_to_reopen(&self) -> Option<Picked<'p>> {
        if self.aside.len() < 2 {
            return None;
        }
        let open = self.aside.iter().filter_map(|aside| match aside.state {
            HealthState::Open { remaining } => Some((remaining, aside)),
            HealthState::Healthy | HealthState::Probing | HealthState::Cooling { .. } => None,
        });
        let open = open.filter(|(remaining, _)| *remaining < Duration::MAX);
        open.min_by_key(|(remaining, _)| *remaining).map(|(_, Aside { candidate, tier, .. })| Picked {
            candidate,
            is_substitute: Some(*tier) != self.first_tier,
            is_probe: true,
        })
    }

    /// Whether somebody was passed over for not being fit to be called.
    pub(crate) fn has_unfit(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The error of a call for which nobody is fit to be called: who that is, and when the first of them will be.
    pub(crate) fn nobody_is_fit(&self, name: &str) -> Error {
        // Which targets they are concerns only the operator.
        let message = match self.aside.len() {
            1 => format!("the only target of `{name}` that would do is open or cooling"),
            count => format!("all {count} targets of `{name}` that would do are open or cooling"),
        };
        let mut error = Error::new(ErrorKind::CircuitOpen, message);
        if let [only] = &*self.aside {
            error = error.with_target(only.candidate.target().clone());
        }
        let waits = self.aside.iter().filter_map(|aside| match aside.state {
            HealthState::Cooling { remaining } | HealthState::Open { remaining } => Some(remaining),
            HealthState::Healthy | HealthState::Probing => None,
        });
        // Nobody knows when somebody closes one, and a client that is told a time waits for it.
        match waits.filter(|wait| *wait < Duration::MAX).min() {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    fn pick(&self, asked: &Asked<'_>) -> usize {
        let tier = self.tiers[0];
        let alternatives = self.tiers.iter().take_while(|other| **other == tier).count();
        self.choose(asked, tier, &self.left[..alternatives])
    }

    fn pick_after(&self, asked: &Asked<'_>, failure: Failure<'_>) -> usize {
        let order = |at: usize| Precedence::of(failure, self.left[at].candidate, self.tiers[at]);
        let best = (0..self.left.len()).map(order).min().expect("something is left, or nothing would be picked");
        let alternatives: SmallVec<[usize; 8]> = (0..self.left.len()).filter(|at| order(*at) == best).collect();
        let choices: SmallVec<[Choice<'p>; 8]> = alternatives.iter().map(|at| self.left[*at]).collect();
        // What precedes equally is of one tier.
        alternatives[self.choose(asked, self.tiers[alternatives[0]], &choices)]
    }

    fn choose(&self, asked: &Asked<'_>, tier: u16, choices: &[Choice<'p>]) -> usize {
        if choices.len() == 1 {
            return 0;
        }
        let rank = match self.ranks {
            Ranks::Same(rank) => rank,
            Ranks::Each(ranks) => &*ranks[usize::from(tier)],
        };
        // A rank of somebody else's that is out of bounds is no reason to fail the call.
        rank.pick(asked, choices).min(choices.len() - 1)
    }

    fn retain(&mut self, mut keep: impl FnMut(&Candidate) -> bool) {
        let kept: SmallVec<[bool; 8]> = self.left.iter().map(|choice| keep(choice.candidate)).collect();
        let mut each = kept.iter();
        self.left.retain(|_| *each.next().expect("there is one for each"));
        let mut each = kept.iter();
        self.tiers.retain(|_| *each.next().expect("there is one for each"));
    }
}

/// Which candidate comes before which after a failure: the lower one, field by field.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Precedence(u16, u16, u16);

impl Precedence {
    fn of(failure: Failure<'_>, candidate: &Candidate, tier: u16) -> Self {
        let is_sibling = u16::from(is_sibling(failure.candidate.target(), candidate.target()));
        let is_other = 1 - is_sibling;
        let class = failure.error.class();
        match (class.elsewhere, class.breaker) {
            (Elsewhere::OtherKeyFirst, _) => Self(is_other, tier, 0),
            // A limit is one key's, most of the time.
            (_, Breaker::Cool) => Self(0, tier, is_other),
            // What is wrong with a provider is wrong with all of its keys.
            (_, Breaker::Failure | Breaker::OpenAtOnce) => Self(is_sibling, tier, 0),
            (_, Breaker::Ignore) if failure.error.kind() == ErrorKind::Untranslatable => Self(is_sibling, tier, 0),
            (_, Breaker::Ignore) => Self(0, tier, 0),
        }
    }
}

/// Whether both are the same model of the same provider, with different keys.
fn is_sibling(one: &Target, other: &Target) -> bool {
    one.provider() == other.provider() && one.model() == other.model()
}

/// Lets one through every five seconds: the calls that are made although everything is open.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Option<Instant>>);

impl Gate {
    /// Whether this one may pass.
    pub(crate) fn pass(&self, now: Instant) -> bool {
        // An instant is written whole or not at all, so a panic elsewhere does not spoil it.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may_pass = last.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN_PANIC_PROBES);
        if may_pass {
            *last = Some(now);
        }
        may_pass
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
