//! The layer that does nothing.

use std::task::{Context, Poll};

use llm_core::LlmRequest;
use tower_layer::Layer;
use tower_service::Service;

/// A layer that hands everything on as it is, and so keeps every law. A place to start from when writing a layer, and
/// a stand-in where a stack needs one.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassThroughLayer;

impl<S> Layer<S> for PassThroughLayer {
    type Service = PassThrough<S>;

    fn layer(&self, inner: S) -> PassThrough<S> {
        PassThrough { inner }
    }
}

/// The service of [`PassThroughLayer`]. Its clones are as unready as those of the inner service.
#[derive(Clone, Debug)]
pub struct PassThrough<S> {
    inner: S,
}

impl<S: Service<LlmRequest>> Service<LlmRequest> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> S::Future {
        self.inner.call(request)
    }
}
