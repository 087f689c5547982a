//! The layer keeps the laws of all layers.

use first_content::FirstContentLayer;
use llm_test::{Answer, Frames, Subject, contract};

fn first_content() -> Subject {
    let layer = FirstContentLayer::new();
    let (held, counted) = (layer.handle(), layer.handle());
    Subject::new("FirstContentLayer", layer.clone())
        .holds("callers who wait", move || held.waiting())
        .counts(Answer::stream(Frames::new().hang()), move || counted.waiting())
        .shows("the handle", layer.handle())
}

contract!(first_content);
