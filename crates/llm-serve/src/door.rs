//! The door: an http service in front of a model service.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use llm_core::{Error, LlmRequest, LlmResponse};
use tower::BoxError;
use tower_service::Service;

use crate::{
    DoorBody, DoorOptions, ModelList, ResponseFuture,
    dialect::CallerDialect,
    endpoint::{Endpoint, relative},
    exchange::post,
    models,
    refusal::Refusal,
    remaining::{Remaining, Teller},
    responder::Responder,
};

/// Serves clients of models' APIs with the help of a model service `S`.
///
/// The constructors say what is served. See the [crate docs](crate).
#[derive(Clone)]
pub struct Door<S> {
    inner: S,
    serves: Serves,
    options: DoorOptions,
    remaining: Option<Teller>,
}

#[derive(Clone, Debug)]
enum Serves {
    /// One endpoint, wherever the door is mounted.
    One(Endpoint),
    /// The endpoints of one dialect, or of all, at their paths, and the list of models.
    All { dialect: Option<CallerDialect>, models: ModelList },
}

impl<S> Door<S> {
    /// Serves clients of OpenAI's and of Anthropic's API, each in their own dialect.
    ///
    /// | path | method | dialect |
    /// |---|---|---|
    /// | `/v1/chat/completions`, `/v1/embeddings` | `POST` | OpenAI's |
    /// | `/v1/messages`, `/v1/messages/count_tokens` | `POST` | Anthropic's |
    /// | `/v1/models`, `/v1/models/{id}` | `GET`, `HEAD` | Anthropic's with a header `anthropic-version`, else OpenAI's |
    /// | any other | | Anthropic's with that header or below `/v1/messages`, else OpenAI's |
    ///
    /// The `/v1` may be missing, because routers such as axum's `nest_service` take off the prefix they were given. One
    /// slash at the end is ignored. The list of models is only told: which models can be called is for `inner` to say.
    pub fn new(inner: S, models: impl Into<ModelList>) -> Self {
        Self::serving(inner, Serves::All { dialect: None, models: models.into() })
    }

    /// Serves clients of OpenAI's API: what [`new`](Self::new) serves them, and everything else refused in their
    /// dialect.
    pub fn openai(inner: S, models: impl Into<ModelList>) -> Self {
        Self::serving(inner, Serves::All { dialect: Some(CallerDialect::OpenAi), models: models.into() })
    }

    /// Serves clients of Anthropic's API: what [`new`](Self::new) serves them, and everything else refused in their
    /// dialect. The list of models comes in pages, as `limit`, `after_id` and `before_id` ask for them.
    pub fn anthropic(inner: S, models: impl Into<ModelList>) -> Self {
        Self::serving(inner, Serves::All { dialect: Some(CallerDialect::Anthropic), models: models.into() })
    }

    /// Serves OpenAI's `POST /v1/chat/completions`, whole and streamed, at whatever path the door is mounted.
    pub fn chat_completions(inner: S) -> Self {
        Self::serving(inner, Serves::One(Endpoint::ChatCompletions))
    }

    /// Serves OpenAI's `POST /v1/embeddings` at whatever path the door is mounted.
    pub fn embeddings(inner: S) -> Self {
        Self::serving(inner, Serves::One(Endpoint::Embeddings))
    }

    /// Serves Anthropic's `POST /v1/messages`, whole and streamed, at whatever path the door is mounted.
    pub fn messages(inner: S) -> Self {
        Self::serving(inner, Serves::One(Endpoint::Messages))
    }

    /// Serves Anthropic's `POST /v1/messages/count_tokens` at whatever path the door is mounted.
    pub fn count_tokens(inner: S) -> Self {
        Self::serving(inner, Serves::One(Endpoint::CountTokens))
    }

    fn serving(inner: S, serves: Serves) -> Self {
        Self { inner, serves, options: DoorOptions::new(), remaining: None }
    }

    /// Replaces the options. Defaults to [`DoorOptions::new`].
    pub fn options(self, options: DoorOptions) -> Self {
        Self { options, ..self }
    }

    /// Tells callers what is left of what they may use, in headers of everything that comes of a call: of an answer when it
    /// is over, of a stream when it begins, and of a failure. `tell` is asked then, with the request as it came in. Off by
    /// default.
    ///
    /// | header | says |
    /// |---|---|
    /// | `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests`, and the same of `tokens` | to OpenAI's clients: of limits, with the time until all is there again as a Go duration (`6m0s`) |
    /// | `anthropic-ratelimit-requests-limit`, `-remaining`, `-reset`, and the same of `tokens`, `input-tokens` and `output-tokens` | to Anthropic's: the same, with that instant (RFC 3339) |
    /// | `x-llm-budget` | of up to eight budgets, in dollars, and the seconds until all is there again: `"per-tenant";left="1.94003";cap="2.00";reset=3600` |
    pub fn remaining(self, tell: impl Fn(&LlmRequest) -> Remaining + Send + Sync + 'static) -> Self {
        Self { remaining: Some(Teller::new(tell)), ..self }
    }
}

impl<S, B> Service<Request<B>> for Door<S>
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
        let (dialect, models) = match &self.serves {
            Serves::One(endpoint) => return post(&self.inner, *endpoint, self.options, &self.remaining, request),
            Serves::All { dialect, models } => {
                (dialect.unwrap_or_else(|| CallerDialect::of(request.uri(), request.headers())), models)
            }
        };
        let path = relative(request.uri().path());
        if let Some(endpoint) = Endpoint::at(path).filter(|endpoint| endpoint.dialect() == dialect) {
            return post(&self.inner, endpoint, self.options, &self.remaining, request);
        }
        ResponseFuture::ready(match path.strip_prefix("/models/").or((path == "/models").then_some("")) {
            Some(id) => models::answer(models, id, dialect, &request),
            None => Responder::new(dialect, request.headers(), &self.options).refuse(&Refusal::unknown_path()),
        })
    }
}

impl<S> fmt::Debug for Door<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("serves", &self.serves).field("options", &self.options).finish_non_exhaustive()
    }
}
