//! Fallback keeps the laws of all layers: with a message, with cases that have no answer, and with another service.

use llm_core::{ConfigError, Error, ErrorKind};
use llm_fallback::{Answer as Instead, FallbackConfig, FallbackEvent, FallbackLayer, When};
use llm_test::{Answer, Subject, contract};
use tower::{Layer, util::BoxCloneSyncService};

fn busy() -> Answer {
    Answer::fail(Error::new(ErrorKind::Overloaded, "busy"))
}

/// Kinds of which no law needs to see one pass.
fn overloaded() -> When {
    When::new().kinds([ErrorKind::Overloaded, ErrorKind::Connect])
}

mod message {
    use super::*;

    /// What the laws look for in whatever is shown.
    const CANARY: &str = "canary-in-the-answer-a27c";

    fn read(config: &str) -> Result<FallbackLayer, String> {
        let config: FallbackConfig = toml::from_str(config).map_err(|error| error.to_string())?;
        config.layer(|_| Err(ConfigError::new("", "nobody is there")), None).map_err(|error| error.to_string())
    }

    fn subject() -> Subject {
        let layer = FallbackLayer::new().case(overloaded(), Instead::message(CANARY));
        let counted = layer.handle();
        let mut subject = Subject::new("Fallback", layer.clone())
            .always_ready()
            .holds_back()
            .quiet("it answers none of the failures that the law causes; without an answer it is held to the law")
            .counts(busy(), move || counted.count(ErrorKind::Overloaded, FallbackEvent::Message))
            .shows("the handle", layer.handle())
            .shows("a condition", When::new())
            .shows("an answer", Instead::message(CANARY))
            .shows("the configuration", FallbackConfig::default());
        let refused = [
            ("nothing at all", ""),
            ("an empty message", "message = ''"),
            ("an unknown field", "text = 'no'"),
            ("an unknown kind", "[[cases]]\nwhen = { kinds = 'busy' }\nmessage = 'no'"),
            ("a service that nobody knows", "[[cases]]\ntarget = 'mystery'"),
            ("a case that is never reached", "message = 'no'\n[[cases]]\nmessage = 'never'"),
        ];
        for (what, config) in refused {
            subject = subject.refuses(what, move || read(config));
        }
        subject
    }

    contract!(subject);
}

mod unanswered {
    use super::*;

    fn subject() -> Subject {
        let layer = FallbackLayer::new().case(When::new(), Instead::function(|_: &_, _: &_| None));
        let handle = layer.handle();
        Subject::new("Fallback, unanswered", layer).always_ready().holds_back().notices(move || handle.notices())
    }

    contract!(subject);
}

mod service {
    use super::*;

    /// The fallback is the inner service itself, which then does better.
    fn subject() -> Subject {
        Subject::stack("Fallback to a service", |inner| {
            let layer = FallbackLayer::new().case(overloaded(), Instead::local_service(inner.clone()));
            BoxCloneSyncService::new(layer.layer(inner))
        })
        .always_ready()
        .quiet("it answers none of the failures that the law causes; without an answer it is held to the law")
        .calls_again(busy())
    }

    contract!(subject);
}
