//! The service.

use std::task::{Context, Poll};

use llm_core::{LlmRequest, LlmResponse, Striped};
use tower_service::Service;

use crate::shared::Shared;

/// A service whose requests are classified. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Classify<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Classify<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S> Service<LlmRequest> for Classify<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
{
    type Response = LlmResponse;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: LlmRequest) -> S::Future {
        self.shared.judge(&mut request);
        self.inner.call(request)
    }
}
