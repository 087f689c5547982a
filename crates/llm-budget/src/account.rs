//! One account: what is reserved, what is spent, and what may be: pure, without clocks and locks.
//!
//! `spent + reserved − debt ≤ cap`, for each of its caps, whatever happens in whatever order. A reservation is refused
//! where it would break that, and only a settlement above its reservation makes debt, which is what then stands above
//! the cap.

use std::time::Duration;

use llm_core::NanoUsd;
use smallvec::SmallVec;

use crate::{
    Cap, CapRule, Percent, Settlement,
    window::{Booked, Now, Spent},
};

/// What has been spent of each cap, and what is reserved of all of them.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    // One for each cap of the rule, in its order.
    spendings: SmallVec<[Spending; 1]>,
    // Reservations outlast the window that they were made in: what comes of them is spent when they are settled.
    reserved: NanoUsd,
    // What calls under way may well reserve besides, which is left to them by those that begin.
    expected: NanoUsd,
    is_frozen: bool,
    // Until when nobody need be told again that a call was refused.
    refusal_told: Now,
}

#[derive(Clone, Debug, Default)]
struct Spending {
    spent: Spent,
    added: NanoUsd,
    // Until when nobody need be told again, for each share of the cap. Empty while nobody was told.
    told: Vec<Now>,
}

/// What one call holds of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// What is set aside for it.
    pub(crate) amount: NanoUsd,
    /// What is left to it besides.
    pub(crate) expects: NanoUsd,
}

/// Why nothing more may be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// How much could be.
    pub(crate) left: NanoUsd,
    /// After how long there is enough if nobody else takes it; `None` where it is not known, or never.
    pub(crate) wait: Option<Duration>,
    pub(crate) is_frozen: bool,
}

/// That a share of a cap has been spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) share: Percent,
    pub(crate) spent: NanoUsd,
    pub(crate) cap: NanoUsd,
}

/// How an account stands to one of its caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What may be spent within the window, with what was added to it.
    pub cap: NanoUsd,
    /// What was spent within the window.
    pub spent: NanoUsd,
    /// How much of that is by estimate, for want of a provider's report. The rest is what stands in the providers' logs.
    pub estimated: NanoUsd,
    /// What calls under way may still spend.
    pub reserved: NanoUsd,
    /// What stands above the cap. Nothing is reserved until it is covered, unless the cap is soft.
    pub debt: NanoUsd,
    /// How long until all of what was spent has left the window, if nothing more is; `None` for all time.
    pub resets_in: Option<Duration>,
}

impl Balance {
    /// What can still be reserved of it.
    pub fn left(&self) -> NanoUsd {
        self.cap.saturating_sub(self.spent.saturating_add(self.reserved))
    }
}

impl Spending {
    fn allowed(&self, cap: &Cap) -> NanoUsd {
        cap.amount.saturating_add(self.added)
    }
}

impl Account {
    pub(crate) fn new(rule: &CapRule) -> Self {
        let spendings = rule.caps().iter().map(|_| Spending::default()).collect();
        Self { spendings, reserved: NanoUsd::ZERO, expected: NanoUsd::ZERO, is_frozen: false, refusal_told: Now::ZERO }
    }

    /// Goes by another rule from now on: what was spent counts where a window is the same.
    pub(crate) fn adopt(&mut self, old: &CapRule, new: &CapRule) {
        let of = |cap: &Cap| {
            let at = old.caps().iter().position(|known| known.window == cap.window);
            let Some(at) = at else { return Spending::default() };
            let mut spending = self.spendings[at].clone();
            if old.alerts() != new.alerts() || old.caps()[at].amount != cap.amount {
                spending.told.clear();
            }
            spending
        };
        self.spendings = new.caps().iter().map(of).collect();
    }

    /// How it stands to each of its caps, in their order.
    pub(crate) fn balances(&mut self, rule: &CapRule, now: Now) -> Vec<Balance> {
        let reserved = self.reserved;
        let balance = |(spending, cap): (&mut Spending, &Cap)| {
            let Booked { spent, estimated } = spending.spent.total(&cap.window, now);
            let allowed = spending.allowed(cap);
            let resets_in = spending.spent.until_within(NanoUsd::ZERO, &cap.window, now);
            let debt = spent.saturating_add(reserved).saturating_sub(allowed);
            Balance { cap: allowed, spent, estimated, reserved, debt, resets_in }
        };
        self.spendings.iter_mut().zip(rule.caps()).map(balance).collect()
    }

    /// Whether a call may begin with `amount`, or what is missing. In debt none may, not even with nothing.
    pub(crate) fn check(&mut self, amount: NanoUsd, rule: &CapRule, now: Now) -> Result<(), Shortage> {
        self.check_beside(self.expected, amount, rule, now)
    }

    /// Whether a call under way may have `amount` more, or what is missing.
    pub(crate) fn check_more(&mut self, amount: NanoUsd, rule: &CapRule, now: Now) -> Result<(), Shortage> {
        self.check_beside(NanoUsd::ZERO, amount, rule, now)
    }

    fn check_beside(&mut self, kept: NanoUsd, amount: NanoUsd, rule: &CapRule, now: Now) -> Result<(), Shortage> {
        if self.is_frozen {
            return Err(Shortage { left: NanoUsd::ZERO, wait: None, is_frozen: true });
        }
        if !rule.is_hard() {
            return Ok(());
        }
        let held = self.reserved.saturating_add(kept);
        let wanted = held.saturating_add(amount);
        let mut missing: Option<Shortage> = None;
        for (spending, cap) in self.spendings.iter_mut().zip(rule.caps()) {
            let spent = spending.spent.total(&cap.window, now).spent;
            let allowed = spending.allowed(cap);
            if spent.saturating_add(wanted) <= allowed {
                continue;
            }
            // Room comes back as spending leaves the window. When reservations do is not known.
            let room = (wanted <= allowed).then(|| allowed.saturating_sub(wanted));
            let wait = room.and_then(|room| spending.spent.until_within(room, &cap.window, now));
            let left = allowed.saturating_sub(spent.saturating_add(held));
            let here = Shortage { left, wait, is_frozen: false };
            missing = Some(missing.map_or(here, |other| other.and(here)));
        }
        missing.map_or(Ok(()), Err)
    }

    /// Sets aside what has just been allowed, and leaves to the call what it expects besides.
    pub(crate) fn take(&mut self, held: Held) {
        self.reserved = self.reserved.saturating_add(held.amount);
        self.expected = self.expected.saturating_add(held.expects);
    }

    /// Gives back what was set aside, and books what it came to. What is to be told of it goes to `tell`.
    pub(crate) fn settle(
        &mut self,
        held: Held,
        settlement: &Settlement,
        rule: &CapRule,
        now: Now,
        mut tell: impl FnMut(Alert),
    ) {
        self.reserved = self.reserved.saturating_sub(held.amount);
        self.expected = self.expected.saturating_sub(held.expects);
        let booked = Booked::of(settlement);
        if booked.spent == NanoUsd::ZERO {
            return;
        }
        for (spending, cap) in self.spendings.iter_mut().zip(rule.caps()) {
            let (spent, allowed) = (spending.spent.add(booked, &cap.window, now).spent, spending.allowed(cap));
            let reached = rule.alerts().iter().take_while(|share| share.is_reached(spent, allowed));
            for (at, share) in reached.enumerate() {
                if spending.told.get(at).is_some_and(|until| now < *until) {
                    continue;
                }
                let until = spending.spent.until_next(&cap.window, now);
                spending.told.resize(rule.alerts().len(), Now::ZERO);
                spending.told[at] = until;
                tell(Alert { share: *share, spent, cap: allowed });
            }
        }
    }

    /// Whether somebody should be told of a refusal: once in the shortest of its windows.
    pub(crate) fn tells_refusal(&mut self, rule: &CapRule, now: Now) -> bool {
        if now < self.refusal_told {
            return false;
        }
        let ends = self.spendings.iter_mut().zip(rule.caps());
        let ends = ends.map(|(spending, cap)| spending.spent.until_next(&cap.window, now));
        self.refusal_told = ends.min().unwrap_or(Now::MAX);
        true
    }

    /// Raises each of its caps until it is reset.
    pub(crate) fn top_up(&mut self, amount: NanoUsd) {
        self.refusal_told = Now::ZERO;
        for spending in &mut self.spendings {
            spending.added = spending.added.saturating_add(amount);
            spending.told.clear();
        }
    }

    /// Forgets what was spent, and what was added, but for what calls under way have reserved of it.
    pub(crate) fn reset(&mut self, rule: &CapRule) {
        self.refusal_told = Now::ZERO;
        for (spending, cap) in self.spendings.iter_mut().zip(rule.caps()) {
            let held = self.reserved.saturating_sub(cap.amount);
            *spending = Spending { added: spending.added.min(held), ..Spending::default() };
        }
    }

    pub(crate) fn freeze(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Whether nothing would be lost by forgetting it.
    pub(crate) fn is_idle(&mut self, rule: &CapRule, now: Now) -> bool {
        if self.is_frozen || self.reserved != NanoUsd::ZERO {
            return false;
        }
        self.spendings
            .iter_mut()
            .zip(rule.caps())
            .all(|(spending, cap)| spending.added == NanoUsd::ZERO && spending.spent.is_nothing(&cap.window, now))
    }
}

impl Shortage {
    /// What is missing where both are.
    fn and(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            wait: self.wait.zip(other.wait).map(|(one, other)| one.max(other)),
            is_frozen: self.is_frozen || other.is_frozen,
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
