//! What keeps accounts: the door for ledgers that survive a restart, or that several machines share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use llm_core::{CallId, NanoUsd, NoticeListener, TargetRef};

use crate::{AccountKey, AccountRef, Balance, CapRule, Settlement};

/// Keeps accounts: sets money aside before a call, and books what it came to.
///
/// In every account at every instant `spent + reserved − debt ≤ cap`. [`MemoryLedger`](crate::MemoryLedger) is the one
/// that forgets with its process; [`suite`](crate::suite) holds any other to the same.
///
/// A ledger that has to ask somebody answers with a future that is not ready yet. One that cannot be reached refuses
/// ([`Reason::Unreachable`]): no call is made that nobody pays for. What was reserved by a process that is gone is to be
/// charged, not released, since the provider may have been called.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Sets the claim's amount aside in all of its accounts, or in none.
    ///
    /// Nothing stays reserved when the future is dropped before it is ready. An account with room for nothing is
    /// refused also when nothing is claimed.
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>>;

    /// Shows accounts as they are known here, without asking anybody, in no particular order. No lock is held meanwhile
    /// that a call might wait for.
    fn for_each(&self, look: &mut dyn FnMut(AccountStatus));

    /// How one account is, as far as it is known here; `None` if nothing is known of it.
    fn look(&self, key: &AccountRef<'_>) -> Option<AccountStatus>;

    /// Changes an account by hand, which begins if it was not there. False, and nothing done, where that is not
    /// possible: there is no room, or the ledger cannot be reached.
    fn change(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, change: Change) -> LedgerFuture<bool>;

    /// Listens to what happens to accounts from now on.
    fn notices(&self) -> NoticeListener;
}

/// Money that is set aside for a call under way.
///
/// Dropping one that has not been settled gives everything back. It must not block, nor panic: it runs where calls are
/// dropped.
pub trait Hold: fmt::Debug + Send + 'static {
    /// How much is set aside.
    fn amount(&self) -> NanoUsd;

    /// Sets aside more, in all of its accounts or in none. Once settled it has nothing to extend, and is refused.
    ///
    /// A future that is dropped, or that is not ready when the hold is settled, leaves nothing reserved.
    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>>;

    /// Gives back what was set aside, and books what the call came to, in full: what is above the amount and finds no
    /// room below a cap is debt.
    ///
    /// The first time counts; further ones do nothing. A ledger that sends it on does so until it has arrived, and
    /// whoever books it there knows by the claim's [id](ClaimId) what it has booked already.
    fn settle(&mut self, settlement: Settlement);
}

/// What a call asks a ledger for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// What tells it from all others.
    pub id: ClaimId,
    /// Whose money it is: one account of each rule at most.
    pub accounts: &'a [Claimed<'a>],
    /// How much.
    pub amount: NanoUsd,
    /// How much more the call may well [extend](Hold::extend) it by. Other claims leave as much to it for as long as it is
    /// not settled, so that calls which begin do not take what calls under way need; extensions may have it.
    pub expects: NanoUsd,
    /// Where the call goes, for those who write it down; without a provider where no target is chosen yet.
    pub target: TargetRef<'a>,
}

/// An account that a call is held to.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    /// Its caps. An account that is there already goes by these from now on.
    pub rule: &'a Arc<CapRule>,
    /// Which of the rule's accounts.
    pub key: AccountRef<'a>,
}

/// Which claim this is. Ledgers that hear of a claim twice book it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimId {
    /// The call.
    pub call: CallId,
    /// Its attempt.
    pub attempt: u32,
    /// A random number. Somebody else's layer may call twice without a word about attempts, and both calls cost.
    pub nonce: u64,
}

impl ClaimId {
    /// The claim of an attempt of a call.
    pub fn new(call: CallId, attempt: u32) -> Self {
        Self { call, attempt, nonce: fastrand::u64(..) }
    }
}

/// Why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the rule whose account refuses; of several, the one that does so for the longest.
    pub rule: Arc<str>,
    /// Why it does.
    pub reason: Reason,
    /// How much is left of it; for a claim, of what others do not expect.
    pub left: NanoUsd,
    /// How much could be claimed, of all accounts together.
    pub available: NanoUsd,
    /// After how long there is enough, if nothing else is spent and no call under way costs less than reserved; `None`
    /// where that is not known, or never.
    pub wait: Option<Duration>,
}

/// Why an account refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not enough is left.
    Spent,
    /// An operator has frozen it.
    Frozen,
    /// It would be one account too many.
    NoRoom,
    /// The ledger cannot be reached.
    Unreachable,
    /// The call is over.
    Settled,
}

/// What operators do to accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Raises each of its caps, until it is reset.
    TopUp(NanoUsd),
    /// Forgets what was spent and what was added; calls under way keep what they have reserved.
    Reset,
    /// Refuses everything.
    Freeze,
    /// Goes on as before.
    Unfreeze,
}

/// How an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatus {
    /// Which one.
    pub key: AccountKey,
    /// Its caps, and what else its rule says.
    pub rule: Arc<CapRule>,
    /// How it stands to each of its caps, in the rule's order.
    pub balances: Vec<Balance>,
    /// Whether an operator has frozen it.
    pub is_frozen: bool,
}

impl AccountStatus {
    /// What can still be reserved: the least that any of its caps leaves. `None` if it refuses nothing.
    pub fn left(&self) -> Option<NanoUsd> {
        if self.is_frozen {
            return Some(NanoUsd::ZERO);
        }
        self.balances.iter().map(Balance::left).min().filter(|_| self.rule.is_hard())
    }

    /// What calls under way may still spend.
    pub fn reserved(&self) -> NanoUsd {
        self.balances.first().map_or(NanoUsd::ZERO, |balance| balance.reserved)
    }
}

/// What a ledger answers, at once or later.
#[must_use = "futures do nothing unless polled"]
pub struct LedgerFuture<T>(State<T>);

enum State<T> {
    Ready(Option<T>),
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> LedgerFuture<T> {
    /// An answer that is there already.
    pub fn ready(answer: T) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// An answer that has to be waited for.
    pub fn pending(answer: impl Future<Output = T> + Send + 'static) -> Self {
        Self(State::Pending(Box::pin(answer)))
    }

    /// The answer if it is there already, or the future back.
    ///
    /// # Errors
    /// The future itself, if it has to be waited for.
    pub fn into_ready(self) -> Result<T, Self> {
        match self.0 {
            State::Ready(Some(answer)) => Ok(answer),
            other => Err(Self(other)),
        }
    }
}

impl<T: Unpin> Future for LedgerFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(answer) => Poll::Ready(answer.take().expect("nobody polls a future that is over")),
            State::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for LedgerFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "LedgerFuture(ready)",
            State::Pending(_) => "LedgerFuture(pending)",
        })
    }
}
