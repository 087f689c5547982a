//! The five layers with their settings, and the stack that an order makes of them.

use std::{
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
    time::Duration,
};

use llm_breaker::{BreakerLayer, CircuitRules, Sample, Step, Trip, TripRule};
use llm_budget::{BudgetLayer, Cap, CapRule, Covers, Per, Percent, Window};
use llm_cache::CacheLayer;
use llm_core::{BoxLlmService, Price, Random, Target, catalog::Catalog};
use llm_retry::{Jitter, RetryLayer, RetryQuota, RetryRules};
use llm_router::{Asked, Choice, Plan, ProviderEntry, Rank, RouterLayer, Targets};
use tower::Layer;

use crate::order::{Kind, Order};

/// The model that is asked for.
pub const MODEL: &str = "probe";

/// Where the router goes, in this order. The laws know the name of the first provider, and its second key.
pub const TARGETS: [&str; 3] = ["provider/probe#first", "other/probe", "third/probe"];

/// How many models of other names have a price: more than any law asks for.
const OTHER_MODELS: usize = 220;

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
    let other = |number: usize| format!("[[models]]\nname = 'm-{number}'\ninput = 1.0\noutput = 2.0\n");
    let named = format!("[[models]]\nname = '{MODEL}'\naliases = ['model']\ninput = 1.0\noutput = 2.0\n");
    let text: String = std::iter::once(named).chain((0..OTHER_MODELS).map(other)).collect();
    Arc::new(Catalog::from_toml(&text).expect("the facts of models"))
});

/// What every model costs.
pub fn price() -> Price {
    let model = CATALOG.get(None, MODEL).expect("it is in the catalogue");
    model.price.clone().expect("it has a price")
}

/// What may differ from case to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many of [`TARGETS`] there are.
    pub targets: usize,
    /// Whether each is a tier of its own, so that all but the first are substitutes.
    pub tiers: bool,
    /// The wait before the first retry. Without jitter, it is exactly that.
    pub base: Duration,
    /// The most retries of one call, if that is limited.
    pub most_retries: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { targets: 2, tiers: false, base: Duration::from_millis(250), most_retries: None }
    }
}

/// The five layers in an order. Services of one stack share all state.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The order.
    pub order: Order,
    /// Without jitter, and with a quota that is never spent.
    pub retry: RetryLayer,
    /// With a rule that only counts, see [`Counted`].
    pub breaker: BreakerLayer,
    /// With the targets of the settings.
    pub router: RouterLayer,
    /// With a cap that is never reached.
    pub budget: BudgetLayer,
    /// With its defaults.
    pub cache: CacheLayer,
}

impl Stack {
    /// Fresh layers.
    pub fn new(order: Order, settings: &Settings) -> Self {
        Self {
            order,
            retry: retry(settings),
            breaker: BreakerLayer::new()
                .rules(CircuitRules::interactive().trip(Trip::by(Counting)))
                .random(Random::seeded(1)),
            router: RouterLayer::new(plan(settings)).random(Random::seeded(1)),
            budget: budget(order, "1000"),
            cache: CacheLayer::new(),
        }
    }

    /// The stack around `inner`.
    pub fn over(&self, inner: BoxLlmService) -> BoxLlmService {
        let outermost_last = self.order.kinds().iter().rev();
        outermost_last.fold(inner, |inner, kind| match kind {
            Kind::Cache => BoxLlmService::new(self.cache.layer(inner)),
            Kind::Router => BoxLlmService::new(self.router.layer(inner)),
            Kind::Retry => BoxLlmService::new(self.retry.layer(inner)),
            Kind::Budget => BoxLlmService::new(self.budget.layer(inner)),
            Kind::Breaker => BoxLlmService::new(self.breaker.layer(inner)),
        })
    }
}

fn retry(settings: &Settings) -> RetryLayer {
    let rules = RetryRules::INTERACTIVE.base(settings.base).throttled_base(settings.base);
    let rules = settings.most_retries.map_or(rules, |most| rules.most_retries(most));
    let targets = NonZeroUsize::new(8).expect("it is not zero");
    let never_spent = RetryQuota::percent(1_000).per_second(1_000);
    RetryLayer::new().rules(rules).jitter(Jitter::None).quota(never_spent).targets(targets)
}

/// One rule with a cap of so many dollars for each tenant.
pub fn budget(order: Order, cap: &str) -> BudgetLayer {
    let cap = Cap::new(cap.parse().expect("an amount"), Window::DAY);
    let layer = BudgetLayer::new([CapRule::new("cap", Per::TENANT, cap).alert_at(Percent::new(10))]);
    let layer = layer.catalog(Arc::clone(&CATALOG));
    // Below a router a budget takes the call for an attempt. With a retry below that it is not, and has to be told so.
    match order.is_above(Kind::Router, Kind::Budget) && order.is_above(Kind::Budget, Kind::Retry) {
        true => layer.covers(Covers::Call),
        false => layer,
    }
}

/// The targets, each in its place, and models of other names at the first provider.
pub fn plan(settings: &Settings) -> Plan {
    let first = ProviderEntry::new("provider").models(["model", MODEL, "m-*"]).keys(["first", "second"]).local();
    let other = |name: &str| ProviderEntry::new(name).models([MODEL]).local();
    let targets = Targets::new(Arc::default()).provider(first).provider(other("other")).provider(other("third"));
    let names = &TARGETS[..settings.targets];
    let route = targets.route(names.iter().copied()).expect("all of them are there");
    let route = if settings.tiers { route } else { route.rank(InOrder) };
    Plan::new(targets).route(MODEL, route)
}

/// The target of this number, or what stands for the model where none is chosen.
pub fn target(number: Option<usize>) -> Target {
    match number.map(|number| TARGETS[number].split_once('/').expect("provider and model")) {
        None => Target::new("", MODEL),
        Some((provider, model)) => match model.split_once('#') {
            None => Target::new(provider, model),
            Some((model, key)) => Target::new(provider, model).with_key(key),
        },
    }
}

/// Always the first that is left.
#[derive(Debug)]
struct InOrder;

impl Rank for InOrder {
    fn pick(&self, _: &Asked<'_>, _: &[Choice<'_>]) -> usize {
        0
    }
}

/// A trip rule that never trips. Its score is how many calls of each kind it was told of, see [`Counted`].
#[derive(Debug)]
struct Counting;

impl TripRule for Counting {
    fn after(&self, score: u32, sample: Sample) -> Step {
        Step::Keep(match sample {
            Sample::Success => score + 1,
            Sample::Failure(_) => score + (1 << 16),
        })
    }
}

/// What a circuit was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Calls that went well.
    pub successes: u32,
    /// Calls that failed.
    pub failures: u32,
}

impl Stack {
    /// What the circuit of a target was told.
    pub fn counted(&self, target: &Target) -> Counted {
        let score = self.breaker.handle().status(target).score;
        Counted { successes: score & 0xffff, failures: score >> 16 }
    }

    /// The money that is set aside.
    pub fn reserved(&self) -> u64 {
        self.budget.handle().accounts().iter().map(|account| account.reserved().0).sum()
    }

    /// The money that is spent.
    pub fn spent(&self) -> u64 {
        self.budget.handle().accounts().iter().flat_map(|account| &account.balances).map(|it| it.spent.0).sum()
    }

    /// The calls that are under way as the router sees it.
    pub fn in_flight(&self) -> u64 {
        self.router.handle().targets().iter().map(|target| target.in_flight as u64).sum()
    }

    /// The calls that are under way as the cache sees it.
    pub fn under_way(&self) -> u64 {
        self.cache.handle().under_way() as u64
    }
}
