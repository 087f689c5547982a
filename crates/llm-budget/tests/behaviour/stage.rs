//! What the stories share: models with round prices, callers, and a layer around a scripted provider.

use std::sync::Arc;

use futures_util::StreamExt;
use llm_budget::{AccountKey, AccountStatus, Balance, BudgetHandle, BudgetLayer, Cap, CapRule, Per, Streams, Window};
use llm_core::{
    Body, Caller, ChatOutput, Error, Frame, LlmRequest, LlmResponse, NanoUsd, Output, Target, Usage, catalog::Catalog,
};
use llm_test::{Answer, Frames, Probe};
use tower::{Layer, ServiceExt};

/// A nano-dollar amount of this many thousandths of a dollar.
pub(crate) fn mills(mills: u64) -> NanoUsd {
    NanoUsd(mills * 1_000_000)
}

/// What an output token of `m` costs: five thousandths of a cent, so that 1,200 are $0.06.
pub(crate) const TOKEN: u64 = 50_000;

/// `m` charges for output only, `cached` for every kind of token, `unpriced` nobody knows what.
pub(crate) fn catalog() -> Arc<Catalog> {
    let text = r#"
        [[models]]
        name = "m"
        aliases = ["alias"]
        input = 0.0
        output = 50.0
        max_output = 5000

        [[models]]
        name = "cached"
        input = 10.0
        cache_read = 1.0
        cache_write = 12.5
        output = 50.0

        [[models]]
        name = "unpriced"
    "#;
    Arc::new(Catalog::from_toml(text).unwrap())
}

pub(crate) fn per_tenant(amount: NanoUsd) -> CapRule {
    CapRule::new("per-tenant", Per::TENANT, Cap::new(amount, Window::DAY))
}

pub(crate) fn ask_for(model: &str, tenant: &str, most_output: u64) -> LlmRequest {
    let mut request = LlmRequest::chat(model).user("Why?").max_output_tokens(most_output).build();
    request.context_mut().set_target(Target::new("openai", model));
    request.context_mut().set_caller(Caller::tenant(tenant));
    request
}

/// A call of acme's that may cost up to $0.15.
pub(crate) fn ask() -> LlmRequest {
    ask_for("m", "acme", 3_000)
}

/// The same with an answer in pieces.
pub(crate) fn streamed(most_output: u64) -> LlmRequest {
    let mut request = LlmRequest::chat("m").user("Why?").max_output_tokens(most_output).stream().build();
    *request.context_mut() = ask().context().clone();
    request
}

/// A whole answer of so many tokens.
pub(crate) fn answer(output: u64) -> Answer {
    used(Usage::reported(10, output))
}

pub(crate) fn used(usage: Usage) -> Answer {
    let output = Output::text("because");
    let Output::Chat(chat) = output else { panic!("a text is a chat") };
    Answer::whole(ChatOutput { usage: Some(usage), ..chat })
}

/// A stream of so many words, a token each by estimate, and a report of as many.
pub(crate) fn words(count: u64) -> Frames {
    (0..count).fold(Frames::new().start(), |frames, _| frames.text("why "))
}

/// All that comes of a body.
pub(crate) async fn frames(body: Body) -> Vec<Result<Frame, Error>> {
    StreamExt::collect(body).await
}

pub(crate) fn whole(count: u64) -> Frames {
    words(count).usage(Usage::reported(10, count)).finish().last()
}

/// A layer, and what watches it.
pub(crate) struct Stage {
    pub(crate) layer: BudgetLayer,
    pub(crate) handle: BudgetHandle,
}

impl Stage {
    pub(crate) fn new(rules: impl IntoIterator<Item = CapRule>) -> Self {
        Self::of(BudgetLayer::new(rules), |layer| layer)
    }

    pub(crate) fn worst_case(rules: impl IntoIterator<Item = CapRule>) -> Self {
        Self::of(BudgetLayer::new(rules), |layer| layer.streams(Streams::WorstCase))
    }

    pub(crate) fn of(layer: BudgetLayer, change: impl FnOnce(BudgetLayer) -> BudgetLayer) -> Self {
        let layer = change(layer.catalog(catalog()));
        Self { handle: layer.handle(), layer }
    }

    /// A layer that takes the place of another.
    pub(crate) fn resuming(layer: BudgetLayer, previous: &Self) -> Self {
        let layer = layer.catalog(catalog()).resuming(&previous.handle);
        Self { handle: layer.handle(), layer }
    }

    pub(crate) async fn send(&self, request: LlmRequest, answer: Answer) -> Result<LlmResponse, Error> {
        self.layer.layer(Probe::answering(answer)).oneshot(request).await
    }

    /// The request as the provider gets it.
    pub(crate) async fn sent(&self, request: LlmRequest) -> LlmRequest {
        let probe = Probe::answering(answer(1));
        let log = probe.log();
        self.layer.layer(probe).oneshot(request).await.unwrap();
        log.requests().remove(0)
    }

    pub(crate) fn status(&self, tenant: &str) -> AccountStatus {
        self.handle.account(&key(tenant)).expect("it has an account")
    }

    pub(crate) fn balance(&self, tenant: &str) -> Balance {
        self.status(tenant).balances[0]
    }

    pub(crate) fn spent(&self) -> NanoUsd {
        self.balance("acme").spent
    }

    pub(crate) fn reserved(&self) -> NanoUsd {
        self.balance("acme").reserved
    }
}

pub(crate) fn key(tenant: &str) -> AccountKey {
    AccountKey { tenant: Some(tenant.into()), ..AccountKey::new("per-tenant") }
}
