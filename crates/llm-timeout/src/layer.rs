//! The layer, which is the configuration.

use std::{sync::Arc, time::Duration};

use llm_core::{PerTarget, Striped, Target, catalog::Catalog};
use tower_layer::Layer;

use crate::{
    Limits, Timeout, TimeoutHandle,
    state::{Settings, State},
};

/// Limits how long an attempt may take. See the [crate docs](crate).
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct TimeoutLayer {
    state: Striped<State>,
}

impl TimeoutLayer {
    /// The limits of [`Limits::interactive`] for every target, and the built-in catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// For callers that wait for the answer, as [`new`](Self::new).
    pub fn interactive() -> Self {
        Self::new()
    }

    /// For work that nobody waits for: [`Limits::batch`].
    pub fn batch() -> Self {
        Self::new().limits(Limits::batch())
    }

    /// The limits: the same ones for every target, or [`PerTarget`]. A call without a target goes by its model's name.
    /// Defaults to [`Limits::interactive`].
    pub fn limits(self, limits: impl Into<PerTarget<Limits>>) -> Self {
        Self::of(Settings { limits: limits.into(), ..self.state.settings.clone() })
    }

    /// The facts of models, which say whether one reasons before it answers although the request does not ask for it.
    /// Defaults to [`Catalog::builtin`].
    pub fn catalog(self, catalog: Arc<Catalog>) -> Self {
        Self::of(Settings { catalog: Some(catalog), ..self.state.settings.clone() })
    }

    /// How long an attempt at `target` can go on at most without any content, whole or streamed. `None` where nothing
    /// limits that, or the limit grows with the answer.
    pub fn longest_silence(&self, target: &Target) -> Option<Duration> {
        self.state.settings.limits.of(target).longest_silence()
    }

    /// A handle to watch it with.
    pub fn handle(&self) -> TimeoutHandle {
        TimeoutHandle { state: self.state.clone() }
    }

    fn of(settings: Settings) -> Self {
        Self { state: Striped::new(State::new(settings)) }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, state: self.state.clone() }
    }
}
