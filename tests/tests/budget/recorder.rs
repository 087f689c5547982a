//! A ledger that writes down what is asked of it, and keeps books of its own beside those that it watches.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use llm_budget::{
    AccountRef, AccountStatus, CapRule, Change, Claim, ClaimId, Hold, Ledger, LedgerFuture, MemoryLedger, Refusal,
    Settlement,
};
use llm_core::{CallId, NanoUsd, NoticeListener};

/// A [`MemoryLedger`] of caps for all time, one a rule. Clones are the same ledger.
///
/// What is wrong is kept until [`at_rest`](Self::at_rest) asks for it, since a panic where a call is dropped would not be seen.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    inner: MemoryLedger,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    lines: Vec<Line>,
    accounts: BTreeMap<String, Account>,
    wrong: Vec<String>,
}

/// A call's line in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: ClaimId,
    /// All that was ever set aside for it.
    pub(crate) held: NanoUsd,
    /// What it came to; `None` while it is under way.
    pub(crate) settled: Option<Settlement>,
    accounts: Vec<String>,
}

/// What an account must be, by what was asked.
#[derive(Default)]
struct Account {
    cap: NanoUsd,
    spent: NanoUsd,
    estimated: NanoUsd,
    reserved: NanoUsd,
    /// What was settled above its reservation, all of it together. There is no debt but by that.
    excess: NanoUsd,
}

impl Line {
    pub(crate) fn cost(&self) -> Option<NanoUsd> {
        self.settled.map(|settled| settled.cost())
    }
}

impl Recorder {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics with the books in hand")
    }

    /// The lines of all calls, in the order in which money was set aside for them.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.books().lines.clone()
    }

    /// The lines of a call, by the number of the attempt.
    pub(crate) fn of(&self, call: CallId) -> Vec<Line> {
        let mut lines: Vec<_> = self.lines().into_iter().filter(|line| line.id.call == call).collect();
        lines.sort_by_key(|line| line.id.attempt);
        lines
    }

    /// How many calls are under way.
    pub(crate) fn open(&self) -> usize {
        self.books().lines.iter().filter(|line| line.settled.is_none()).count()
    }

    /// What was settled above its reservation, in the account that had the most of it.
    pub(crate) fn excess(&self) -> NanoUsd {
        self.books().accounts.values().map(|account| account.excess).max().unwrap_or_default()
    }

    /// Checks that nothing was wrong at any time and that nothing is reserved, and returns what all calls came to.
    pub(crate) fn at_rest(&self) -> NanoUsd {
        let books = self.books();
        assert!(books.wrong.is_empty(), "{:#?}", books.wrong);
        assert!(books.lines.iter().all(|line| line.settled.is_some()), "a call is under way: {:#?}", books.lines);
        self.inner.for_each(&mut |status| {
            assert_eq!(status.reserved(), NanoUsd::ZERO, "at rest something is reserved: {status:?}");
        });
        books.lines.iter().filter_map(Line::cost).sum()
    }
}

impl Books {
    fn change(&mut self, at: usize, change: impl Fn(&mut Account)) {
        for name in &self.lines[at].accounts {
            change(self.accounts.get_mut(name).expect("a line's accounts are there"));
        }
    }

    /// Holds all accounts to their caps, and to what they must be.
    fn check(&mut self, ledger: &MemoryLedger, after: &str) {
        ledger.for_each(&mut |status| {
            let Some(account) = self.accounts.get(&status.key.to_string()) else { return };
            let Account { cap, spent, estimated, reserved, excess } = account;
            let [balance] = &status.balances[..] else { panic!("the rules of these stories have one cap") };
            if spent.0 + reserved.0 > cap.0 + excess.0 {
                self.wrong
                    .push(format!("after {after} more is spent than may be: {status:?}, {excess} of it in excess"));
            }
            if (balance.spent, balance.estimated, balance.reserved) != (*spent, *estimated, *reserved) {
                self.wrong.push(format!(
                    "after {after} it should be {spent} spent, {estimated} by estimate, {reserved} reserved: {status:?}"
                ));
            }
        });
    }
}

impl Ledger for Recorder {
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>> {
        let mut books = self.books();
        let answer = self.inner.reserve(claim).into_ready().expect("memory answers at once");
        LedgerFuture::ready(answer.map(|inner| {
            let at = books.lines.len();
            let accounts = claim.accounts.iter().map(|claimed| {
                let name = claimed.key.to_key().to_string();
                let account = books.accounts.entry(name.clone()).or_default();
                account.cap = claimed.rule.caps()[0].amount;
                name
            });
            let accounts = accounts.collect();
            books.lines.push(Line { id: claim.id, held: claim.amount, settled: None, accounts });
            books.change(at, |account| account.reserved = account.reserved.saturating_add(claim.amount));
            books.check(&self.inner, "a claim");
            Box::new(Recorded { ledger: self.clone(), inner, at }) as Box<dyn Hold>
        }))
    }

    fn for_each(&self, look: &mut dyn FnMut(AccountStatus)) {
        self.inner.for_each(look);
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

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Recorded {
    ledger: Recorder,
    inner: Box<dyn Hold>,
    at: usize,
}

impl Hold for Recorded {
    fn amount(&self) -> NanoUsd {
        self.inner.amount()
    }

    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>> {
        let mut books = self.ledger.books();
        let answer = self.inner.extend(more).into_ready().expect("memory answers at once");
        if answer.is_ok() {
            let line = &mut books.lines[self.at];
            line.held = line.held.saturating_add(more);
            books.change(self.at, |account| account.reserved = account.reserved.saturating_add(more));
            books.check(&self.ledger.inner, "an extension");
        }
        LedgerFuture::ready(answer)
    }

    fn settle(&mut self, settlement: Settlement) {
        let mut books = self.ledger.books();
        self.inner.settle(settlement);
        let line = &mut books.lines[self.at];
        let held = line.held;
        if line.settled.replace(settlement).is_some() {
            let twice = format!("{:?} was settled twice", line.id);
            books.wrong.push(twice);
            return;
        }
        books.change(self.at, |account| {
            account.reserved = account.reserved.saturating_sub(held);
            account.spent = account.spent.saturating_add(settlement.cost());
            account.estimated = account.estimated.saturating_add(settlement.estimated);
            account.excess = account.excess.saturating_add(settlement.cost().saturating_sub(held));
        });
        books.check(&self.ledger.inner, "a settlement");
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        if books.lines[self.at].settled.is_none() {
            let lost = format!("{:?} was given back, and nobody said what it came to", books.lines[self.at].id);
            books.wrong.push(lost);
        }
    }
}
