//! What really happened in a run, as providers and callers saw it.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use llm_core::{AttemptEnd, CallId, Context, NanoUsd, Payload, Usage};
use tokio::time::Instant;

use crate::{Invariant, Violation, World, world::Kind};

/// Texts that nobody but providers and callers may see.
pub(crate) const PROMPT: &str = "persimmon";
pub(crate) const ANSWER: &str = "tangerine";
pub(crate) const CAUSE: &str = "quince";

/// How often something may be polled at one instant. The busiest worlds need a few hundred.
const MOST_POLLS: u32 = 5_000;

/// What happened. Clones write down the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) calls: Vec<Call>,
    pub(crate) by_id: HashMap<CallId, usize>,
    pub(crate) attempts: Vec<Attempt>,
    /// For each provider: instances that are ready, and calls under way.
    pub(crate) readied: Vec<usize>,
    pub(crate) in_flight: Vec<usize>,
    pub(crate) violations: Vec<Violation>,
    /// What was asked, by whom, and who was there to answer, for as long as somebody keeps it.
    pub(crate) prompts: Vec<(usize, Weak<Payload>)>,
    pub(crate) providers: Vec<Weak<dyn Any + Send + Sync>>,
    /// How often calls ended how, for their callers.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    /// Whether a fallback may ask once more.
    has_second_service: bool,
    /// How many calls there may be at all providers together.
    most_at_once: Option<usize>,
    /// Calls and attempts by their numbers, each of which is made once.
    numbers: HashSet<(CallId, u32)>,
    /// Whether there is a cache.
    pub(crate) has_cache: bool,
    /// Whether every call ends by its deadline.
    pub(crate) keeps_deadlines: bool,
    /// Whether frames come when they are made: neither the clock jumps, nor does a cache take its time.
    is_prompt: bool,
    /// Whether somebody calls again and again, which is answered no more.
    pub(crate) is_endless: bool,
    begun: Option<Instant>,
    polled: Option<(Instant, u32)>,
    pub(crate) most_polls: u32,
    digest: DefaultHasher,
}

/// A call as its caller saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) tenant: u8,
    pub(crate) allowance: u32,
    /// What its prompt is estimated to cost.
    pub(crate) prompt_cost: NanoUsd,
    /// Whether it may not leave the house.
    pub(crate) is_sensitive: bool,
    /// Whether the service was called, and the future is watched.
    pub(crate) was_called: bool,
    pub(crate) outcomes: Vec<AttemptEnd>,
    /// What it used, as its outcome says.
    pub(crate) usage: Option<Usage>,
    /// Whether it wants nothing but an answer that is kept, and there is a cache to keep it.
    pub(crate) only_if_kept: bool,
    pub(crate) seen: Seen,
    pub(crate) text: String,
    pub(crate) finishes: u32,
    pub(crate) read_last: bool,
    /// Whether a fallback of ours answered.
    pub(crate) is_degraded: bool,
    pub(crate) provider_calls: u32,
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The caller left.
    #[default]
    Left,
    /// It read to the end.
    Whole,
    /// It was told of a failure.
    Failure,
    /// A panic came out.
    Panic,
}

/// A call to a provider as the provider saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// Frames with content that the answer has.
    pub(crate) frames: u32,
    /// When those came that have come, of a stream.
    pub(crate) emitted: Vec<Instant>,
    /// How long each takes after the one before.
    pub(crate) frame_time: Duration,
    /// Whether the script ends it with a reason.
    pub(crate) ends_well: bool,
    /// Whether the future or the stream was made, and is watched.
    pub(crate) is_watched: bool,
    pub(crate) outcomes: u32,
    pub(crate) cost: NanoUsd,
    /// What it has used, once it has ended.
    pub(crate) usage: Option<Usage>,
}

impl Truth {
    pub(crate) fn of(world: &World) -> Self {
        let providers = world.providers.len();
        Self(Arc::new(Mutex::new(Facts {
            readied: vec![0; providers],
            in_flight: vec![0; providers],
            has_second_service: world.may_ask_once_more(),
            most_at_once: world.most_at_once(),
            is_prompt: world.is_prompt(),
            has_cache: world.has(Kind::Cache),
            keeps_deadlines: world.keeps_deadlines(),
            ..Facts::default()
        })))
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        // Every writer leaves the facts whole, so a scripted panic does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn violated(&self, invariant: Invariant, seen: impl Into<String>) {
        self.facts().violated(invariant, seen);
    }

    /// Something is polled. False when that has gone on for too long at this instant.
    #[must_use]
    pub(crate) fn may_poll(&self) -> bool {
        self.facts().may_poll()
    }
}

impl Facts {
    /// The first of each kind is kept.
    pub(crate) fn violated(&mut self, invariant: Invariant, seen: impl Into<String>) {
        if !self.violations.iter().any(|known| known.invariant == invariant) {
            self.violations.push(Violation { invariant, seen: seen.into() });
        }
    }

    /// Takes note that something happened now, so that two runs can be compared.
    pub(crate) fn happened(&mut self, what: impl Hash) {
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        ((now - begun).as_micros(), what).hash(&mut self.digest);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// A call to the provider `name` is made.
    pub(crate) fn called(&mut self, name: &str, is_local: bool, context: &Context) {
        let (id, number) = (context.id(), context.attempt().number);
        self.happened(("attempt", name, id.0, number));
        let in_flight = self.in_flight.iter().sum::<usize>();
        if let Some(most) = self.most_at_once
            && in_flight > most
        {
            self.violated(Invariant::Limits, format!("{in_flight} calls are under way, and {most} may be"));
        }
        if !self.numbers.insert((id, number)) {
            self.violated(Invariant::OneOutcome, format!("attempt {number} of call {id} was made twice"));
        }
        // A call that nobody knows is one of a cache that renews an answer.
        let at = self.by_id.get(&id).copied();
        let is_sensitive = context.sensitivity().is_sensitive() || at.is_some_and(|at| self.calls[at].is_sensitive);
        if is_sensitive && !is_local {
            self.violated(Invariant::Sensitive, format!("a sensitive call reached {name}"));
        }
        let Some(at) = at else { return };
        if self.calls[at].only_if_kept {
            self.violated(Invariant::Allowance, format!("call {at} reached {name}, and wants what is kept only"));
        }
        let call = &mut self.calls[at];
        call.provider_calls += 1;
        let (calls, allowance) = (call.provider_calls, call.allowance);
        if calls > 1 + allowance + u32::from(self.has_second_service) {
            let seen = format!("call {at} made {calls} calls to providers with an allowance of {allowance}");
            self.violated(Invariant::Allowance, seen);
            self.is_endless = true;
        }
    }

    /// Call `at` has read frame `frame` of an attempt, for which it has waited since `asked`.
    pub(crate) fn check_delay(&mut self, at: usize, attempt: usize, frame: u32, asked: Instant) {
        let Some(Attempt { emitted, frame_time, .. }) = self.attempts.get(attempt) else { return };
        let before = frame.checked_sub(1).and_then(|before| emitted.get(before as usize));
        // The first one may have been waited for long before it was made.
        let Some(before) = before.filter(|_| self.is_prompt) else { return };
        // A timer fires within a millisecond.
        let due = asked.max(*before) + *frame_time + Duration::from_millis(1);
        let now = Instant::now();
        if now > due {
            let seen = format!("call {at} has waited {:?} too long for frame {frame}", now - due);
            self.violated(Invariant::Delays, seen);
        }
    }

    fn may_poll(&mut self) -> bool {
        let now = Instant::now();
        let polls = match self.polled {
            Some((at, polls)) if at == now => polls + 1,
            Some(_) | None => 1,
        };
        self.polled = Some((now, polls));
        self.most_polls = self.most_polls.max(polls);
        if polls > MOST_POLLS {
            self.violated(Invariant::Spin, format!("{polls} polls at one instant"));
        }
        polls <= MOST_POLLS
    }
}

/// The text of a frame: who says it, which frame it is, and whom it was said to.
pub(crate) fn said(attempt: usize, frame: u32, tenant: u8) -> String {
    format!("[{attempt}.{frame}.{tenant} {ANSWER}]")
}

/// What stands in such a text: attempt, frame and tenant.
pub(crate) fn heard(text: &str) -> Option<Vec<(usize, u32, u8)>> {
    let mut heard = Vec::new();
    for piece in text.split_inclusive(']') {
        let inner = piece.strip_prefix('[')?.strip_suffix(']')?.strip_suffix(ANSWER)?.trim_end();
        let mut numbers = inner.split('.');
        let (attempt, frame, tenant) = (numbers.next()?, numbers.next()?, numbers.next()?);
        heard.push((attempt.parse().ok()?, frame.parse().ok()?, tenant.parse().ok()?));
    }
    Some(heard)
}
