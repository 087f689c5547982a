//! An account behind a lock of its own, and what is done to several of them at once.
//!
//! The lock is a parameter, so that the same code runs on a model checker's.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llm_core::NanoUsd;
use smallvec::SmallVec;

use crate::{
    AccountKey, AccountStatus, CapRule, Change, Reason, Refusal, Settlement,
    account::{Account, Alert, Held, Shortage},
    books::Books,
    window::Now,
};

/// Calls are rarely held to more rules than this; with more, some lists are allocated.
pub(crate) const USUAL: usize = 4;

/// What an account asks of a lock.
pub(crate) trait Lock {
    type Guard<'a>: DerefMut<Target = Kept>
    where
        Self: 'a;

    fn new(kept: Kept) -> Self;

    fn lock(&self) -> Self::Guard<'_>;
}

impl Lock for Mutex<Kept> {
    type Guard<'a> = MutexGuard<'a, Kept>;

    fn new(kept: Kept) -> Self {
        Self::new(kept)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // What is kept is whole between any two steps, and none of them panics.
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account that is shared by the calls that are held to it.
#[derive(Debug)]
pub(crate) struct Cell<L = Mutex<Kept>> {
    // The order in which the locks of several are taken.
    id: u64,
    pub(crate) key: Arc<AccountKey>,
    pub(crate) books: Arc<Books>,
    lock: L,
}

/// What is kept of an account.
#[derive(Debug)]
pub(crate) struct Kept {
    rule: Arc<CapRule>,
    account: Account,
    // How many claims are not settled: what becomes of them is booked here, also of those that reserve nothing.
    holds: u32,
    // Nothing was lost with it, and whoever still meets it looks for the one in its place.
    is_retired: bool,
}

/// That an account is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retired;

/// What is to be told of an account, once no lock is held.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) key: Arc<AccountKey>,
    pub(crate) news: News,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    Reached(Alert),
    Refused { left: NanoUsd },
}

impl Kept {
    fn adopt(&mut self, rule: &Arc<CapRule>) {
        if !Arc::ptr_eq(&self.rule, rule) {
            if self.rule != *rule {
                self.account.adopt(&self.rule, rule);
            }
            self.rule = Arc::clone(rule);
        }
    }
}

impl<L: Lock> Cell<L> {
    pub(crate) fn new(id: u64, key: Arc<AccountKey>, rule: Arc<CapRule>, books: Arc<Books>) -> Self {
        let account = Account::new(&rule);
        Self { id, key, books, lock: L::new(Kept { rule, account, holds: 0, is_retired: false }) }
    }

    /// Makes sure that it is not used any more, if nothing would be lost by that.
    pub(crate) fn retire(&self, now: Now) -> bool {
        let mut kept = self.lock.lock();
        let Kept { rule, account, holds, is_retired } = &mut *kept;
        *is_retired |= *holds == 0 && account.is_idle(rule, now);
        *is_retired
    }

    pub(crate) fn status(&self, now: Now) -> Option<AccountStatus> {
        let mut kept = self.lock.lock();
        let Kept { rule, account, is_retired, .. } = &mut *kept;
        (!*is_retired).then(|| AccountStatus {
            key: AccountKey::clone(&self.key),
            rule: Arc::clone(rule),
            balances: account.balances(rule, now),
            is_frozen: account.is_frozen(),
        })
    }

    pub(crate) fn change(&self, rule: &Arc<CapRule>, change: Change) -> Result<(), Retired> {
        let mut kept = self.lock.lock();
        if kept.is_retired {
            return Err(Retired);
        }
        kept.adopt(rule);
        let Kept { rule, account, .. } = &mut *kept;
        match change {
            Change::TopUp(amount) => account.top_up(amount),
            Change::Reset => account.reset(rule),
            Change::Freeze => account.freeze(true),
            Change::Unfreeze => account.freeze(false),
        }
        Ok(())
    }
}

/// Where an account belongs among others of its claim: these are in the order of their ids.
pub(crate) fn place<L>(cells: &[impl Deref<Target = Cell<L>>], cell: &Cell<L>) -> usize {
    cells.partition_point(|other| other.id < cell.id)
}

/// Sets what is asked for aside in all of the accounts or in none, in one step: nobody sees it in some of them only, and a
/// call that is refused has kept nobody else from anything. It is for a call that begins where `rules` are given, which the
/// accounts go by from now on, and else for one that has reserved something here before.
///
/// Locks are taken in the order of the accounts, which is that of their [places](place), so that no two calls wait for
/// each other.
pub(crate) fn reserve<L: Lock>(
    cells: &[impl Deref<Target = Cell<L>>],
    rules: Option<&[&Arc<CapRule>]>,
    asked: Held,
    now: Now,
) -> Result<Result<(), (Refusal, Option<Told>)>, Retired> {
    debug_assert!(cells.is_sorted_by_key(|cell| cell.id), "or two calls might wait for each other");
    let mut locked: SmallVec<[L::Guard<'_>; USUAL]> = SmallVec::new();
    for (at, cell) in cells.iter().enumerate() {
        let mut kept = cell.lock.lock();
        if kept.is_retired {
            return Err(Retired);
        }
        if let Some(rules) = rules {
            kept.adopt(rules[at]);
        }
        locked.push(kept);
    }
    let mut refused: Option<(usize, Shortage)> = None;
    let mut available = NanoUsd::MAX;
    for (at, kept) in locked.iter_mut().enumerate() {
        let Kept { rule, account, .. } = &mut **kept;
        let checked = match rules {
            Some(_) => account.check(asked.amount, rule, now),
            None => account.check_more(asked.amount, rule, now),
        };
        if let Err(shortage) = checked {
            available = available.min(shortage.left);
            // Of two refusals the longer one decides, and one without end is the longest.
            let is_longer = refused
                .is_none_or(|(_, other)| other.wait.is_some_and(|known| shortage.wait.is_none_or(|wait| wait > known)));
            if is_longer {
                refused = Some((at, shortage));
            }
        }
    }
    let Some((at, Shortage { left, wait, is_frozen })) = refused else {
        for kept in &mut locked {
            kept.account.take(asked);
            kept.holds += u32::from(rules.is_some());
        }
        return Ok(Ok(()));
    };
    let Kept { rule, account, .. } = &mut *locked[at];
    let reason = if is_frozen { Reason::Frozen } else { Reason::Spent };
    let refusal = Refusal { rule: Arc::clone(rule.name()), reason, left, available, wait };
    let told = account
        .tells_refusal(rule, now)
        .then(|| Told { key: Arc::clone(&cells[at].key), news: News::Refused { left } });
    Ok(Err((refusal, told)))
}

/// Gives back what is reserved in each of the accounts, and books what was spent. Returns what is to be told of it.
pub(crate) fn settle<L: Lock>(
    cells: &[impl Deref<Target = Cell<L>>],
    held: Held,
    settlement: &Settlement,
    now: Now,
) -> Vec<Told> {
    let mut told = Vec::new();
    for cell in cells {
        let mut kept = cell.lock.lock();
        let Kept { rule, account, holds, .. } = &mut *kept;
        *holds -= 1;
        account.settle(held, settlement, rule, now, |alert| {
            told.push(Told { key: Arc::clone(&cell.key), news: News::Reached(alert) });
        });
    }
    told
}

#[cfg(test)]
#[path = "loom_tests.rs"]
mod loom_tests;
