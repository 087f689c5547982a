//! The layer.

use std::sync::Arc;

use llm_core::Striped;
use tower_layer::Layer;

use crate::{Classifier, Classify, Detector};

/// Says what requests are about and whether they are sensitive, for the layers below. See the [crate docs](crate).
#[derive(Clone, Debug, Default)]
pub struct ClassifyLayer {
    pub(crate) shared: Striped<Shared>,
}

/// What all services of a layer share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) classifier: Option<Arc<dyn Classifier>>,
    pub(crate) detectors: Vec<Arc<dyn Detector>>,
}

impl ClassifyLayer {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `classifier` for the intent of requests that have none yet. None by default.
    pub fn classifier(self, classifier: impl Classifier + 'static) -> Self {
        let mut shared = (*self.shared).clone();
        shared.classifier = Some(Arc::new(classifier));
        Self { shared: Striped::new(shared) }
    }

    /// Marks requests as sensitive in which `detector` finds something. None by default; several may be added.
    pub fn detector(self, detector: impl Detector + 'static) -> Self {
        let mut shared = (*self.shared).clone();
        shared.detectors.push(Arc::new(detector));
        Self { shared: Striped::new(shared) }
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        Classify::new(inner, self.shared.clone())
    }
}
