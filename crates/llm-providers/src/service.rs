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
use llm_core::{ConfigError, Error, LlmRequest, LlmResponse, Payload, Target, watch};
use llm_wire::{EncodeOptions, openai};
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Client, ProviderConfig, ProviderLayer, attempt::AttemptObserver, exchange::Exchange, failure, layer::Settings,
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
        match self.settings.to_http(&request, &target) {
            Ok(http) => {
                let response = self.inner.call(http);
                let exchange =
                    Exchange { request: request.clone(), target, max_answer_bytes: self.settings.max_answer_bytes };
                Box::pin(watch(&request, exchange.run(response), attempt))
            }
            Err(error) => {
                // The readied instance is not called, so what it holds for the call is given back.
                self.inner = self.inner.clone();
                let error = error.with_target(target).with_trail(request.context().trail());
                Box::pin(watch(&request, ready(Err(error)), attempt))
            }
        }
    }
}

impl Settings {
    /// The http request for a call. Nothing of it but the body comes from the caller.
    fn to_http(&self, request: &LlmRequest, target: &Target) -> Result<Request<Full<Bytes>>, Error> {
        let body = openai::encode_request(
            request,
            &EncodeOptions {
                model: target.model(),
                include_usage: self.include_usage,
                output_ceiling: request.context().output_ceiling(),
                max_output: None,
            },
        )?;
        let mut http = Request::new(Full::new(body));
        *http.method_mut() = Method::POST;
        *http.uri_mut() = self.endpoint(request.payload()).clone();
        let headers = http.headers_mut();
        *headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // For streams too, as the official SDKs do.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Entry::Vacant(entry) = headers.entry(USER_AGENT) {
            entry.insert(HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))));
        }
        self.keys.sign(target.key(), headers)?;
        Ok(http)
    }

    fn endpoint(&self, payload: &Payload) -> &Uri {
        match payload {
            Payload::Chat(_) => self.base_url.chat_completions(),
            Payload::Embed(_) | Payload::CountTokens(_) => self.base_url.embeddings(),
        }
    }
}

impl<S> fmt::Debug for Provider<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}
