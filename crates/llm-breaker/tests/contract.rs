//! The breaker keeps the laws of all layers: closed, half-open, and under a rule that keeps every key.

use std::num::{NonZeroU32, NonZeroUsize};

use futures_util::FutureExt;
use llm_breaker::{BreakerConfig, BreakerHandle, BreakerLayer, CircuitRules, CircuitState, Consecutive, Probes, Rate};
use llm_core::{Error, ErrorKind, LlmRequest, Target};
use llm_test::{Answer, Frames, Probe, Subject};
use tower::{Layer, ServiceExt};

/// The circuit of the requests that the laws make.
fn probe() -> Target {
    Target::new("", "probe")
}

fn failure() -> Answer {
    Answer::fail(Error::new(ErrorKind::Server, "the scripted failure"))
}

fn forced_open() -> BreakerLayer {
    let layer = BreakerLayer::new();
    assert!(layer.handle().force_open(&probe()));
    layer
}

fn places(handle: &BreakerHandle) -> u64 {
    match handle.status(&probe()).state {
        CircuitState::HalfOpen { probes, .. } => u64::from(probes),
        CircuitState::Closed | CircuitState::Open { .. } | CircuitState::ForcedOpen | CircuitState::ForcedClosed => 0,
    }
}

fn refused(text: &'static str) -> impl Fn() -> Result<BreakerLayer, String> {
    move || {
        let config: BreakerConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        BreakerLayer::try_from(config).map_err(|error| error.to_string())
    }
}

mod closed {
    use super::*;

    fn subject() -> Subject {
        let layer = BreakerLayer::new();
        let handle = layer.handle();
        let (listened, read) = (handle.clone(), handle.clone());
        Subject::new("Breaker", layer)
            .always_ready()
            .rejecting(forced_open)
            .counts(failure(), move || u64::from(read.status(&probe()).score))
            .notices(move || listened.notices())
            .refuses("a circuit without probes", refused("probes = 0"))
            .refuses("a longest open time below the first", refused("open_for = \"9s\"\nopen_at_most = \"1s\""))
            .refuses("an unknown rule", refused("trip = \"sometimes\""))
            .refuses("a bound of nothing", refused("most_circuits = 0"))
            .shows("its handle", handle.clone())
            .shows("the status of a circuit", handle.status(&probe()))
            .shows("its rules", CircuitRules::batch())
    }

    llm_test::contract!(subject);
}

mod half_open {
    use super::*;

    /// A circuit that has opened, with places for all probes that a law makes, and requests that ask for them.
    fn subject() -> Subject {
        let first = Consecutive::after(NonZeroU32::MIN);
        let rules = CircuitRules::interactive().trip(first).probes(Probes::new(15, 15).expect("the most"));
        let layer = BreakerLayer::new().rules(rules);
        let ask = |number: u64| {
            let mut request = LlmRequest::chat("probe").user(format!("Question {number}")).build();
            request.context_mut().set_probe(true);
            request
        };
        let failed = layer.layer(Probe::answering(failure())).oneshot(ask(0)).now_or_never();
        assert!(failed.is_some_and(|answer| answer.is_err()));
        let (handle, read) = (layer.handle(), layer.handle());
        assert!(matches!(handle.status(&probe()).state, CircuitState::Open { .. }));
        Subject::new("Breaker, half-open", layer)
            .always_ready()
            .asking(ask)
            .rejecting(forced_open)
            .holds("places of probes", move || places(&handle))
            .counts(Answer::stream(Frames::new().hang()), move || read.counts().probes)
    }

    llm_test::contract!(subject);
}

mod rate {
    use super::*;

    const MOST: NonZeroUsize = NonZeroUsize::new(50).expect("it is not zero");

    /// Under this rule there is a circuit for each key from its first call on.
    fn subject() -> Subject {
        let layer = BreakerLayer::new().rules(CircuitRules::interactive().trip(Rate::default())).most_circuits(MOST);
        let handle = layer.handle();
        let keyed = |number: u64| {
            let mut request = LlmRequest::chat("probe").user("hi").build();
            request.context_mut().set_target(Target::new("provider", number.to_string()));
            request
        };
        Subject::new("Breaker, by rate", layer).always_ready().rejecting(forced_open).keyed(
            MOST.get(),
            keyed,
            move || handle.len(),
        )
    }

    llm_test::contract!(subject);
}
