//! Layers that get readiness and rejection wrong.

use std::task::{Context, Poll, ready};

use llm_core::{BoxLlmService, Error, ErrorKind, LlmRequest};
use llm_test::{Answer, PassThroughLayer, Subject};
use tower::{Layer, Service, ServiceExt, layer::layer_fn, service_fn, util::BoxCloneSyncService};

type Future = <BoxLlmService as Service<LlmRequest>>::Future;

fn rejection() -> Error {
    Error::new(ErrorKind::LimitExceeded, "too many calls at once")
}

/// The classic: the clone that is called was never readied.
pub(crate) fn calls_an_unready_clone() -> Subject {
    let wrap = |inner: BoxLlmService| {
        BoxCloneSyncService::new(service_fn(move |request: LlmRequest| inner.clone().call(request)))
    };
    Subject::stack("calls an unready clone", wrap).always_ready()
}

/// Readies once, and calls the same instance twice.
pub(crate) fn retries_without_readying() -> Subject {
    let wrap = |inner: BoxLlmService| {
        BoxCloneSyncService::new(service_fn(move |request: LlmRequest| {
            let mut inner = inner.clone();
            async move {
                match inner.ready().await?.call(request.clone()).await {
                    Err(error) if error.kind() == ErrorKind::Overloaded => inner.call(request).await,
                    answered => answered,
                }
            }
        }))
    };
    let busy = Answer::fail(Error::new(ErrorKind::Overloaded, "busy"));
    Subject::stack("retries without readying", wrap).always_ready().calls_again(busy)
}

/// Remembers that it is ready, and lets its clones remember it too.
#[derive(Clone, Debug)]
struct Remembering {
    inner: BoxLlmService,
    is_ready: bool,
}

impl Service<LlmRequest> for Remembering {
    type Response = llm_core::LlmResponse;
    type Error = Error;
    type Future = Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.is_ready {
            ready!(self.inner.poll_ready(cx))?;
            self.is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Future {
        self.is_ready = false;
        self.inner.call(request)
    }
}

pub(crate) fn clones_its_readiness() -> Subject {
    let wrap = |inner| BoxCloneSyncService::new(Remembering { inner, is_ready: false });
    Subject::stack("clones its readiness", wrap)
}

/// Passes readiness through, then rejects, and goes on holding the instance it made ready.
#[derive(Clone, Debug)]
struct Rejecting {
    inner: BoxLlmService,
}

impl Service<LlmRequest> for Rejecting {
    type Response = llm_core::LlmResponse;
    type Error = Error;
    type Future = Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _: LlmRequest) -> Future {
        Box::pin(async { Err(rejection()) })
    }
}

pub(crate) fn rejects_and_stays_ready() -> Subject {
    Subject::new("rejects and stays ready", PassThroughLayer).rejecting(|| layer_fn(|inner| Rejecting { inner }))
}

/// Is always ready, but asks the inner service before it decides.
pub(crate) fn readies_before_it_rejects() -> Subject {
    let always_ready = |inner: BoxLlmService| {
        BoxCloneSyncService::new(service_fn(move |request: LlmRequest| inner.clone().oneshot(request)))
    };
    let rejecting = || {
        layer_fn(|inner: BoxLlmService| {
            service_fn(move |_: LlmRequest| {
                let mut inner = inner.clone();
                async move {
                    inner.ready().await?;
                    Err::<llm_core::LlmResponse, _>(rejection())
                }
            })
        })
    };
    Subject::stack("readies before it rejects", always_ready).always_ready().rejecting(rejecting)
}

/// Says with `poll_ready` that it is dead, where it only means "no".
#[derive(Clone, Debug)]
struct Dead;

impl Service<LlmRequest> for Dead {
    type Response = llm_core::LlmResponse;
    type Error = Error;
    type Future = Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Err(rejection()))
    }

    fn call(&mut self, _: LlmRequest) -> Future {
        Box::pin(async { Err(rejection()) })
    }
}

#[derive(Clone, Debug)]
struct DeadLayer;

impl<S> Layer<S> for DeadLayer {
    type Service = Dead;

    fn layer(&self, _: S) -> Dead {
        Dead
    }
}

pub(crate) fn rejects_in_poll_ready() -> Subject {
    Subject::new("rejects in poll_ready", PassThroughLayer).rejecting(|| DeadLayer)
}
