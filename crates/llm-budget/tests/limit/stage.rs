//! Limits around scripted providers.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use llm_budget::{
    Per,
    limit::{LimitHandle, LimitLayer, LimitRule, LimitStatus},
};
use llm_core::{
    Caller, Error, ErrorKind, LlmRequest, LlmResponse, Output, TargetRef, TokenFamily, Usage, estimate_prompt,
};
use llm_test::{Answer, Probe};
use tower::{Layer, ServiceExt};

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("it is not zero")
}

pub(super) fn many(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("it is not zero")
}

pub(super) fn per_tenant() -> LimitRule {
    LimitRule::new("per-tenant", Per::TENANT)
}

pub(super) fn ask_for(tenant: &str, model: &str) -> LlmRequest {
    let mut request = LlmRequest::chat(model).user("hi").build();
    request.context_mut().set_caller(Caller::tenant(tenant));
    request
}

/// A model of nobody's.
pub(super) fn model(model: &str) -> TargetRef<'_> {
    TargetRef { provider: "", model, key: None }
}

pub(super) fn ask() -> LlmRequest {
    ask_for("acme", "gpt-4o")
}

/// A call that may have so many tokens of output.
pub(super) fn ask_up_to(tokens: u64) -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("hi").max_output_tokens(tokens).build();
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

/// The tokens of every one of these prompts.
pub(super) fn prompt() -> u64 {
    estimate_prompt(ask().payload(), TokenFamily::default()).likely
}

pub(super) fn using(usage: Usage) -> Answer {
    let mut output = Output::text("fine");
    output.set_usage(usage);
    Answer::whole(output)
}

pub(super) fn ok() -> Answer {
    using(Usage::reported(10, 5))
}

/// A layer. Each call through it goes to a provider of its own: what is counted is the layer's.
pub(super) struct Stage {
    pub(super) layer: LimitLayer,
    pub(super) handle: LimitHandle,
}

pub(super) type Call = BoxFuture<'static, Result<LlmResponse, Error>>;

impl Stage {
    pub(super) fn new(limits: impl IntoIterator<Item = LimitRule>) -> Self {
        Self::with(LimitLayer::new(limits))
    }

    pub(super) fn with(layer: LimitLayer) -> Self {
        Self { handle: layer.handle(), layer }
    }

    pub(super) fn begin(&self, request: LlmRequest, answer: Answer) -> Call {
        self.layer.layer(Probe::answering(answer)).oneshot(request).boxed()
    }

    /// A call that is waiting for its provider.
    pub(super) fn under_way(&self, request: LlmRequest) -> Call {
        let mut call = self.begin(request, Answer::hang());
        assert!((&mut call).now_or_never().is_none(), "the call was not let through to its provider");
        call
    }

    /// A whole call, read to its end.
    pub(super) async fn send(&self, request: LlmRequest, answer: Answer) -> Result<Output, Error> {
        self.begin(request, answer).await?.body.collect().await
    }

    pub(super) async fn call(&self) -> Result<Output, Error> {
        self.send(ask(), ok()).await
    }

    /// The error of a call that is refused, and does not reach the provider.
    pub(super) fn refused(&self, request: LlmRequest) -> Error {
        let probe = Probe::new().never_ready();
        let log = probe.log();
        let answer = self.layer.layer(probe).oneshot(request).now_or_never().expect("it does not wait");
        let error = answer.expect_err("the call was let through");
        assert_eq!((error.kind(), log.calls()), (ErrorKind::LimitExceeded, 0));
        error
    }

    /// How long a call would have to wait that is refused.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.refused(ask()).retry_after()
    }

    /// How the tenant stands under the first limit.
    pub(super) fn status(&self) -> LimitStatus {
        self.handle.status(&Caller::tenant("acme"), model("gpt-4o")).swap_remove(0)
    }

    pub(super) fn tokens_left(&self) -> i64 {
        self.status().tokens_left.expect("tokens are limited")
    }
}
