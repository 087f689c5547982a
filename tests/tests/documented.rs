//! What the gateway's documented configuration says of the layers is what holds without it.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use llm_breaker::{BreakerConfig, BreakerLayer};
use llm_core::ConfigError;
use llm_retry::{HedgeConfig, HedgeLayer, RetryConfig, RetryLayer};
use llm_timeout::{TimeoutConfig, TimeoutLayer};
use serde::de::DeserializeOwned;
use toml::Table;

/// What a layer with these values goes by. That stands in its `Debug`; on paused time nothing else does that differs.
fn shown<C, L>(values: Table) -> String
where
    C: DeserializeOwned,
    L: TryFrom<C, Error = ConfigError> + Debug,
{
    format!("{:?}", L::try_from(values.try_into().unwrap()).unwrap())
}

/// Compares layers with one of the values each, and with all of them, to one with none; and one with `other` to both.
fn same<C, L>(values: &Table, other: &str)
where
    C: DeserializeOwned,
    L: TryFrom<C, Error = ConfigError> + Debug,
{
    assert!(values.len() > 3, "{values:?}");
    let default = shown::<C, L>(Table::new());
    let alone = values.iter().map(|(name, value)| Table::from_iter([(name.clone(), value.clone())]));
    for stated in alone.chain([values.clone()]) {
        assert_eq!(shown::<C, L>(stated.clone()), default, "{stated:?}");
    }
    for other in other.lines() {
        assert_ne!(shown::<C, L>(other.parse().unwrap()), default, "{other} would not be seen");
    }
}

#[tokio::test(start_paused = true)]
async fn the_documented_values_of_the_layers_are_their_defaults() {
    let text = include_str!("../../examples/gateway/gateway.toml");
    let documented: Table = text.parse().unwrap();
    let values = |name: &str| documented[name].as_table().unwrap();
    same::<TimeoutConfig, TimeoutLayer>(
        values("timeout"),
        "idle = \"21s\"\ntotal = \"1h\"\nfirst_content_reasoning = \"119s\"",
    );
    same::<RetryConfig, RetryLayer>(
        values("retry"),
        "base = \"251ms\"\nquota = { percent = 21 }\ntargets = 9999\nlongest_advice = \"61s\"",
    );
    same::<BreakerConfig, BreakerLayer>(
        values("breaker"),
        "jitter = 0.21\nper = \"provider\"\ntrip = { rule = \"cusum\", threshold = 8.1 }\nlease = \"149s\"",
    );
    // Off by default, so its values stand in comments.
    let hedge = text.lines().skip_while(|line| *line != "# [hedge]").skip(1);
    let hedge = hedge.take_while(|line| !line.starts_with("# [")).filter(|line| line.contains(" = "));
    let hedge: String = hedge.map(|line| line.replacen("# ", "", 1) + "\n").collect();
    same::<HedgeConfig, HedgeLayer>(
        &hedge.parse().unwrap(),
        "samples = 51\npercent = 11\nburst = 9\nfloor = \"301ms\"\ntargets = 999",
    );
}
