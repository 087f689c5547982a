//! What the router's stories have in common: providers that answer from scripts, and a router over them.

#![allow(dead_code, reason = "not every story needs everything")]

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use llm_core::{
    BoxLlmService, Error, ErrorKind, Health, HealthState, LlmRequest, LlmResponse, Sensitivity, Target,
    catalog::Catalog,
};
use llm_router::{Dispatch, ProviderEntry, RouterHandle, RouterLayer, Targets};
use llm_test::{Answer, Probe, ProbeLog};
use tower::{Layer, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn fail(kind: ErrorKind) -> Answer {
    Answer::fail(Error::new(kind, "the scripted failure"))
}

pub(crate) fn ask(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("Why?").build()
}

pub(crate) fn stream(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("Why?").stream().build()
}

pub(crate) fn sensitive(mut request: LlmRequest) -> LlmRequest {
    request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    request
}

pub(crate) fn tagged(mut request: LlmRequest, tag: &str) -> LlmRequest {
    request.context_mut().set_tags([tag]);
    request
}

/// Providers of these names that serve the models `m` and whatever begins with `x-`. One whose name begins with `home`
/// is local.
pub(crate) fn targets<const N: usize>(providers: [&str; N]) -> Targets {
    let entry = |name: &str| {
        let entry = ProviderEntry::new(name).models(["m", "x-*"]);
        if name.starts_with("home") { entry.local() } else { entry }
    };
    providers.into_iter().fold(Targets::new(Arc::new(Catalog::new())), |all, name| all.provider(entry(name)))
}

/// A probe for each provider, behind a dispatch.
pub(crate) struct Providers {
    dispatch: Dispatch,
    logs: HashMap<String, ProbeLog>,
}

impl Providers {
    /// Each provider's next answers; when they are used up it answers with its name.
    pub(crate) fn new<const N: usize>(scripts: [(&str, Vec<Answer>); N]) -> Self {
        let probes = scripts.map(|(name, answers)| (name, Probe::answering(Answer::text(name)).script(answers)));
        Self::of(probes)
    }

    pub(crate) fn of<const N: usize>(probes: [(&str, Probe); N]) -> Self {
        let (mut dispatch, mut logs) = (Dispatch::new(), HashMap::new());
        for (name, probe) in probes {
            logs.insert(name.to_owned(), probe.log());
            dispatch = dispatch.provider(name, probe, ["*"]);
            if name.starts_with("home") {
                dispatch = dispatch.local(name);
            }
        }
        Self { dispatch, logs }
    }

    pub(crate) fn under(&self, layer: &RouterLayer) -> BoxLlmService {
        BoxLlmService::new(layer.layer(self.dispatch.clone()))
    }

    pub(crate) fn calls(&self, name: &str) -> usize {
        self.logs[name].calls()
    }

    pub(crate) fn log(&self, name: &str) -> &ProbeLog {
        &self.logs[name]
    }
}

/// Makes a call and reads the answer to its end.
pub(crate) async fn answer(service: &BoxLlmService, request: LlmRequest) -> Result<String, Error> {
    Ok(call(service, request).await?.body.collect().await?.first_text())
}

pub(crate) async fn call(service: &BoxLlmService, request: LlmRequest) -> Result<LlmResponse, Error> {
    service.clone().oneshot(request).await
}

pub(crate) fn in_flight(handle: &RouterHandle) -> usize {
    handle.targets().iter().map(|status| status.in_flight).sum()
}

/// Health as a test says it is.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<HashMap<String, HealthState>>>);

impl Told {
    pub(crate) fn new<const N: usize>(states: [(&str, HealthState); N]) -> Self {
        let told = Self::default();
        states.into_iter().for_each(|(provider, state)| told.set(provider, state));
        told
    }

    pub(crate) fn set(&self, provider: &str, state: HealthState) {
        self.states().insert(provider.to_owned(), state);
    }

    fn states(&self) -> MutexGuard<'_, HashMap<String, HealthState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health for Told {
    fn of(&self, target: &Target) -> HealthState {
        self.states().get(target.provider()).copied().unwrap_or_default()
    }
}

/// What each attempt of the call came to: where it went, and what was made of its failure.
pub(crate) fn trail(error: &Error) -> Vec<(String, Option<&'static str>)> {
    let attempts = error.trail().expect("it has a trail").attempts();
    let told = |record: llm_core::AttemptRecord| {
        (record.target.map_or_else(String::new, |target| target.to_string()), record.verdict)
    };
    attempts.into_iter().map(told).collect()
}

pub(crate) fn distinct<T: Eq + std::hash::Hash>(items: &[T]) -> bool {
    items.iter().collect::<HashSet<_>>().len() == items.len()
}
