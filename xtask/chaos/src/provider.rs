//! The providers: services that follow a script, tell the truth about it, and watch how they are used.

mod playing;

use std::{
    any::Any,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Observer, Outcome, Payload, Price, Target, Trail, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use self::playing::Playing;
use crate::{
    Invariant, models,
    truth::{Attempt, CAUSE, Truth},
    world::{Answer, Early, End},
};

/// What a script panics with: nobody else does.
#[derive(Debug)]
pub(crate) struct Scripted;

/// A provider. Its clones are not ready.
#[derive(Debug)]
pub(crate) struct Provider {
    shared: Arc<Shared>,
    waits: Option<Pin<Box<Sleep>>>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Shared {
    at: usize,
    name: String,
    script: crate::world::Provider,
    /// Checked whenever the provider is asked anything.
    watches: Watches,
    truth: Truth,
    begun: Instant,
    calls: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// What is looked at at every step.
#[derive(Clone)]
pub(crate) struct Watches(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watches")
    }
}

/// Readiness, or a call under way. Given back when dropped.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    is_in_flight: bool,
}

impl Place {
    fn begin(mut self) -> Self {
        let mut facts = self.shared.truth.facts();
        facts.readied[self.shared.at] -= 1;
        facts.in_flight[self.shared.at] += 1;
        drop(facts);
        self.is_in_flight = true;
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut facts = self.shared.truth.facts();
        let held = if self.is_in_flight { &mut facts.in_flight } else { &mut facts.readied };
        held[self.shared.at] -= 1;
        drop(facts);
        let waiting = std::mem::take(&mut *self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Provider {
    pub(crate) fn new(at: usize, script: &crate::world::Provider, truth: &Truth, watches: Watches) -> Self {
        let shared = Arc::new(Shared {
            at,
            name: format!("p{at}"),
            script: script.clone(),
            watches,
            truth: truth.clone(),
            begun: Instant::now(),
            calls: AtomicUsize::new(0),
            waiting: Mutex::default(),
        });
        let weak: Weak<dyn Any + Send + Sync> = Arc::<Shared>::downgrade(&shared);
        truth.facts().providers.push(weak);
        Self { shared, waits: None, place: None }
    }
}

impl Clone for Provider {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), waits: None, place: None }
    }
}

impl Service<LlmRequest> for Provider {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let shared = Arc::clone(&self.shared);
        (shared.watches.0)();
        if !shared.truth.may_poll() {
            return Poll::Pending;
        }
        if self.place.is_some() {
            return Poll::Ready(Ok(()));
        }
        let is_dead = |ms: u32| Instant::now() >= shared.begun + Duration::from_millis(ms.into());
        if shared.script.dies_ms.is_some_and(is_dead) {
            return Poll::Ready(Err(Error::new(ErrorKind::Connect, "the provider is gone").with_source(CAUSE)));
        }
        if let Some((from, length)) = shared.script.busy {
            let ms = |ms| Duration::from_millis(u64::from(ms));
            let (from, until) = (shared.begun + ms(from), shared.begun + ms(from) + ms(length));
            if (from..until).contains(&Instant::now()) {
                let waits = self.waits.get_or_insert_with(|| Box::pin(sleep_until(until)));
                ready!(waits.as_mut().poll(cx));
            }
        }
        self.waits = None;
        let mut facts = shared.truth.facts();
        let taken = facts.readied[shared.at] + facts.in_flight[shared.at];
        if shared.script.at_once > 0 && taken >= usize::from(shared.script.at_once) {
            shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(cx.waker().clone());
            return Poll::Pending;
        }
        facts.readied[shared.at] += 1;
        drop(facts);
        self.place = Some(Place { shared, is_in_flight: false });
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let place = self.place.take().map(Place::begin);
        (shared.watches.0)();
        if place.is_none() {
            shared.truth.violated(Invariant::Readiness, format!("{} was called without being ready", shared.name));
        }
        let number = shared.calls.fetch_add(1, Relaxed);
        let script = &shared.script.script;
        let answer = if script.is_empty() { Answer::default() } else { script[number % script.len()].clone() };
        let is_local = shared.script.local;
        let attempt = begin(&shared.truth, &shared.name, is_local, &request, &answer);
        if shared.truth.facts().is_endless {
            return Box::pin(std::future::pending());
        }
        if answer.early == Some(Early::PanicInCall) {
            resume_unwind(Box::new(Scripted));
        }
        let target = request.context().target().cloned().unwrap_or_else(|| Target::new(&*shared.name, request.model()));
        let tenant = tenant_of(&request);
        let observer = Edge::begin(&shared.truth, attempt, &request, &target);
        let playing = Playing { attempt, tenant, answer, target, truth: shared.truth.clone(), place };
        Box::pin(watch(&request.clone(), playing.respond(request), observer))
    }
}

/// Takes note of the attempt, and looks whether it may be made.
fn begin(truth: &Truth, name: &str, is_local: bool, request: &LlmRequest, answer: &Answer) -> usize {
    let mut facts = truth.facts();
    facts.called(name, is_local, request.context());
    let frames = if matches!(request.payload(), Payload::Chat(_)) { u32::from(answer.frames) } else { 0 };
    let ends_well = answer.early.is_none() && matches!(answer.end, End::Complete | End::Unterminated);
    let frame_time = Duration::from_millis(answer.frame_ms.into());
    facts.attempts.push(Attempt { frames, frame_time, ends_well, ..Attempt::default() });
    facts.attempts.len() - 1
}

/// `tenant-3` is the third.
fn tenant_of(request: &LlmRequest) -> u8 {
    let tenant = request.context().caller().tenant.as_deref().unwrap_or_default();
    tenant.strip_prefix("tenant-").and_then(|number| number.parse().ok()).unwrap_or(u8::MAX)
}

/// What an edge writes down of an attempt.
struct Edge {
    truth: Truth,
    attempt: usize,
    trail: Trail,
    number: u32,
    price: Option<Price>,
}

impl Edge {
    fn begin(truth: &Truth, attempt: usize, request: &LlmRequest, target: &Target) -> Self {
        let context = request.context();
        context.trail().begin(context.attempt(), Some(target));
        truth.facts().attempts[attempt].is_watched = true;
        let price = models::CATALOG.get(Some(target.provider()), target.model()).and_then(|model| model.price.clone());
        let is_free = matches!(request.payload(), Payload::CountTokens(_));
        Self {
            truth: truth.clone(),
            attempt,
            trail: context.trail(),
            number: context.attempt().number,
            price: price.filter(|_| !is_free),
        }
    }
}

impl Observer for Edge {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let usage = outcome.progress().usage();
        let cost = self.price.as_ref().map(|price| price.cost(&usage).total());
        self.trail.update(self.number, |record| {
            record.end = Some(outcome.to_end());
            record.usage = Some(usage);
            record.cost = cost;
        });
        let mut facts = self.truth.facts();
        facts.happened(("attempt ended", self.attempt, outcome.to_end(), usage));
        let attempt = &mut facts.attempts[self.attempt];
        attempt.outcomes += 1;
        attempt.cost = cost.unwrap_or_default();
        attempt.usage = Some(usage);
    }
}
