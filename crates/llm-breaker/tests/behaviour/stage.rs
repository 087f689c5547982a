//! A breaker around scripted providers.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use llm_breaker::{BreakerHandle, BreakerLayer, CircuitRules, CircuitState, CircuitStatus, OpenTime};
use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output, Target};
use llm_test::{Answer, Probe};
use tower::{Layer, ServiceExt};

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The rules of `interactive`, without jitter.
pub(super) fn rules() -> CircuitRules {
    CircuitRules::interactive().open_for(OpenTime::default().jitter(0.0).expect("none is possible"))
}

pub(super) fn failing(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "as the script says"))
}

pub(super) fn target() -> Target {
    Target::new("openai", "gpt-4o")
}

pub(super) fn ask_for(provider: &str, model: &str) -> LlmRequest {
    let mut request = LlmRequest::chat(model).user("hi").build();
    request.context_mut().set_target(Target::new(provider, model));
    request
}

pub(super) fn ask() -> LlmRequest {
    ask_for("openai", "gpt-4o")
}

pub(super) fn streamed() -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("hi").stream().build();
    request.context_mut().set_target(target());
    request
}

/// A layer. Each call through it goes to a provider of its own: the circuits are the layer's.
pub(super) struct Stage {
    pub(super) layer: BreakerLayer,
    pub(super) handle: BreakerHandle,
}

pub(super) type Call = BoxFuture<'static, Result<LlmResponse, Error>>;

impl Stage {
    pub(super) fn new(rules: CircuitRules) -> Self {
        Self::with(BreakerLayer::new().rules(rules))
    }

    pub(super) fn with(layer: BreakerLayer) -> Self {
        Self { handle: layer.handle(), layer }
    }

    /// A call that the provider gives this answer to, if it gets there.
    pub(super) fn begin(&self, request: LlmRequest, answer: Answer) -> Call {
        self.layer.layer(Probe::answering(answer)).oneshot(request).boxed()
    }

    /// One that is waiting for its provider.
    pub(super) fn under_way(&self, answer: Answer) -> Call {
        let mut call = self.begin(ask(), answer);
        assert!((&mut call).now_or_never().is_none(), "the call was not let through to its provider");
        call
    }

    /// A whole call, read to its end.
    pub(super) async fn send(&self, request: LlmRequest, answer: Answer) -> Result<Output, Error> {
        self.begin(request, answer).await?.body.collect().await
    }

    pub(super) async fn call(&self, answer: Answer) -> Result<Output, Error> {
        self.send(ask(), answer).await
    }

    /// Calls that fail.
    pub(super) async fn fail(&self, times: usize) {
        for _ in 0..times {
            let error = self.call(failing(ErrorKind::Server)).await.expect_err("it fails");
            assert_eq!(error.kind(), ErrorKind::Server);
        }
    }

    /// As many failures as it takes to open the closed circuit.
    pub(super) async fn open(&self) {
        self.fail(8).await;
        assert!(matches!(self.state(), CircuitState::Open { .. }));
    }

    /// The error of a call that is rejected, and does not reach the provider.
    pub(super) async fn rejected(&self) -> Error {
        let probe = Probe::new();
        let log = probe.log();
        let error = self.layer.layer(probe).oneshot(ask()).await.expect_err("the call was let through");
        assert_eq!((error.kind(), log.calls()), (ErrorKind::CircuitOpen, 0));
        error
    }

    pub(super) fn status(&self) -> CircuitStatus {
        self.handle.status(&target())
    }

    pub(super) fn state(&self) -> CircuitState {
        self.status().state
    }
}
