//! What all services of a layer share: how requests are judged, and the counts.

use std::{
    collections::HashSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use llm_core::{Copies, LlmRequest, Sensitivity};
use tracing::{debug, warn};

use crate::{Classifier, ClassifyCounts, Detector, counts::Counts, texts::find_text};

/// The kind of what makes the requests of a tenant sensitive that was named as such.
pub(crate) const TENANT: &str = "tenant";
/// The kind of what a detector would have found that panicked: nobody knows, so it counts.
pub(crate) const DETECTOR_PANICKED: &str = "detector_panicked";

/// What the layer's setters say.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) classifier: Option<Arc<dyn Classifier>>,
    pub(crate) detectors: Vec<Arc<dyn Detector>>,
    pub(crate) tenants: HashSet<Box<str>>,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The classifier's intents, made once, so that naming one in a context allocates nothing.
    intents: Copies<Box<[Arc<str>]>>,
    counts: Copies<Counts>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let intents = settings.classifier.as_deref().map_or(&[][..], Classifier::intents);
        Self {
            intents: Copies::new(|| intents.iter().copied().map(Arc::from).collect()),
            counts: Copies::new(|| Counts::new(intents.len())),
            settings,
        }
    }

    /// Writes into the context what the request is about and whether it is sensitive, where that is not known yet.
    pub(crate) fn judge(&self, request: &mut LlmRequest) {
        if let Some(classifier) = &self.settings.classifier
            && request.context().intent().is_none()
        {
            self.classify(&**classifier, request);
        }
        if request.context().sensitivity() == Sensitivity::Normal
            && let Some(kind) = self.sensitive(request)
        {
            debug!(call = %request.context().id(), kind, "sensitive");
            self.counts.own().found(kind);
            request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        }
    }

    fn classify(&self, classifier: &dyn Classifier, request: &mut LlmRequest) {
        // Nothing of ours is changed while a classifier or detector runs, so there is nothing to be found broken.
        let guess = catch_unwind(AssertUnwindSafe(|| classifier.classify(request))).unwrap_or_else(|_| {
            warn!(call = %request.context().id(), "the classifier panicked: the request has no intent");
            None
        });
        let Some(guess) = guess else {
            debug!(call = %request.context().id(), "no intent is clear");
            self.counts.own().abstained();
            return;
        };
        debug!(call = %request.context().id(), intent = guess.intent, confidence = guess.confidence, "classified");
        let intents = self.intents.own();
        match intents.iter().position(|intent| **intent == *guess.intent) {
            Some(place) => {
                self.counts.own().classified(place);
                request.context_mut().set_intent(Arc::clone(&intents[place]));
            }
            None => {
                self.counts.own().unlisted();
                request.context_mut().set_intent(guess.intent);
            }
        }
    }

    /// What makes the request sensitive, if anything does.
    fn sensitive(&self, request: &LlmRequest) -> Option<&'static str> {
        let Settings { classifier: _, detectors, tenants } = &self.settings;
        if request.context().caller().tenant.as_deref().is_some_and(|tenant| tenants.contains(tenant)) {
            return Some(TENANT);
        }
        detectors.iter().find_map(|detector| {
            let find = || find_text(request.payload(), &mut |text| detector.find(text));
            catch_unwind(AssertUnwindSafe(find)).map(|finding| finding.map(|finding| finding.kind)).unwrap_or_else(
                |_| {
                    warn!(call = %request.context().id(), "a detector panicked: the request counts as sensitive");
                    Some(DETECTOR_PANICKED)
                },
            )
        })
    }

    pub(crate) fn counts(&self) -> ClassifyCounts {
        let names = self.settings.classifier.as_deref().map_or(&[][..], Classifier::intents);
        let mut sum = ClassifyCounts::of(names);
        for counts in self.counts.all() {
            counts.add_to(&mut sum);
        }
        sum
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { classifier, detectors, tenants } = &self.settings;
        f.debug_struct("Shared")
            .field("classifier", classifier)
            .field("detectors", detectors)
            .field("sensitive_tenants", &tenants.len())
            .finish_non_exhaustive()
    }
}
