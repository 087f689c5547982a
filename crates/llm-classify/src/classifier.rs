//! What a request is about.

use std::fmt;

use llm_core::LlmRequest;

/// Tells what a request is about. The extension point for classifiers of one's own.
pub trait Classifier: fmt::Debug + Send + Sync {
    /// Every intent that it can tell, so that rules about others can be refused when they are written.
    fn intents(&self) -> &[&'static str];

    /// What the request is about; `None` when that is not clear enough to act on. Must not block: it runs where the call
    /// is made.
    fn classify(&self, request: &LlmRequest) -> Option<Guess>;
}

/// What a classifier takes a request for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// One of the classifier's intents.
    pub intent: &'static str,
    /// How sure it is, from 0 to 1.
    pub confidence: f32,
}
