//! The ledger of one process, which forgets with it.

use std::{
    cell::OnceCell,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use llm_core::{Keyed, NanoUsd, NoticeListener};
use smallvec::SmallVec;

use crate::{
    AccountKey, AccountRef, AccountStatus, CapRule, Change, Claim, Claimed, Hold, Ledger, LedgerFuture, Reason,
    Refusal, Settlement,
    account::Held,
    books::Books,
    cell::{self, Cell, Retired, USUAL},
    window::Now,
};

/// Accounts in memory: each has a small lock of its own, so callers wait for each other only where they share one.
///
/// At most so many accounts are kept, and as many again of single workflows and jobs, since callers may make up the names of
/// those: with a thousand of them they crowd out each other, and nobody else. At the bound those make room of which nothing
/// would be lost: nothing was spent within the window, nothing is reserved, nothing was added and they are not frozen; what
/// was spent is never forgotten. If there is no room even so, a further workflow or job shares the account of its tenant's
/// calls without such a name, and calls that need any other new account are refused. A soft rule's account that finds no room
/// is left out. An account takes up about 450 bytes with names of usual length, and up to 1.5 KB more where its window is a
/// rolling one.
///
/// Clones are the same ledger.
#[derive(Clone)]
pub struct MemoryLedger {
    shared: Arc<Shared>,
}

struct Shared {
    accounts: Accounts,
    // Those of workflows and jobs.
    made_up: Accounts,
    ids: AtomicU64,
    books: Arc<Books>,
    // The minute of the last notice that there is no room.
    told: AtomicU64,
}

type Accounts = Keyed<Arc<AccountKey>, Slot>;

/// The place of an account, or where there is none.
enum Slot {
    Account(Arc<Cell>),
    NoRoom,
}

type Cells = SmallVec<[Arc<Cell>; USUAL]>;

impl MemoryLedger {
    /// More accounts than a large gateway has tenants, users and jobs of one month.
    pub const MOST_ACCOUNTS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not zero");

    /// A ledger without accounts, that will keep at most so many. [`MOST_ACCOUNTS`](Self::MOST_ACCOUNTS) are usual.
    pub fn new(most_accounts: NonZeroUsize) -> Self {
        Self {
            shared: Arc::new(Shared {
                accounts: Keyed::new(most_accounts, Slot::NoRoom),
                made_up: Keyed::new(most_accounts, Slot::NoRoom),
                ids: AtomicU64::new(0),
                books: Arc::default(),
                told: AtomicU64::new(0),
            }),
        }
    }

    /// At most so many accounts from now on.
    pub(crate) fn set_most_accounts(&self, most: NonZeroUsize) {
        self.shared.both().for_each(|accounts| accounts.set_bound(most));
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.shared.both().map(Keyed::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new(Self::MOST_ACCOUNTS)
    }
}

impl Shared {
    fn both(&self) -> impl Iterator<Item = &Accounts> {
        [&self.accounts, &self.made_up].into_iter()
    }

    /// Where an account of this name is, if it is anywhere.
    fn place(&self, key: &AccountRef<'_>) -> &Accounts {
        if is_made_up(key) { &self.made_up } else { &self.accounts }
    }

    /// The account, which begins if it was not there; `None` if there is no room for it.
    fn account(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, now: Now) -> Option<Arc<Cell>> {
        let made = OnceCell::new();
        let own = || Arc::clone(made.get_or_init(|| Arc::new(key.to_key())));
        self.place(key).get_or_insert(
            key,
            own,
            || {
                let (id, books) = (self.ids.fetch_add(1, Relaxed), Arc::clone(&self.books));
                Slot::Account(Arc::new(Cell::new(id, own(), Arc::clone(rule), books)))
            },
            // One that somebody has at hand is about to be used, by the same claim perhaps: two accounts of one claim must
            // not make room for each other by turns.
            |slot| matches!(slot, Slot::Account(cell) if Arc::strong_count(cell) == 1 && cell.retire(now)),
            |slot| match slot {
                // It may be retired before it is used, and then it is asked for again.
                Slot::Account(cell) => Some(Some(Arc::clone(cell))),
                Slot::NoRoom => Some(None),
            },
        )
    }

    /// The accounts of a claim that there are or can be, in the order in which they are locked.
    fn accounts<'c>(&self, claimed: &'c [Claimed<'_>], now: Now) -> Result<(Cells, Rules<'c>), Refusal> {
        let (mut cells, mut rules) = (Cells::new(), Rules::new());
        for Claimed { rule, key } in claimed {
            let account = self.account(rule, key, now).or_else(|| {
                self.crowd(rule, now);
                let shared = AccountRef { workflow: None, job: None, ..*key };
                if is_made_up(key) { self.account(rule, &shared, now) } else { None }
            });
            match account {
                Some(cell) => {
                    let place = cell::place(&cells, &cell);
                    cells.insert(place, cell);
                    rules.insert(place, *rule);
                }
                None if rule.is_hard() => return Err(refused(rule.name(), Reason::NoRoom)),
                None => {}
            }
        }
        Ok((cells, rules))
    }

    /// Tells of an account that there is no room for, once a minute.
    fn crowd(&self, rule: &CapRule, now: Now) {
        let minute = now.as_secs() / 60;
        if self.told.load(Relaxed) != minute && self.told.swap(minute, Relaxed) != minute {
            let accounts = self.both().map(Keyed::len).sum();
            self.books.tell_crowd(rule.name(), accounts);
        }
    }
}

fn is_made_up(key: &AccountRef<'_>) -> bool {
    key.workflow.is_some() || key.job.is_some()
}

type Rules<'c> = SmallVec<[&'c Arc<CapRule>; USUAL]>;

fn refused(rule: &Arc<str>, reason: Reason) -> Refusal {
    let (left, available) = (NanoUsd::ZERO, NanoUsd::ZERO);
    Refusal { rule: Arc::clone(rule), reason, left, available, wait: None }
}

impl Ledger for MemoryLedger {
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>> {
        let now = self.shared.books.now();
        let held = Held { amount: claim.amount, expects: claim.expects };
        let answer = loop {
            let (cells, rules) = match self.shared.accounts(claim.accounts, now) {
                Ok(found) => found,
                Err(refusal) => break Err(refusal),
            };
            let reserved = cell::reserve(&cells, Some(&rules), held, now);
            match reserved {
                // One of them was forgotten in between, and is made anew.
                Err(Retired) => {}
                Ok(Ok(())) => {
                    let hold = MemoryHold { cells, held, is_settled: false };
                    break Ok(Box::new(hold) as Box<dyn Hold>);
                }
                Ok(Err((refusal, told))) => {
                    self.shared.books.tell(told);
                    break Err(refusal);
                }
            }
        };
        LedgerFuture::ready(answer)
    }

    fn for_each(&self, look: &mut dyn FnMut(AccountStatus)) {
        let now = self.shared.books.now();
        let mut show = |slot: &Slot| {
            if let Slot::Account(cell) = slot
                && let Some(status) = cell.status(now)
            {
                look(status);
            }
        };
        self.shared.both().for_each(|accounts| accounts.for_each(|_, slot| show(slot)));
    }

    fn look(&self, key: &AccountRef<'_>) -> Option<AccountStatus> {
        let now = self.shared.books.now();
        let status = |slot: &Slot| match slot {
            Slot::Account(cell) => cell.status(now),
            Slot::NoRoom => None,
        };
        self.shared.place(key).get(key, status).flatten()
    }

    fn change(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, change: Change) -> LedgerFuture<bool> {
        let now = self.shared.books.now();
        let is_done = loop {
            match self.shared.account(rule, key, now).map(|cell| cell.change(rule, change)) {
                Some(Err(Retired)) => {}
                Some(Ok(())) => break true,
                None => break false,
            }
        };
        if is_done {
            self.shared.books.tell_change(&key.to_key(), change);
        }
        LedgerFuture::ready(is_done)
    }

    fn notices(&self) -> NoticeListener {
        self.shared.books.listen()
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").field("accounts", &self.len()).finish()
    }
}

/// What a call has reserved, and where: it looks nothing up any more.
struct MemoryHold {
    cells: Cells,
    held: Held,
    is_settled: bool,
}

impl MemoryHold {
    fn books(&self) -> Option<&Books> {
        self.cells.first().map(|cell| &*cell.books)
    }
}

impl Hold for MemoryHold {
    fn amount(&self) -> NanoUsd {
        self.held.amount
    }

    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>> {
        if self.is_settled {
            let rule = self.cells.first().map_or_else(|| "".into(), |cell| Arc::clone(&cell.key.rule));
            return LedgerFuture::ready(Err(refused(&rule, Reason::Settled)));
        }
        // Where no account had room, nobody refuses.
        let answer = self.books().map_or(Ok(()), |books| {
            let answer = cell::reserve(&self.cells, None, Held { amount: more, ..Held::default() }, books.now());
            answer.expect("an account in which something is reserved is never forgotten").map_err(|(refusal, told)| {
                books.tell(told);
                refusal
            })
        });
        if answer.is_ok() {
            self.held.amount = self.held.amount.saturating_add(more);
        }
        LedgerFuture::ready(answer)
    }

    fn settle(&mut self, settlement: Settlement) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        if let Some(books) = self.books() {
            books.tell(cell::settle(&self.cells, self.held, &settlement, books.now()));
        }
    }
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        self.settle(Settlement::default());
    }
}

impl fmt::Debug for MemoryHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHold").field("amount", &self.held.amount).field("settled", &self.is_settled).finish()
    }
}
