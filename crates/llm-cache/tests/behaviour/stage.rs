//! What the stories have in common.

use std::time::Duration;

use llm_cache::{Cache, CacheHandle, CacheLayer};
use llm_core::{CacheDirective, CacheStatus, Caller, Error, LlmRequest, LlmResponse, Output};
use llm_test::{Answer, Probe, ProbeLog};
use tower::{Layer, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// A cache over a probe.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) service: Cache<Probe>,
    pub(crate) handle: CacheHandle,
    pub(crate) log: ProbeLog,
}

impl Stage {
    pub(crate) fn new(layer: CacheLayer, probe: Probe) -> Self {
        let log = probe.log();
        Self { handle: layer.handle(), service: layer.layer(probe), log }
    }

    /// The default cache, with these answers one after the other and then the last for ever.
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::new(CacheLayer::new(), Probe::new().script(answers))
    }

    pub(crate) async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.service.clone().oneshot(request).await
    }

    /// A call to its end: what the cache had to do with it, and the text.
    pub(crate) async fn ask(&self, request: LlmRequest) -> Result<(CacheStatus, String), Error> {
        let response = self.call(request).await?;
        let status = response.head.cache;
        Ok((status, response.body.collect().await?.first_text()))
    }

    /// The whole answer.
    pub(crate) async fn output(&self, request: LlmRequest) -> Output {
        self.call(request).await.unwrap().body.collect().await.unwrap()
    }
}

/// A question that is answered alike each time.
pub(crate) fn question() -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Why is the sky blue?").temperature(0.0).build()
}

/// The same, streamed.
pub(crate) fn streamed() -> LlmRequest {
    LlmRequest::chat("gpt-4o").user("Why is the sky blue?").temperature(0.0).stream().build()
}

pub(crate) fn with(mut request: LlmRequest, directive: CacheDirective) -> LlmRequest {
    request.context_mut().set_cache(directive);
    request
}

pub(crate) fn of_tenant(mut request: LlmRequest, tenant: &str) -> LlmRequest {
    request.context_mut().set_caller(Caller::tenant(tenant));
    request
}

pub(crate) fn is_hit(status: CacheStatus) -> bool {
    matches!(status, CacheStatus::Hit { .. })
}
