//! The service.

use std::task::{Context, Poll};

use llm_core::{Error, LlmRequest, LlmResponse, Striped};
use tokio::time::Instant;
use tower_service::Service;

use crate::{ResponseFuture, TimeoutHandle, call::Call, state::State};

/// A service whose calls must come to something in time. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    pub(crate) inner: S,
    pub(crate) state: Striped<State>,
}

impl<S> Timeout<S> {
    /// A handle to watch it with.
    pub fn handle(&self) -> TimeoutHandle {
        TimeoutHandle { state: self.state.clone() }
    }
}

impl<S> Service<LlmRequest> for Timeout<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let call = Call::new(&request, self.state.clone(), Instant::now());
        if call.terms.is_late() {
            // The instance that was readied is not called, so it must not keep its permit.
            let not_ready = self.inner.clone();
            self.inner = not_ready;
            return ResponseFuture::refused(call.refuse());
        }
        ResponseFuture::called(self.inner.call(request), call)
    }
}
