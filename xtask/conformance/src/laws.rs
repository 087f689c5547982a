//! Every law in every order: what is declared of a stack follows from its order.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use llm_breaker::{BreakerLayer, CircuitRules, CircuitState, Consecutive, Probes};
use llm_core::{
    BoxLlmService, CacheDirective, Caller, Error, ErrorKind, Health, HealthState, LlmRequest, Random, Target,
};
use llm_router::RouterLayer;
use llm_test::{Answer, Frames, Law, Probe, Ruling, Subject};
use tower::{Layer, ServiceExt, layer::layer_fn, util::MapRequest};

use crate::{
    drive::paused,
    model::Model,
    order::{Kind, Order},
    script::{Act, Ask},
    stack::{MODEL, Settings, Stack, TARGETS, budget, plan, target},
};

/// Which of the layers a law looks at, where it can look at one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At the stack.
    Whole,
    /// At what this layer counts, keeps and refuses.
    At(Kind),
    /// At the places of probes, with circuits half-open.
    Probes,
}

impl Look {
    /// As it stands in the name of a case; the whole needs no name.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::At(kind) => Some(kind.name()),
            Self::Probes => Some("probes"),
        }
    }

    /// All at which this law has to look.
    pub fn all_of(law: &Law) -> &'static [Self] {
        const REJECTING: [Look; 4] =
            [Look::At(Kind::Cache), Look::At(Kind::Router), Look::At(Kind::Budget), Look::At(Kind::Breaker)];
        match law.name() {
            "state_is_shared_by_clones_and_layers" | "keyed_state_is_bounded" => &[
                Self::At(Kind::Cache),
                Self::At(Kind::Router),
                Self::At(Kind::Retry),
                Self::At(Kind::Budget),
                Self::At(Kind::Breaker),
            ],
            "rejects_while_inner_is_never_ready" | "rejection_is_not_a_readiness_error" => &REJECTING,
            "no_content_in_debug_or_logs" => &[Self::At(Kind::Budget)],
            "ready_without_call_releases" => &[REJECTING[0], REJECTING[1], REJECTING[2], REJECTING[3], Self::Probes],
            "slow_listener_slows_nobody" => &[Self::At(Kind::Budget), Self::At(Kind::Breaker)],
            "drop_future_releases"
            | "drop_body_reports_abandoned"
            | "panic_releases"
            | "end_of_stream_reports_once"
            | "error_frame_reports_failed" => &[Self::Whole, Self::Probes],
            _ => &[Self::Whole],
        }
    }
}

/// Holds a law against the stack of an order, on a runtime of its own with paused time.
///
/// # Panics
/// When the stack breaks it.
pub fn hold(law: &Law, order: Order, look: Look) -> Ruling {
    paused(law.check(&|| subject(law, order, look)))
}

/// A failure that a further call may mend.
fn busy() -> Answer {
    Answer::fail(Error::new(ErrorKind::Overloaded, "busy"))
}

/// A stream that has begun.
fn under_way() -> Answer {
    Answer::stream(Frames::new().start().text("Blue").hang())
}

/// A question that the cache has an interest in.
fn question(number: u64) -> LlmRequest {
    let text = format!("Question {number}: why is it so?");
    LlmRequest::chat(MODEL).user(text).temperature(0.0).max_output_tokens(1_000).build()
}

/// The layers, with what the law needs of the one that it looks at.
fn layers(law: &Law, order: Order, look: Look) -> Stack {
    let stack = Stack::new(order, &Settings::default());
    let few = NonZeroUsize::new(50).expect("it is not zero");
    match (look, law.name()) {
        (Look::At(Kind::Breaker), "slow_listener_slows_nobody") => {
            Stack { breaker: BreakerLayer::new().random(Random::seeded(1)), ..stack }
        }
        // A tenth of it is spent in the course of the law.
        (Look::At(Kind::Budget), "slow_listener_slows_nobody") => Stack { budget: budget(order, "0.02"), ..stack },
        (Look::At(Kind::Breaker), "keyed_state_is_bounded") => {
            Stack { breaker: stack.breaker.most_circuits(few), ..stack }
        }
        (Look::At(Kind::Budget), "keyed_state_is_bounded") => {
            Stack { budget: stack.budget.most_accounts(few), ..stack }
        }
        (Look::At(Kind::Cache), "keyed_state_is_bounded") => Stack { cache: stack.cache.capacity(CAPACITY), ..stack },
        (Look::Probes, _) => {
            let first = Consecutive::after(NonZeroU32::MIN);
            let probes = Probes::new(15, 15).expect("it is the most");
            let rules = CircuitRules::interactive().trip(first).probes(probes);
            Stack { breaker: BreakerLayer::new().rules(rules), ..stack }
        }
        (Look::Whole | Look::At(_), _) => stack,
    }
}

/// The stack, with all that follows from its order.
fn subject(law: &Law, order: Order, look: Look) -> Subject {
    let stack = layers(law, order, look);
    let kinds = order.kinds();
    let passes_readiness = kinds.iter().all(|kind| kind.passes_readiness());
    let calls_again = kinds.iter().any(|kind| kind.may_call_again()) && look != Look::Probes;
    let holds_back = kinds.iter().any(|kind| kind.holds_back());

    let (wrapped, held) = (stack.clone(), stack.clone());
    let (flying, routed) = (stack.clone(), stack.clone());
    let mut subject = Subject::stack(order.to_string(), move |inner| wrapped.over(inner))
        .asking(question)
        .holds("reserved money", move || held.reserved())
        .holds("calls in flight", move || routed.in_flight())
        .holds("calls under way", move || flying.under_way());
    if !passes_readiness {
        subject = subject.always_ready();
    }
    if calls_again {
        subject = subject.calls_again(busy());
        for mended in [&[Act::Fail(ErrorKind::Overloaded); 2][..], &[Act::Fail(ErrorKind::Server), Act::CutEarly]] {
            let ask = Ask::new(0, true).plays(mended.iter().copied());
            let takes = Model::new(order, Settings::default()).ask(&ask).took;
            subject = subject.takes(takes, ask.answers());
        }
    } else if holds_back {
        subject = subject.holds_back();
    }
    match look {
        Look::Whole => subject,
        Look::At(kind) => look_at(subject, kind, stack),
        Look::Probes => half_open(subject, &stack),
    }
}

/// What may be kept of answers at most, and what an entry takes up at least.
const CAPACITY: NonZeroU64 = NonZeroU64::new(40_000).expect("it is not zero");
const LEAST: usize = 512;

/// Declares what one layer counts, keeps, tells and refuses.
fn look_at(subject: Subject, kind: Kind, stack: Stack) -> Subject {
    let (order, settings) = (stack.order, Settings::default());
    let fresh = move || Stack::new(order, &settings);
    let other_model = |number: u64| LlmRequest::chat(format!("m-{number}")).user("Why?").max_output_tokens(9).build();
    match kind {
        Kind::Cache => {
            let (counted, kept) = (stack.cache.handle(), stack.cache.handle());
            subject
                .counts(under_way(), move || counted.counts().misses)
                .keyed(CAPACITY.get() as usize / LEAST, question, move || kept.size().entries as usize)
                .rejecting(move || {
                    let stack = fresh();
                    layer_fn(move |inner| MapRequest::new(stack.over(inner), only_if_cached as fn(_) -> _))
                })
        }
        Kind::Router => {
            let (counted, kept) = (stack.clone(), stack.router.handle());
            let known = kept.targets().len();
            subject
                .counts(under_way(), move || counted.in_flight())
                .keyed(known, other_model, move || kept.targets().len())
                .rejecting(rejecting(move || {
                    let router = RouterLayer::new(plan(&settings)).health(Arc::new(Cooling));
                    Stack { router, ..fresh() }
                }))
        }
        Kind::Retry => {
            let (counted, kept) = (stack.retry.handle(), stack.retry.handle());
            subject.counts(busy(), move || counted.retries()).keyed(8, other_model, move || kept.targets())
        }
        Kind::Budget => {
            let (listened, kept) = (stack.budget.handle(), stack.budget.handle());
            let of_tenant = |number: u64| {
                let mut request = question(number);
                request.context_mut().set_caller(Caller::tenant(number.to_string()));
                request
            };
            subject
                .notices(move || listened.notices())
                .counts(under_way(), move || stack.reserved())
                .keyed(50, of_tenant, move || kept.accounts().len())
                .rejecting(rejecting(move || Stack { budget: budget(order, "0"), ..fresh() }))
        }
        Kind::Breaker => {
            let (listened, kept) = (stack.breaker.handle(), stack.breaker.handle());
            let told = move || {
                let circuits = stack.breaker.handle().list();
                circuits.iter().map(|circuit| u64::from(circuit.score)).sum()
            };
            let is_mended_below =
                order.kinds().iter().any(|kind| kind.may_call_again() && order.is_above(Kind::Breaker, *kind));
            let subject = match is_mended_below {
                true => subject
                    .quiet("every second failure is mended below the breaker, so its circuit has no reason to open"),
                false => subject.notices(move || listened.notices()),
            };
            subject.counts(busy(), told).keyed(50, other_model, move || kept.len()).rejecting(rejecting(move || {
                let stack = fresh();
                let handle = stack.breaker.handle();
                circuits().for_each(|circuit| assert!(handle.force_open(&circuit)));
                stack
            }))
        }
    }
}

/// The layer that builds such a stack.
fn rejecting<F>(stack: F) -> impl Fn() -> RejectingLayer + Send + Sync + 'static
where
    F: Fn() -> Stack + Send + Sync + 'static,
{
    move || RejectingLayer(stack())
}

struct RejectingLayer(Stack);

impl Layer<BoxLlmService> for RejectingLayer {
    type Service = BoxLlmService;

    fn layer(&self, inner: BoxLlmService) -> BoxLlmService {
        self.0.over(inner)
    }
}

fn only_if_cached(mut request: LlmRequest) -> LlmRequest {
    request.context_mut().set_cache(CacheDirective { only_if_cached: true, ..CacheDirective::default() });
    request
}

/// Nothing is fit to be called.
struct Cooling;

impl Health for Cooling {
    fn of(&self, _: &Target) -> HealthState {
        HealthState::Cooling { remaining: Duration::from_secs(7) }
    }
}

/// The circuits of the targets, and that of the model, which is all that is known above the router.
fn circuits() -> impl Iterator<Item = Target> {
    std::iter::once(None).chain((0..TARGETS.len()).map(Some)).map(target)
}

/// Circuits that have opened, with places for all probes that a law makes, and requests that ask for them.
fn half_open(subject: Subject, stack: &Stack) -> Subject {
    let handle = stack.breaker.handle();
    for circuit in circuits() {
        let mut request = marked(0);
        if !circuit.provider().is_empty() {
            request.context_mut().set_target(circuit);
        }
        let failed = stack.breaker.layer(Probe::answering(busy())).oneshot(request).now_or_never();
        assert!(failed.is_some_and(|answer| answer.is_err()), "a circuit can be opened by a failure");
    }
    let places = move || {
        let held = |circuit: Target| match handle.status(&circuit).state {
            CircuitState::HalfOpen { probes, .. } => u64::from(probes),
            CircuitState::Closed
            | CircuitState::Open { .. }
            | CircuitState::ForcedOpen
            | CircuitState::ForcedClosed => 0,
        };
        circuits().map(held).sum()
    };
    subject.asking(marked).holds("places of probes", places)
}

/// A question that goes through an open circuit, to find out.
fn marked(number: u64) -> LlmRequest {
    let mut request = question(number);
    request.context_mut().set_probe(true);
    request
}
