//! The service.

use std::task::{Context, Poll};

use llm_core::{Error, LlmRequest, LlmResponse, Striped};
use tower::Service;

use crate::{BudgetHandle, ResponseFuture, bid, shared::Shared};

/// A service whose calls are paid for. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Budget<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Budget<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to watch and control it with.
    pub fn handle(&self) -> BudgetHandle {
        BudgetHandle::new(self.shared.clone())
    }
}

impl<S> Service<LlmRequest> for Budget<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        // It is the clone that is readied and called, once the future is polled and the money is there.
        ResponseFuture::new(bid::admit(&self.shared, request), self.inner.clone())
    }
}
