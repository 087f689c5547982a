//! Retry and hedge keep the laws of all layers.

mod retry {
    use std::{num::NonZeroUsize, time::Duration};

    use llm_core::{Error, ErrorKind, Target};
    use llm_retry::{Jitter, Reason, RetryConfig, RetryLayer, RetryRules};
    use llm_test::{Answer, Subject, contract};

    fn busy() -> Answer {
        Answer::fail(Error::new(ErrorKind::Overloaded, "busy"))
    }

    fn read(config: &str) -> Result<RetryLayer, String> {
        let config: RetryConfig = toml::from_str(config).map_err(|error| error.to_string())?;
        RetryLayer::try_from(config).map_err(|error| error.to_string())
    }

    fn subject() -> Subject {
        let layer = RetryLayer::new().jitter(Jitter::None).targets(NonZeroUsize::new(8).expect("it is no zero"));
        let (counted, keyed) = (layer.handle(), layer.handle());
        let advised = Answer::fail(Error::new(ErrorKind::RateLimited, "slow").with_retry_after(Duration::from_secs(7)));
        let mut subject = Subject::new("Retry", layer.clone())
            .calls_again(busy())
            .counts(busy(), move || counted.retries() + counted.stops(Reason::AllowanceSpent))
            .takes(Duration::from_secs(7), [advised, Answer::text("at last")])
            .takes(Duration::from_secs(3), [busy(), busy(), Answer::text("at last")])
            .keyed(
                8,
                |number| {
                    let mut request = llm_core::LlmRequest::chat("probe").user("Why?").build();
                    request.context_mut().set_target(Target::new("provider", format!("model-{number}")));
                    request
                },
                move || keyed.targets(),
            )
            .shows("the handle", layer.handle())
            .shows("the policy", layer.policy())
            .shows("the rules", RetryRules::BATCH)
            .shows("the configuration", RetryConfig::default());
        let refused = [
            ("a base of nothing", "base = \"0s\""),
            ("a base of nothing for one provider", "[providers.openai]\nthrottled_base = \"0s\""),
            ("a cap below the base", "cap = \"100ms\""),
            ("a bare number for a duration", "cap = 20"),
            ("a negative duration", "cap = \"-20s\""),
            ("no retries at all", "most_retries = 0"),
            ("a negative number of retries", "most_retries = -1"),
            ("a quota that allows nothing", "quota = { percent = 0, per_second = 0 }"),
            ("a share that is not a number", "quota = { percent = nan }"),
            ("a negative share", "quota = { percent = -20 }"),
            ("a share beyond all sense", "quota = { percent = 1001 }"),
            ("a floor beyond all sense", "quota = { per_second = 1001 }"),
            ("a window of nothing", "quota = { seconds = 0 }"),
            ("a window of more than an hour", "quota = { seconds = 3601 }"),
            ("no room for any target", "targets = 0"),
            ("a quota for one model", "[models.o3]\nquota = { percent = 10 }"),
            ("jitter for one provider", "[providers.openai]\njitter = \"none\""),
            ("an unknown preset", "preset = \"bold\""),
            ("an unknown field", "retries = 3"),
        ];
        for (what, config) in refused {
            subject = subject.refuses(what, move || read(config));
        }
        subject
    }

    contract!(subject);
}

mod hedge {
    use std::{num::NonZeroUsize, time::Duration};

    use llm_core::Target;
    use llm_retry::{
        HedgeConfig, HedgeLayer,
        hedge::{After, HedgeEvent, HedgeQuota},
    };
    use llm_test::{Answer, Subject, contract};

    const DELAY: Duration = Duration::from_secs(5);

    fn read(config: &str) -> Result<HedgeLayer, String> {
        let config: HedgeConfig = toml::from_str(config).map_err(|error| error.to_string())?;
        HedgeLayer::try_from(config).map_err(|error| error.to_string())
    }

    fn subject() -> Subject {
        let layer = HedgeLayer::new()
            .after(After::Fixed(DELAY))
            .quota(HedgeQuota::percent(100))
            .targets(NonZeroUsize::new(8).expect("it is no zero"));
        let (counted, keyed) = (layer.handle(), layer.handle());
        let late = || Answer::text("late").after(2 * DELAY);
        let mut subject = Subject::new("Hedge", layer.clone())
            .calls_again(Answer::hang())
            .counts(late(), move || counted.count(HedgeEvent::Started))
            .takes(DELAY, [Answer::hang(), Answer::text("at once")])
            .takes(2 * DELAY, [late(), Answer::hang()])
            .keyed(
                8,
                |number| {
                    let mut request = llm_core::LlmRequest::chat("probe").user("Why?").build();
                    request.context_mut().set_target(Target::new("provider", format!("model-{number}")));
                    request
                },
                move || keyed.targets(),
            )
            .shows("the handle", layer.handle())
            .shows("the delay", After::OBSERVED)
            .shows("the configuration", HedgeConfig::default());
        let refused = [
            ("a delay of nothing", "fixed = \"0s\""),
            ("a fixed delay that is observed", "fixed = \"2s\"\nfloor = \"1s\""),
            ("a bare number for a duration", "floor = 300"),
            ("too few samples", "samples = 19"),
            ("too few samples for one model", "[models.o3]\nsamples = 0"),
            ("a quota that allows nothing", "percent = 0"),
            ("a negative quota", "percent = -10"),
            ("a share that is not a number", "percent = nan"),
            ("more hedges than calls", "percent = 101"),
            ("a bucket that holds nothing", "burst = 0"),
            ("a bucket that holds everything", "burst = 1001"),
            ("no room for any target", "targets = 0"),
            ("a quota for one provider", "[providers.openai]\npercent = 10"),
            ("an unknown field", "after = \"2s\""),
        ];
        for (what, config) in refused {
            subject = subject.refuses(what, move || read(config));
        }
        subject
    }

    contract!(subject);
}
