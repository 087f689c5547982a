//! The service: one model call is one http exchange.

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT, CONTENT_TYPE, Entry, USER_AGENT},
};
use http_body::Body;
use http_body_util::Full;
use llm_core::{
    ConfigError, Error, ErrorKind, Head, LlmRequest, LlmResponse, Payload, Provenance, Target, TokenCount, TokenFamily,
    watch,
};
use llm_wire::EncodeOptions;
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Client, ProviderConfig, ProviderLayer, attempt::AttemptObserver, betas, exchange::Exchange, failure,
    layer::Settings,
};

/// A model provider over the http client `S`. See the [crate docs](crate).
#[derive(Clone)]
pub struct Provider<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Provider<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }
}

/// The provider over a [`Client`] of its own.
///
/// # Errors
/// As for [`ProviderLayer`] and [`Client`].
impl TryFrom<ProviderConfig> for Provider<Client> {
    type Error = ConfigError;

    fn try_from(config: ProviderConfig) -> Result<Self, ConfigError> {
        let client = Client::try_from(config.client.clone())?;
        Ok(ProviderLayer::try_from(config)?.layer(client))
    }
}

/// The future of [`Provider`]. Dropping it cancels the http exchange.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

impl<S, B> Service<LlmRequest> for Provider<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| failure::of_exchange(error.into()))
    }

    fn call(&mut self, request: LlmRequest) -> ResponseFuture {
        let target = request.context().target().cloned();
        let target = target.unwrap_or_else(|| Target::new(&*self.settings.name, request.model()));
        let attempt = AttemptObserver::begin(&request, &target, Arc::clone(&self.settings));
        let answer = match self.settings.plan(&request, &target) {
            Ok(Plan::Ask(http)) => {
                let exchange = Exchange { request: request.clone(), target, settings: Arc::clone(&self.settings) };
                let response = self.inner.call(http);
                return Box::pin(watch(&request, exchange.run(response), attempt));
            }
            Ok(Plan::Answer(response)) => Ok(response),
            Err(error) => Err(error.with_target(target).with_trail(request.context().trail())),
        };
        // The readied instance is not called, so what it holds for the call is given back.
        self.inner = self.inner.clone();
        Box::pin(watch(&request, ready(answer), attempt))
    }
}

/// What is done about a call.
enum Plan {
    /// The provider is asked.
    Ask(Request<Full<Bytes>>),
    /// The answer is known without it.
    Answer(LlmResponse),
}

impl Settings {
    fn plan(&self, request: &LlmRequest, target: &Target) -> Result<Plan, Error> {
        let endpoint = match request.payload() {
            Payload::Chat(_) => &self.endpoints.chat,
            Payload::Embed(_) => {
                let nowhere = || Error::new(ErrorKind::Untranslatable, "the provider's dialect has no embeddings");
                self.endpoints.embed.as_ref().ok_or_else(nowhere)?
            }
            Payload::CountTokens(_) => match &self.endpoints.count_tokens {
                Some(endpoint) => endpoint,
                None => return Ok(Plan::Answer(estimated_count(request, target))),
            },
        };
        self.to_http(request, target, endpoint).map(Plan::Ask)
    }

    /// The http request for a call. Nothing of it comes from the caller but the body and checked names of features.
    fn to_http(&self, request: &LlmRequest, target: &Target, endpoint: &Uri) -> Result<Request<Full<Bytes>>, Error> {
        let options = EncodeOptions {
            model: target.model(),
            include_usage: self.include_usage,
            output_ceiling: request.context().output_ceiling(),
            max_output: self.facts(target).and_then(|model| model.max_output),
            variant: self.variant,
        };
        // What cannot be written is not wrong: another target may speak a dialect that has the words.
        let body =
            (self.dialect.encode(request, &options)).map_err(|error| error.with_kind(ErrorKind::Untranslatable))?;
        let mut http = Request::new(Full::new(body));
        *http.method_mut() = Method::POST;
        *http.uri_mut() = endpoint.clone();
        let headers = http.headers_mut();
        *headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // For streams too, as the official SDKs do.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Entry::Vacant(entry) = headers.entry(USER_AGENT) {
            entry.insert(HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))));
        }
        betas::pass_on(request, self.dialect, headers);
        self.keys.sign(target.key(), headers)?;
        Ok(http)
    }
}

/// The answer to a question for a count where the provider cannot be asked.
fn estimated_count(request: &LlmRequest, target: &Target) -> LlmResponse {
    let estimate = request.estimate_prompt(TokenFamily::of(target.model()));
    let count = TokenCount { input_tokens: estimate.likely, provenance: Provenance::Estimated };
    let body = llm_core::Body::full(count).answering(request, target.model());
    LlmResponse::new(Head { target: Some(target.clone()), ..Head::default() }, body)
}

impl<S> fmt::Debug for Provider<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}
