//! Ledgers that are broken: around the real one, they do one thing wrong.

use std::{num::NonZeroUsize, sync::Arc};

use llm_budget::{
    AccountRef, AccountStatus, CapRule, Change, Claim, Hold, Ledger, LedgerFuture, MemoryLedger, Refusal, Settlement,
};
use llm_core::{NanoUsd, NoticeListener};

/// Gives back what was reserved, and books nothing.
pub(crate) fn forgetful() -> Arc<dyn Ledger> {
    Broken::ledger(Wrong::Settles)
}

/// Keeps what was reserved of a call that was given up before it was settled.
pub(crate) fn greedy() -> Arc<dyn Ledger> {
    Broken::ledger(Wrong::Drops)
}

/// Says that there is more than there is.
pub(crate) fn generous() -> Arc<dyn Ledger> {
    Broken::ledger(Wrong::Shows)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Settles,
    Drops,
    Shows,
}

#[derive(Debug)]
struct Broken {
    wrong: Wrong,
    inner: MemoryLedger,
}

impl Broken {
    fn ledger(wrong: Wrong) -> Arc<dyn Ledger> {
        Arc::new(Self { wrong, inner: MemoryLedger::new(NonZeroUsize::new(100).unwrap()) })
    }
}

impl Ledger for Broken {
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>> {
        let wrong = self.wrong;
        match self.inner.reserve(claim).into_ready() {
            Ok(answer) => LedgerFuture::ready(
                answer.map(|hold| Box::new(BrokenHold { wrong, hold: Some(hold) }) as Box<dyn Hold>),
            ),
            Err(later) => later,
        }
    }

    fn for_each(&self, look: &mut dyn FnMut(AccountStatus)) {
        self.inner.for_each(&mut |mut status| {
            if self.wrong == Wrong::Shows {
                // What two calls have reserved at the same time is more than there was.
                status.balances.iter_mut().filter(|balance| balance.reserved > NanoUsd::ZERO).for_each(|balance| {
                    balance.reserved = balance.cap.saturating_add(balance.reserved);
                });
            }
            look(status);
        });
    }

    fn look(&self, key: &AccountRef<'_>) -> Option<AccountStatus> {
        self.inner.look(key)
    }

    fn change(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, change: Change) -> LedgerFuture<bool> {
        self.inner.change(rule, key, change)
    }

    fn notices(&self) -> NoticeListener {
        self.inner.notices()
    }
}

#[derive(Debug)]
struct BrokenHold {
    wrong: Wrong,
    hold: Option<Box<dyn Hold>>,
}

impl Hold for BrokenHold {
    fn amount(&self) -> NanoUsd {
        self.hold.as_ref().map_or(NanoUsd::ZERO, |hold| hold.amount())
    }

    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>> {
        self.hold.as_mut().unwrap().extend(more)
    }

    fn settle(&mut self, settlement: Settlement) {
        let Some(hold) = &mut self.hold else { return };
        match self.wrong {
            Wrong::Settles => self.hold = None,
            Wrong::Drops if settlement.estimated > NanoUsd::ZERO => std::mem::forget(self.hold.take()),
            Wrong::Drops | Wrong::Shows => hold.settle(settlement),
        }
    }
}
