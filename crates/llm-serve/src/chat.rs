//! The door for chat completions.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use llm_core::{Error, LlmRequest, LlmResponse};
use llm_wire::openai;
use tower::BoxError;
use tower_service::Service;

use crate::{DoorBody, DoorOptions, ResponseFuture, exchange::post};

/// Serves OpenAI's `POST /v1/chat/completions`, whole and streamed, at whatever path it is mounted.
///
/// See the [crate docs](crate).
#[derive(Clone)]
pub struct ChatCompletions<S> {
    inner: S,
    options: DoorOptions,
}

impl<S> ChatCompletions<S> {
    /// A door to `inner` with the default options.
    pub fn new(inner: S) -> Self {
        Self { inner, options: DoorOptions::new() }
    }

    /// Replaces the options.
    pub fn options(self, options: DoorOptions) -> Self {
        Self { options, ..self }
    }
}

impl<S, B> Service<Request<B>> for ChatCompletions<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<DoorBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        post(&self.inner, openai::decode_chat, self.options, request)
    }
}

impl<S> fmt::Debug for ChatCompletions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatCompletions").field("options", &self.options).finish_non_exhaustive()
    }
}
