//! Providers by name.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use llm_core::{BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Target};
use tower::{Service, ServiceExt};

use crate::{future::ResponseFuture, table::Table};

/// Hands each call to the provider it is meant for. See the [crate docs](crate).
#[derive(Clone, Default)]
pub struct Dispatch {
    providers: Arc<Providers>,
}

#[derive(Clone, Default)]
struct Providers {
    services: Vec<(Box<str>, BoxLlmService)>,
    local: HashSet<Box<str>>,
    by_name: HashMap<Box<str>, usize>,
    by_model: Table,
}

impl Dispatch {
    /// No providers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider and the models that it serves when nobody has chosen a target.
    ///
    /// A model is an exact name, or ends in `*` and stands for all names that begin so; see
    /// [`target_of`](Self::target_of). Of two providers with the same name for a model, the first added has it.
    /// A provider added again under a known name takes its place.
    pub fn provider<S, M>(mut self, name: impl Into<Box<str>>, service: S, models: M) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
        M: IntoIterator,
        M::Item: AsRef<str>,
    {
        let providers = Arc::make_mut(&mut self.providers);
        let name = name.into();
        let service = BoxLlmService::new(service.map_err(Into::into));
        let at = match providers.by_name.get(&name) {
            Some(at) => {
                providers.services[*at].1 = service;
                *at
            }
            None => {
                providers.services.push((name.clone(), service));
                providers.services.len() - 1
            }
        };
        providers.by_name.insert(name, at);
        for model in models {
            providers.by_model.add(model.as_ref(), at);
        }
        self
    }

    /// Marks a provider as local: sensitive calls may go there, and nowhere else. No provider is, unless it is marked.
    pub fn local(mut self, provider: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.providers).local.insert(provider.into());
        self
    }

    /// The providers' names in the order in which they were added.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.services.iter().map(|(name, _)| &**name)
    }

    /// Where a call for `model` goes when nobody has chosen a target: to the provider that serves exactly this name,
    /// else to the provider named before a slash (`provider/model`) if it serves the rest, else to the one with the
    /// longest prefix. So a list of models is also a limit: no caller reaches a model that is not on it.
    pub fn target_of(&self, model: &str) -> Option<Target> {
        let Providers { services, by_name, by_model, local: _ } = &*self.providers;
        let named = || {
            let (provider, model) = model.split_once('/')?;
            by_name.get(provider).filter(|at| by_model.serves(**at, model)).map(|at| (*at, model))
        };
        let whole = |at| (at, model);
        let (at, model) =
            by_model.exact(model).map(whole).or_else(named).or_else(|| by_model.by_prefix(model).map(whole))?;
        Some(Target::new(services[at].0.clone(), model))
    }

    fn pick(&self, request: &mut LlmRequest) -> Result<BoxLlmService, Error> {
        let target = match request.context().target() {
            Some(target) => target.clone(),
            None => {
                let target = self.target_of(request.model()).ok_or_else(|| {
                    Error::new(ErrorKind::UnknownModel, format!("no provider serves the model `{}`", request.model()))
                })?;
                request.context_mut().set_target(target.clone());
                target
            }
        };
        // Whoever chose the target should have known. A hedge or a fallback may not have, so the last word is here.
        if request.context().sensitivity().is_sensitive() && !self.providers.local.contains(target.provider()) {
            let message = "the request is sensitive, and the provider is not marked local";
            return Err(Error::new(ErrorKind::NoRoute, message).with_target(target));
        }
        match self.providers.by_name.get(target.provider()) {
            Some(at) => Ok(self.providers.services[*at].1.clone()),
            None => {
                let message = format!("there is no provider `{}`", target.provider());
                Err(Error::new(ErrorKind::NoRoute, message).with_target(target))
            }
        }
    }
}

impl Service<LlmRequest> for Dispatch {
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: LlmRequest) -> Self::Future {
        match self.pick(&mut request) {
            Ok(provider) => ResponseFuture::called(provider.oneshot(request)),
            Err(error) => ResponseFuture::rejected(error),
        }
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").field("providers", &self.providers().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
