//! The layer keeps the laws of all layers.

use std::time::Duration;

use llm_test::{Answer, Frames, Subject, contract};
use llm_timeout::{Limits, TimeoutConfig, TimeoutLayer};

fn build(text: &str) -> Result<TimeoutLayer, String> {
    let config: TimeoutConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    TimeoutLayer::try_from(config).map_err(|error| error.to_string())
}

fn timeout() -> Subject {
    let layer = TimeoutLayer::new();
    let handle = layer.handle();
    let head = layer.handle();
    let secs = Duration::from_secs;
    let config: TimeoutConfig = toml::from_str("idle = \"5s\"").expect("it is a configuration");
    Subject::new("TimeoutLayer", layer)
        .counts(Answer::hang(), move || head.counts().head)
        .takes(secs(30), [Answer::hang()])
        .takes(secs(30), [Answer::stream(Frames::pings_only(100, secs(1))).after(secs(5))])
        .takes(secs(22), [Answer::stream(Frames::new().text("Blue ").hang()).after(secs(2))])
        .refuses("a limit of zero", || build("idle = \"0s\""))
        .refuses("a limit of zero for one model", || {
            build("[models.o3]\nhead = { base = \"0s\", per_output_token = \"1ms\" }")
        })
        .refuses("less time for models that reason", || build("first_content_reasoning = \"1s\""))
        .refuses("a number without a unit", || build("total = 30"))
        .refuses("a word that is no duration", || build("total = \"none\""))
        .refuses("a limit per token without a base", || build("total = { per_output_token = \"1ms\" }"))
        .refuses("an unknown field", || build("connect = \"5s\""))
        .shows("the handle", handle)
        .shows("the configuration", config)
        .shows("the limits", Limits::batch())
}

contract!(timeout);
