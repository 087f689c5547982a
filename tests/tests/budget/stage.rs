//! A simulated provider behind real sockets, a budget before it, and callers of every kind.

use std::sync::Arc;

use llm_budget::{AccountKey, Balance, BudgetHandle, BudgetLayer, Cap, CapRule, Per, Window};
use llm_core::{BoxLlmService, Caller, Error, LlmRequest, LlmResponse, NanoUsd, Target, catalog::Catalog};
use llm_providers::{Client, Provider, ProviderDialect, ProviderLayer};
use llm_sim::{FaultRule, ModelConfig, Received, Sim, SimConfig, SimServer};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::recorder::Recorder;

pub(crate) const DIALECTS: [ProviderDialect; 2] = [ProviderDialect::OpenAi, ProviderDialect::Anthropic];

/// The models, which differ in what goes wrong with them. All cost the same.
pub(crate) const FAULTS: [(&str, Option<&str>); 6] = [
    ("good", None),
    ("refuses", Some("status 503")),
    ("errs", Some("error server_error after 7")),
    ("cuts", Some("cut after 11")),
    ("hangs", Some("hang")),
    ("stalls", Some("hang after 13")),
];

/// How many tokens of output an answer has.
pub(crate) const OUTPUT: u64 = 48;
/// How many a call may have. With its prompt it comes to at most $0.15, and truly to $0.06.
pub(crate) const MOST_OUTPUT: u64 = 130;

/// A nano-dollar amount of this many thousandths of a dollar.
pub(crate) const fn mills(mills: u64) -> NanoUsd {
    NanoUsd(mills * 1_000_000)
}

/// A model that answers at once, of which every call goes wrong as a script says.
pub(crate) fn model(name: &str, fault: Option<&str>) -> ModelConfig {
    let model = ModelConfig { output_tokens: OUTPUT, ..ModelConfig::instant(name) };
    match fault {
        Some(fault) => model.fault(FaultRule::new(fault.parse().unwrap())),
        None => model,
    }
}

/// Half a thousandth of a dollar for a token of input, a whole one for a token of output.
fn prices(models: &[ModelConfig]) -> Arc<Catalog> {
    let priced = |name: &str| format!("[[models]]\nname = \"{name}\"\ninput = 500.0\noutput = 1000.0\n");
    let text: String = models.iter().map(|model| priced(&model.name)).collect();
    Arc::new(Catalog::from_toml(&text).unwrap())
}

/// A cap on all that acme spends, for all time.
pub(crate) fn rule(cap: NanoUsd) -> CapRule {
    CapRule::new("per-tenant", Per::TENANT, Cap::new(cap, Window::Lifetime))
}

/// A call of acme's. Its number stands in its prompt, which is as long as any other's.
pub(crate) fn ask(number: usize, model: &str, stream: bool) -> LlmRequest {
    ask_for(number, model, stream, MOST_OUTPUT)
}

/// The same, with another limit on the output.
pub(crate) fn ask_for(number: usize, model: &str, stream: bool, most_output: u64) -> LlmRequest {
    let prompt = format!("Call {number:04}: why is the sky as blue as it is, not green?");
    let chat = LlmRequest::chat(model).user(prompt).max_output_tokens(most_output);
    let mut request = if stream { chat.stream().build() } else { chat.build() };
    request.context_mut().set_target(Target::new("sim", model));
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

/// The number of the call that the provider has seen.
pub(crate) fn number(received: &Received) -> usize {
    let body = std::str::from_utf8(&received.body).unwrap();
    let at = body.find("Call ").expect("every prompt begins like this") + "Call ".len();
    body[at..at + 4].parse().unwrap()
}

/// The provider, and the stack before it.
pub(crate) struct Stage {
    pub(crate) sim: SimServer,
    pub(crate) recorder: Recorder,
    pub(crate) budget: BudgetHandle,
    pub(crate) service: BoxLlmService,
    catalog: Arc<Catalog>,
}

impl Stage {
    pub(crate) async fn new(dialect: ProviderDialect, budget: BudgetLayer) -> Self {
        Self::of(FAULTS.map(|(name, fault)| model(name, fault)).into(), dialect, budget).await
    }

    pub(crate) async fn of(models: Vec<ModelConfig>, dialect: ProviderDialect, budget: BudgetLayer) -> Self {
        let (recorder, catalog) = (Recorder::default(), prices(&models));
        let sim = serve(SimConfig::new(models)).await;
        let budget = budget.catalog(Arc::clone(&catalog)).ledger(Arc::new(recorder.clone()));
        let handle = budget.handle();
        let provider = provider("sim", dialect, &sim, &catalog);
        let service = BoxLlmService::new(ServiceBuilder::new().layer(budget).service(provider));
        Self { sim, recorder, budget: handle, service, catalog }
    }

    pub(crate) async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.service.clone().oneshot(request).await
    }

    /// How acme stands.
    pub(crate) fn balance(&self) -> Balance {
        let key = AccountKey { tenant: Some("acme".into()), ..AccountKey::new("per-tenant") };
        self.budget.account(&key).expect("it has been called").balances[0]
    }

    /// What the provider bills for a call, by its own log.
    pub(crate) fn billed(&self, received: &Received) -> NanoUsd {
        let model = received.model.as_deref().unwrap();
        let price = self.catalog.get(None, model).unwrap().price.as_ref().unwrap();
        received.usage.map_or(NanoUsd::ZERO, |usage| price.cost(&usage).total())
    }

    /// The same for all calls so far.
    pub(crate) fn billed_in_all(&self) -> NanoUsd {
        self.sim.log().iter().map(|received| self.billed(received)).sum()
    }
}

pub(crate) async fn serve(config: SimConfig) -> SimServer {
    Sim::try_from(config).unwrap().serve("127.0.0.1:0").await.unwrap()
}

/// A provider of this name, which is that simulated one.
pub(crate) fn provider(
    name: &str,
    dialect: ProviderDialect,
    sim: &SimServer,
    catalog: &Arc<Catalog>,
) -> Provider<Client> {
    let base_url = sim.base_url().parse().unwrap();
    let layer = match dialect {
        ProviderDialect::OpenAi => ProviderLayer::openai(name, base_url),
        ProviderDialect::Anthropic => ProviderLayer::anthropic(name, base_url),
    };
    layer.catalog(Arc::clone(catalog)).layer(Client::default())
}
