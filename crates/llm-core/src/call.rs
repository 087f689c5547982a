//! What all attempts of one call share: its id, its allowance and its record.

use std::{
    fmt, ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use smallvec::SmallVec;

use crate::{
    Attempt, Error, ErrorKind, NanoUsd, Payload, Target, TokenEstimate, TokenFamily, Usage, estimate::Counted,
    estimate_prompt,
};

/// How many calls may follow the first one, unless the owner of the call says otherwise: the official SDKs retry
/// twice too.
pub(crate) const DEFAULT_ALLOWANCE: u32 = 2;

/// The most fields that are noted as left out. The two known dialects differ by about thirty.
const MAX_LEFT_OUT: usize = 64;

/// The identity of a logical call, the same for all its attempts. Displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(pub u128);

impl CallId {
    /// An id that no other call has, for all practical purposes.
    pub fn random() -> Self {
        Self(fastrand::u128(..))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an attempt is made, and so what it may take from the call's allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// It is the first.
    First,
    /// The same target again. Leaves one call for each candidate that a router has not tried yet.
    Retry,
    /// A second attempt beside one that is late. Leaves as much as a retry does.
    Hedge,
    /// Another target. Takes any call that is left.
    Failover,
    /// The answer of last resort. Has one call of its own, whatever the allowance.
    Fallback,
}

/// What all attempts of one call share. One allocation, made with the request.
pub(crate) struct Call {
    id: CallId,
    left: AtomicU32,
    untried: AtomicU32,
    fallback_taken: AtomicBool,
    attempts_begun: AtomicU32,
    record: Mutex<Record>,
    // Of the payload that was counted first, which is that of all attempts unless somebody has changed it.
    counted: OnceLock<(Weak<Payload>, Counted)>,
}

#[derive(Default)]
struct Record {
    attempts: SmallVec<[AttemptRecord; 3]>,
    left_out: Vec<Box<str>>,
}

impl Call {
    pub(crate) fn new(id: CallId) -> Self {
        Self {
            id,
            left: AtomicU32::new(DEFAULT_ALLOWANCE),
            untried: AtomicU32::new(0),
            fallback_taken: AtomicBool::new(false),
            attempts_begun: AtomicU32::new(1),
            record: Mutex::default(),
            counted: OnceLock::new(),
        }
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    /// Estimates the tokens of a payload, whose texts are counted but once.
    pub(crate) fn estimate_prompt(&self, payload: &Arc<Payload>, family: TokenFamily) -> TokenEstimate {
        let (known, counted) = self.counted.get_or_init(|| (Arc::downgrade(payload), Counted::of(payload)));
        if ptr::eq(known.as_ptr(), &**payload) { counted.estimate(family) } else { estimate_prompt(payload, family) }
    }

    pub(crate) fn calls_left(&self) -> u32 {
        self.left.load(Relaxed)
    }

    pub(crate) fn set_allowance(&self, calls: u32) {
        self.left.store(calls, Relaxed);
    }

    pub(crate) fn lower_allowance_to(&self, calls: u32) {
        self.left.fetch_min(calls, Relaxed);
    }

    pub(crate) fn set_untried_candidates(&self, candidates: u32) {
        self.untried.store(candidates, Relaxed);
    }

    pub(crate) fn untried_candidates(&self) -> u32 {
        self.untried.load(Relaxed)
    }

    pub(crate) fn next_attempt(&self) -> u32 {
        self.attempts_begun.fetch_add(1, Relaxed)
    }

    pub(crate) fn may_call_again(&self, reason: Again, failure: Option<&Error>) -> bool {
        let keep = match reason {
            Again::First => return true,
            Again::Fallback => return !self.fallback_taken.swap(true, Relaxed),
            Again::Failover if failure.is_some_and(reached_no_provider) => return true,
            Again::Failover => 0,
            Again::Retry | Again::Hedge => self.untried_candidates(),
        };
        self.left.fetch_update(Relaxed, Relaxed, |left| (left > keep).then(|| left - 1)).is_ok()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // The record is plain data that every writer leaves whole, so a panic elsewhere does not spoil it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a layer of ours refused the attempt, so that the next one is still the first call to a provider. A failed
/// connect is a call: it took its time.
fn reached_no_provider(error: &Error) -> bool {
    error.class().is_own
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("id", &self.id).field("left", &self.calls_left()).finish_non_exhaustive()
    }
}

/// The record of a call's attempts, shared by all of them. Cloning copies a pointer.
#[derive(Clone)]
pub struct Trail(Arc<Call>);

impl Trail {
    pub(crate) fn of(call: Arc<Call>) -> Self {
        Self(call)
    }

    /// Writes into the record of attempt `number`, which is begun if it is not there yet. The trail is locked
    /// meanwhile: `write` must not use it.
    pub fn update(&self, number: u32, write: impl FnOnce(&mut AttemptRecord)) {
        let mut record = self.0.record();
        let at = match record.attempts.iter().position(|attempt| attempt.number == number) {
            Some(at) => at,
            None => {
                record.attempts.push(AttemptRecord::new(number));
                record.attempts.len() - 1
            }
        };
        write(&mut record.attempts[at]);
    }

    /// Notes that an attempt is made, why, and where it goes, if that is known and not noted yet. For edges, and for
    /// whoever sees an attempt fail before it has reached one.
    pub fn begin(&self, attempt: Attempt, target: Option<&Target>) {
        self.update(attempt.number, |record| {
            record.reason = attempt.reason;
            record.waited = attempt.waited;
            if record.target.is_none() {
                record.target = target.cloned();
            }
        });
    }

    /// Notes that an attempt failed, unless an edge that saw its end has noted that already: it knows it better. For
    /// whoever may call again.
    pub fn fail(&self, attempt: Attempt, target: Option<&Target>, error: &Error) {
        self.begin(attempt, error.target().or(target));
        self.update(attempt.number, |record| match record.end {
            // Somebody in between gave it up, for the reason that is told here.
            None | Some(AttemptEnd::Abandoned) => record.end = Some(AttemptEnd::Failed(error.kind())),
            Some(AttemptEnd::Complete | AttemptEnd::Failed(_)) => {}
        });
    }

    /// The attempts so far, in the order in which they were begun.
    pub fn attempts(&self) -> Vec<AttemptRecord> {
        let mut attempts = self.0.record().attempts.to_vec();
        attempts.sort_by_key(|attempt| attempt.number);
        attempts
    }

    /// Notes that a field of the request was advisory and not sent, because the target's dialect has no place for it.
    /// Of fields with names of the caller's own making no more than the first 64 are noted.
    pub fn note_left_out(&self, field: impl Into<Box<str>>) {
        let field = field.into();
        let mut record = self.0.record();
        if record.left_out.len() < MAX_LEFT_OUT && !record.left_out.contains(&field) {
            record.left_out.push(field);
        }
    }

    /// The fields that were not sent.
    pub fn left_out(&self) -> Vec<Box<str>> {
        self.0.record().left_out.clone()
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.attempts()).finish()
    }
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Which attempt of the call, from 0.
    pub number: u32,
    /// Why it was made.
    pub reason: Again,
    /// How long was waited before it.
    pub waited: Duration,
    /// Where it went, once that was decided.
    pub target: Option<Target>,
    /// How it ended, once it has.
    pub end: Option<AttemptEnd>,
    /// The tokens it used, once it has ended.
    pub usage: Option<Usage>,
    /// What it cost, where the price is known.
    pub cost: Option<NanoUsd>,
    /// What whoever may call again made of its failure, such as `retried` or `not_retryable`. The words are that
    /// layer's, documented there and stable; absent while nobody had to decide.
    pub verdict: Option<&'static str>,
}

impl AttemptRecord {
    /// Whether it was a call to a provider, as far as is known: no layer of ours has refused it.
    pub fn was_made(&self) -> bool {
        // Of a provider these are other kinds: a model it does not know, and a key of ours that it does not take.
        let is_said_by_us = |kind| {
            matches!(
                kind,
                ErrorKind::UnknownModel | ErrorKind::Unauthenticated | ErrorKind::Forbidden | ErrorKind::LimitExceeded
            )
        };
        !matches!(self.end, Some(AttemptEnd::Failed(kind)) if kind.class().is_own || is_said_by_us(kind))
    }

    fn new(number: u32) -> Self {
        Self {
            number,
            reason: Again::First,
            waited: Duration::ZERO,
            target: None,
            end: None,
            usage: None,
            cost: None,
            verdict: None,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptEnd {
    /// Its stream was complete.
    Complete,
    /// It failed.
    Failed(ErrorKind),
    /// Nobody wanted the rest.
    Abandoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_allowance_is_three_calls_in_all() {
        let call = Call::new(CallId(1));
        assert!(call.may_call_again(Again::Retry, None));
        assert!(call.may_call_again(Again::Failover, None));
        assert!(!call.may_call_again(Again::Retry, None));
        assert!(!call.may_call_again(Again::Failover, None));
    }

    #[test]
    fn going_elsewhere_after_a_refusal_of_our_own_takes_nothing_but_a_failed_connect_does() {
        let call = Call::new(CallId(1));
        for kind in [ErrorKind::CircuitOpen, ErrorKind::BudgetExceeded, ErrorKind::NoRoute, ErrorKind::Untranslatable] {
            assert!(call.may_call_again(Again::Failover, Some(&Error::new(kind, "refused"))));
        }
        assert_eq!(call.calls_left(), 2);
        assert!(call.may_call_again(Again::Failover, Some(&Error::new(ErrorKind::Connect, "refused"))));
        assert_eq!(call.calls_left(), 1);
    }

    #[test]
    fn a_retry_is_never_free() {
        let call = Call::new(CallId(1));
        let open = Error::new(ErrorKind::CircuitOpen, "open");
        let granted = (0..10).filter(|_| call.may_call_again(Again::Retry, Some(&open))).count();
        assert_eq!(granted, 2);
    }

    #[test]
    fn retry_and_hedge_leave_a_call_for_each_untried_candidate() {
        let call = Call::new(CallId(1));
        call.set_untried_candidates(1);
        assert!(call.may_call_again(Again::Hedge, None));
        assert!(!call.may_call_again(Again::Retry, None));
        assert!(call.may_call_again(Again::Failover, None));
    }

    #[test]
    fn a_fallback_has_exactly_one_call_of_its_own() {
        let call = Call::new(CallId(1));
        call.lower_allowance_to(0);
        assert!(call.may_call_again(Again::Fallback, None));
        assert!(!call.may_call_again(Again::Fallback, None));
    }

    #[test]
    fn lowering_never_raises() {
        let call = Call::new(CallId(1));
        call.lower_allowance_to(1);
        call.lower_allowance_to(5);
        assert_eq!(call.calls_left(), 1);
    }

    #[test]
    fn fields_that_were_left_out_are_noted_once_and_within_bounds() {
        let trail = Trail::of(Arc::new(Call::new(CallId(1))));
        for round in 0..2 {
            (0..100).for_each(|number| trail.note_left_out(format!("x_{number}")));
            assert_eq!(trail.left_out().len(), MAX_LEFT_OUT, "{round}");
        }
    }

    #[test]
    fn what_a_layer_of_ours_refused_was_no_call() {
        let ended = |end| AttemptRecord { end, ..AttemptRecord::new(0) };
        for kind in [ErrorKind::CircuitOpen, ErrorKind::Forbidden, ErrorKind::UnknownModel] {
            assert!(!ended(Some(AttemptEnd::Failed(kind))).was_made(), "{kind}");
        }
        for end in [None, Some(AttemptEnd::Abandoned), Some(AttemptEnd::Failed(ErrorKind::Connect))] {
            assert!(ended(end).was_made(), "{end:?}");
        }
    }

    #[test]
    fn the_trail_keeps_attempts_in_order_whoever_writes_first() {
        let trail = Trail::of(Arc::new(Call::new(CallId(1))));
        trail.update(1, |attempt| attempt.reason = Again::Hedge);
        trail.update(0, |attempt| attempt.end = Some(AttemptEnd::Abandoned));
        let numbers: Vec<_> = trail.attempts().iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, [0, 1]);
    }
}
