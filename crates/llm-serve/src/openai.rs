//! All doors of the OpenAI dialect behind one service.

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

use crate::{
    DoorBody, DoorOptions, ModelList, ResponseFuture, exchange::post, models, refusal::Refusal, responder::Responder,
};

/// Serves what clients of OpenAI's API look for, and refuses everything else in their dialect.
///
/// | path | method |
/// |---|---|
/// | `/v1/chat/completions` | `POST` |
/// | `/v1/embeddings` | `POST` |
/// | `/v1/models`, `/v1/models/{id}` | `GET`, `HEAD` |
///
/// The `/v1` may be missing, because routers such as axum's `nest_service` take off the prefix they were given. One
/// slash at the end is ignored. See the [crate docs](crate).
#[derive(Clone)]
pub struct OpenAiDoor<S> {
    inner: S,
    models: ModelList,
    options: DoorOptions,
}

impl<S> OpenAiDoor<S> {
    /// A door to `inner` that tells of `models`, with the default options.
    ///
    /// The list is only told: which models can be called is for `inner` to say.
    pub fn new(inner: S, models: impl Into<ModelList>) -> Self {
        Self { inner, models: models.into(), options: DoorOptions::new() }
    }

    /// Replaces the options.
    pub fn options(self, options: DoorOptions) -> Self {
        Self { options, ..self }
    }
}

impl<S, B> Service<Request<B>> for OpenAiDoor<S>
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
        let path = request.uri().path();
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let model = path.strip_prefix("/models/").or((path == "/models").then_some(""));
        match path {
            "/chat/completions" => post(&self.inner, openai::decode_chat, self.options, request),
            "/embeddings" => post(&self.inner, openai::decode_embed, self.options, request),
            _ => ResponseFuture::ready(match model {
                Some(id) => models::answer(&self.models, id, request.method(), request.headers()),
                None => Responder::new(request.headers(), &self.options).refuse(&Refusal::unknown_path()),
            }),
        }
    }
}

impl<S> fmt::Debug for OpenAiDoor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiDoor")
            .field("models", &self.models)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
