//! Two providers of one model, and the layers by which they are called.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use llm_breaker::{BreakerHandle, BreakerLayer, CircuitRules, CircuitState, Consecutive, OpenTime};
use llm_budget::{BudgetHandle, BudgetLayer, Cap, CapRule, LimitLayer, Per, Streams, Window, limit::LimitRule};
use llm_cache::CacheLayer;
use llm_core::{Caller, Error, ErrorKind, LlmRequest, LlmResponse, NanoUsd, Target, catalog::Catalog};
use llm_retry::{Jitter, RetryLayer};
use llm_router::{Dispatch, ProviderEntry, RouterLayer, Targets};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use llm_test::{Answer, Frames, Probe, ProbeLog};
use tower::{Service, ServiceExt};

/// Ten tokens, and what they cost at the provider `a`; at `b` it is a half of that.
pub(crate) const TEXT: &str = "one two three four five six seven eight nine ten";
pub(crate) const COST: NanoUsd = NanoUsd(40_000);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The providers `a` and `b`, who answer from scripts and then with ten tokens each.
pub(crate) struct Stage {
    a: Probe,
    b: Probe,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let probe = || Probe::answering(text());
        Self { a: probe(), b: probe() }
    }

    /// What comes of the first calls of `a`.
    pub(crate) fn a(mut self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.a = self.a.script(answers);
        self
    }

    /// What comes of the first calls of `b`.
    pub(crate) fn b(mut self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.b = self.b.script(answers);
        self
    }

    /// Both, found by their names; without a target in the context it is `a`.
    pub(crate) fn dispatch(&self) -> Dispatch {
        Dispatch::new().provider("a", self.a.clone(), ["m"]).provider("b", self.b.clone(), ["m"])
    }

    pub(crate) fn calls(&self) -> [usize; 2] {
        [&self.a, &self.b].map(|probe| probe.log().calls())
    }

    pub(crate) fn log(&self) -> ProbeLog {
        self.a.log()
    }
}

/// Providers who write down what each attempt has cost: `a` fails, and `b` answers with ten tokens.
pub(crate) fn simulated() -> (Dispatch, Sim) {
    let model = |output: f64| ModelConfig {
        input: Some(0.0),
        output: Some(output),
        output_tokens: 10,
        ..ModelConfig::chat("m")
    };
    let sim = |model: ModelConfig| Sim::try_from(SimConfig::new([model])).unwrap();
    let (a, b) = (sim(model(4.0).fault(FaultRule::new("status 503".parse().unwrap()))), sim(model(2.0)));
    (Dispatch::new().provider("a", a, ["m"]).provider("b", b.clone(), ["m"]), b)
}

pub(crate) fn text() -> Answer {
    Answer::stream(Frames::answer(TEXT))
}

pub(crate) fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "scripted"))
}

pub(crate) fn server() -> Answer {
    fail(ErrorKind::Server)
}

/// A question that may be kept.
pub(crate) fn ask() -> LlmRequest {
    asking("Count to ten!")
}

pub(crate) fn asking(question: &str) -> LlmRequest {
    let chat = LlmRequest::chat("m").user(question).temperature(0.0).max_output_tokens(100).stream();
    let mut request = chat.build();
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

/// The same for the provider `a`, as a router has it.
pub(crate) fn ask_a() -> LlmRequest {
    let mut request = ask();
    request.context_mut().set_target(a());
    request
}

pub(crate) fn a() -> Target {
    Target::new("a", "m")
}

/// A whole call, to the end of its stream.
pub(crate) async fn call<S>(service: &S, request: LlmRequest) -> Result<String, ErrorKind>
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone,
{
    let answer = async { service.clone().oneshot(request).await?.body.collect().await };
    answer.await.map(|output| output.first_text()).map_err(|error: Error| error.kind())
}

/// The same, of which only the failure matters, if there is one.
pub(crate) async fn outcome<S>(service: &S, request: LlmRequest) -> Option<ErrorKind>
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone,
{
    call(service, request).await.err()
}

pub(crate) fn retry() -> RetryLayer {
    RetryLayer::new().jitter(Jitter::None).quota(None)
}

/// Opens after three failures, for ten seconds.
pub(crate) fn breaker() -> BreakerLayer {
    let rules = CircuitRules::interactive().trip(Consecutive::after(NonZeroU32::new(3).unwrap()));
    BreakerLayer::new().rules(rules.open_for(OpenTime::new(secs(10), secs(10)).unwrap().jitter(0.0).unwrap()))
}

pub(crate) fn state(breaker: &BreakerHandle) -> CircuitState {
    breaker.status(&a()).state
}

pub(crate) fn is_open(breaker: &BreakerHandle) -> bool {
    matches!(state(breaker), CircuitState::Open { .. })
}

/// First `a`, then `b`.
pub(crate) fn router() -> RouterLayer {
    let entry = |name: &str| ProviderEntry::new(name).models(["m"]);
    RouterLayer::new(Targets::new(catalog()).provider(entry("a")).provider(entry("b")))
}

pub(crate) fn cache() -> CacheLayer {
    CacheLayer::new()
}

fn catalog() -> Arc<Catalog> {
    let prices = "[[models]]\nname = 'm'\ninput = 0.0\noutput = 4.0\n\
                  [[models]]\nprovider = 'b'\nname = 'm'\ninput = 0.0\noutput = 2.0\n";
    Arc::new(Catalog::from_toml(prices).unwrap())
}

/// What so many answers of a hundred tokens may cost at `a`.
pub(crate) fn budget(answers: u64) -> BudgetLayer {
    let cap = Cap::new(NanoUsd(answers * 10 * COST.0), Window::DAY);
    BudgetLayer::new([CapRule::new("all", Per::GLOBAL, cap)]).streams(Streams::WorstCase).catalog(catalog())
}

/// What was spent, and what is set aside.
pub(crate) fn balance(budget: &BudgetHandle) -> (NanoUsd, NanoUsd) {
    let accounts = budget.accounts();
    let spent = accounts.iter().map(|account| account.balances[0].spent).sum();
    (spent, accounts.iter().map(|account| account.reserved()).sum())
}

/// What was spent. Nothing may be set aside for calls that are over.
pub(crate) fn spent(budget: &BudgetHandle) -> NanoUsd {
    let (spent, reserved) = balance(budget);
    assert_eq!(reserved, NanoUsd::ZERO);
    spent
}

/// So many requests a minute for each tenant.
pub(crate) fn limit(requests: u32) -> LimitLayer {
    let requests = NonZeroU32::new(requests).unwrap();
    LimitLayer::new([LimitRule::new("per-tenant", Per::TENANT).requests_per_minute(requests)])
}
