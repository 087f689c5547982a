//! The layer keeps the laws of all layers.

use llm_classify::{Classifier, ClassifyConfig, ClassifyLayer, Guess, Patterns};
use llm_core::LlmRequest;
use llm_test::{Answer, Subject, contract};

/// Takes everything for a question.
#[derive(Debug)]
struct Question;

impl Classifier for Question {
    fn intents(&self) -> &[&'static str] {
        &["question"]
    }

    fn classify(&self, _: &LlmRequest) -> Option<Guess> {
        Some(Guess { intent: "question", confidence: 1.0 })
    }
}

fn build(text: &str) -> Result<ClassifyLayer, String> {
    let config: ClassifyConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    ClassifyLayer::try_from(config).map_err(|error| error.to_string())
}

fn classify() -> Subject {
    let layer = ClassifyLayer::new().classifier(Question).detector(Patterns::all()).sensitive_tenants(["clinic"]);
    let handle = layer.handle();
    let counted = layer.handle();
    let config: ClassifyConfig = toml::from_str("detect = \"all\"").expect("it is a configuration");
    Subject::new("ClassifyLayer", layer)
        .counts(Answer::text("Because."), move || counted.counts().intents_of("question"))
        .refuses("a pattern that there is not", || build("detect = [\"emails\"]"))
        .refuses("a pattern named twice", || build("detect = [\"email\", \"card\", \"email\"]"))
        .refuses("a word that is not all", || build("detect = \"some\""))
        .refuses("a confidence over one", || build("intent = { confidence = 1.5 }"))
        .refuses("a confidence that is no number", || build("intent = { confidence = nan }"))
        .refuses("a word for the intent", || build("intent = \"on\""))
        .refuses("an unknown setting of the model", || build("intent = { model = \"big\" }"))
        .refuses("a tenant without a name", || build("tenants = [\"\"]"))
        .refuses("a tenant named twice", || build("tenants = [\"a\", \"a\"]"))
        .refuses("an unknown field", || build("patterns = []"))
        .shows("the handle", handle)
        .shows("the configuration", config)
}

contract!(classify);
