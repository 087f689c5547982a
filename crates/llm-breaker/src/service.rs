//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Striped, watch_end};
use tower::{Service, util::Oneshot};

use crate::{
    BreakerHandle, ResponseFuture,
    call::{Admitted, InFlight},
    names::Names,
    shared::{Shared, Which},
    slow::{Timed, Timer},
    state::{Reason, Refusal},
};

/// A service that is left alone while it keeps failing. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Breaker<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Breaker<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to watch and control it with.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(self.shared.clone())
    }
}

impl<S> Service<LlmRequest> for Breaker<S>
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
        let (names, is_shared) = self.shared.circuit_of(request.target_or_model());
        let ticket = match self.shared.admit(names, request.context().is_probe()) {
            Ok(ticket) => ticket,
            Err((which, refusal)) => return ResponseFuture::rejected(rejection(&request, which, refusal)),
        };
        let admitted = Admitted { shared: self.shared.clone(), names: Names::new(names, is_shared), ticket };
        let slow_after = self.shared.slow_after(names);
        let was_slow = slow_after.map(|_| Arc::default());
        let timer = slow_after.zip(was_slow.clone()).map(|(after, slow)| Timer::new(after, admitted.clone(), slow));
        // It is the clone that is readied and called, once the future is polled.
        let inner = self.inner.clone();
        let answer = Timed::new(Oneshot::new(inner, request), timer);
        ResponseFuture::called(watch_end(answer, InFlight { admitted, was_slow }))
    }
}

/// The error of a call that may not be made.
fn rejection(request: &LlmRequest, which: Which, refusal: Refusal) -> Error {
    let message = match (which, refusal.reason) {
        (Which::Target, Reason::Open) => "the circuit of the target is open",
        (Which::Target, Reason::Probing) => "the circuit of the target is open, and being tried by another call",
        (Which::Target, Reason::Cooling) => "the target is cooling, as its provider asked",
        (Which::Target, Reason::Forced) => "the circuit of the target was opened by hand",
        (Which::Key, Reason::Open) => "the circuit of the provider's key is open",
        (Which::Key, Reason::Probing) => "the circuit of the provider's key is open, and being tried by another call",
        (Which::Key, Reason::Cooling) => "the provider's key is cooling, as the provider asked",
        (Which::Key, Reason::Forced) => "the circuit of the provider's key was opened by hand",
    };
    let context = request.context();
    let mut error = Error::new(ErrorKind::CircuitOpen, message).with_trail(context.trail());
    if let Some(wait) = refusal.wait {
        error = error.with_retry_after(Duration::from_millis(wait));
    }
    if let Some(target) = context.target() {
        error = error.with_target(target.clone());
    }
    context.trail().fail(context.attempt(), context.target(), &error);
    error
}
