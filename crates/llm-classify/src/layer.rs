//! The layer, which is the configuration.

use std::sync::Arc;

use llm_core::Striped;
use tower_layer::Layer;

use crate::{
    Classifier, Classify, ClassifyHandle, Detector,
    shared::{Settings, Shared},
};

/// Says what requests are about and whether they are sensitive, for the layers below. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct ClassifyLayer {
    shared: Striped<Shared>,
}

impl ClassifyLayer {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::of(Settings::default())
    }

    /// Asks `classifier` for the intent of requests that have none yet. None by default; a second one replaces the first.
    pub fn classifier(self, classifier: impl Classifier + 'static) -> Self {
        Self::of(Settings { classifier: Some(Arc::new(classifier)), ..self.shared.settings.clone() })
    }

    /// Marks requests as sensitive in whose texts `detector` finds something, such as [`Patterns`](crate::Patterns). None
    /// by default. Several may be added; they are asked in this order until one finds something.
    pub fn detector(self, detector: impl Detector + 'static) -> Self {
        let mut settings = self.shared.settings.clone();
        settings.detectors.push(Arc::new(detector));
        Self::of(settings)
    }

    /// Marks every request of these tenants as sensitive. None by default. A further call adds to them.
    pub fn sensitive_tenants(self, tenants: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let mut settings = self.shared.settings.clone();
        settings.tenants.extend(tenants.into_iter().map(Into::into));
        Self::of(settings)
    }

    /// The intents that its classifier tells, for those who check rules that go by them; absent without a classifier.
    pub fn intents(&self) -> Option<&[&'static str]> {
        self.shared.settings.classifier.as_deref().map(crate::Classifier::intents)
    }

    /// A handle to watch it with. Setters start fresh counts, so take it after them.
    pub fn handle(&self) -> ClassifyHandle {
        ClassifyHandle::new(self.shared.clone())
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings)) }
    }
}

impl Default for ClassifyLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        Classify::new(inner, self.shared.clone())
    }
}
