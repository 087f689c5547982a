//! The service.

use std::task::{Context, Poll};

use llm_core::{Error, LlmRequest, LlmResponse, Striped, watch};
use tower::{Service, util::Oneshot};

use super::{LimitHandle, ResponseFuture, call::InFlight, shared::Shared};

/// A service of which each caller may use so much. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Limit<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Limit<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to watch it with.
    pub fn handle(&self) -> LimitHandle {
        LimitHandle::new(self.shared.clone())
    }
}

impl<S> Service<LlmRequest> for Limit<S>
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
        let admitted = match self.shared.admit(&request) {
            Ok(admitted) => admitted,
            Err(error) => return ResponseFuture::refused(error),
        };
        let in_flight = InFlight { shared: self.shared.clone(), admitted };
        // It is the clone that is readied and called, once the future is polled.
        let inner = self.inner.clone();
        ResponseFuture::called(watch(&request.clone(), Oneshot::new(inner, request), in_flight))
    }
}
