//! Each value of a configuration does something, and bad ones are refused with a sentence.

use std::time::Duration;

use llm_breaker::{BreakerConfig, BreakerHandle, BreakerLayer, CircuitState};
use llm_core::{Error, ErrorKind, Target};
use llm_test::{Answer, Frames};

use crate::stage::{Stage, ask_for, failing, seconds, streamed};

fn stage(text: &str) -> Stage {
    let config: BreakerConfig = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Stage::with(BreakerLayer::try_from(config).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// How many failures it takes to open the circuit of a target, and for how long it is open.
async fn opens(text: &str, provider: &str, model: &str) -> (usize, Duration) {
    let stage = stage(&format!("jitter = 0\n{text}"));
    for failures in 1..100 {
        stage.send(ask_for(provider, model), failing(ErrorKind::Server)).await.expect_err("it fails");
        if let CircuitState::Open { remaining } = stage.handle.status(&Target::new(provider, model)).state {
            return (failures, remaining);
        }
    }
    panic!("it never opened: {text}");
}

#[tokio::test(start_paused = true)]
async fn each_trip_rule_has_a_name_and_values() {
    let rules = [
        ("", 8),
        (r#"trip = "cusum""#, 8),
        (r#"trip = { rule = "cusum", threshold = 4 }"#, 4),
        (r#"trip = { rule = "cusum", broken = 0.3 }"#, 20),
        (r#"trip = { rule = "cusum", usual = 0.5 }"#, 44),
        (r#"trip = "consecutive""#, 5),
        (r#"trip = { rule = "consecutive", failures = 3 }"#, 3),
        (r#"trip = "rate""#, 20),
        (r#"trip = { rule = "rate", window = "10s", min_calls = 4, share = 0.9 }"#, 4),
        (r#"preset = "batch""#, 11),
        ("preset = \"batch\"\ntrip = \"cusum\"", 8),
    ];
    for (text, failures) in rules {
        assert_eq!(opens(text, "openai", "gpt-4o").await.0, failures, "{text}");
    }
    let rate = stage(r#"trip = { rule = "rate", min_calls = 4, share = 0.9 }"#);
    rate.call(Answer::text("fine")).await.unwrap();
    rate.fail(8).await;
    assert_eq!(rate.state(), CircuitState::Closed, "eight of nine are less than nine tenths");
    let window = stage(r#"trip = { rule = "rate", window = "10s", min_calls = 4 }"#);
    window.fail(3).await;
    tokio::time::advance(seconds(11)).await;
    window.fail(3).await;
    assert_eq!(window.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn open_times_are_read() {
    assert_eq!(opens("open_for = \"7s\"", "openai", "gpt-4o").await.1, seconds(7));
    assert_eq!(opens("open_for = \"5m\"", "openai", "gpt-4o").await.1, seconds(300), "the longest is no shorter");
    assert_eq!(opens("preset = \"batch\"", "openai", "gpt-4o").await.1, seconds(15));
    let stage = stage("jitter = 0\nopen_for = \"1s\"\nopen_at_most = \"2s\"\ntrip = \"consecutive\"");
    stage.fail(5).await;
    for _ in 0..3 {
        tokio::time::advance(seconds(2)).await;
        stage.fail(1).await;
    }
    assert_eq!(stage.state(), CircuitState::Open { remaining: seconds(2) });
}

#[tokio::test(start_paused = true)]
async fn jitter_is_read() {
    let mut drawn = std::collections::HashSet::new();
    for _ in 0..20 {
        let stage = stage("jitter = 0.9");
        stage.open().await;
        let CircuitState::Open { remaining } = stage.state() else { panic!() };
        drawn.insert(remaining);
    }
    assert!(drawn.len() > 10 && drawn.iter().any(|time| *time < seconds(4) || *time > seconds(6)), "{drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn probes_successes_and_leases_are_read() {
    let stage = stage("jitter = 0\nprobes = 2\nsuccesses = 3\nlease = \"20s\"");
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    let probes = [stage.under_way(Answer::hang()), stage.under_way(Answer::hang())];
    tokio::time::advance(seconds(19)).await;
    assert_eq!(stage.rejected().await.retry_after(), Some(seconds(1)), "until the lease is over");
    drop(probes);
    for successes in 1..3 {
        stage.call(Answer::text("fine")).await.unwrap();
        assert_eq!(stage.state(), CircuitState::HalfOpen { probes: 0, successes });
    }
    stage.call(Answer::text("fine")).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_longest_advice_is_read() {
    let stage = stage("longest_advice = \"10s\"");
    let throttled = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(seconds(60));
    stage.call(Answer::fail(throttled)).await.unwrap_err();
    assert_eq!(stage.status().cooling, seconds(10));
}

#[tokio::test(start_paused = true)]
async fn slowness_is_read() {
    let late = || Answer::stream(Frames::new().wait(seconds(20)).words("at last").finish().last());
    for (text, score) in [("slow_after = \"15s\"", 562), ("slow_after = \"25s\"", 0), ("slow_after = \"off\"", 0)] {
        let stage = stage(text);
        stage.send(streamed(), late()).await.unwrap();
        assert_eq!(stage.status().score, score, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn tables_override_for_a_provider_and_for_a_model() {
    let text = r#"
        trip = "consecutive"
        slow_after = "15s"
        [providers.local]
        trip = { rule = "consecutive", failures = 2 }
        [models.o3]
        trip = { rule = "consecutive", failures = 3 }
        slow_after = "off"
    "#;
    for (provider, model, failures) in [("openai", "gpt-4o", 5), ("local", "llama", 2), ("local", "o3", 3)] {
        assert_eq!(opens(text, provider, model).await.0, failures, "{provider} {model}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_circuit_covers_and_how_many_there_are_is_read() {
    let stage = stage("per = \"provider\"\nmost_circuits = 3");
    for model in 0..8 {
        stage.send(ask_for("openai", &model.to_string()), failing(ErrorKind::Server)).await.unwrap_err();
    }
    let key = BreakerHandle::key_of(&Target::new("openai", ""));
    assert!(matches!(stage.handle.status(&key).state, CircuitState::Open { .. }));
    for provider in 0..8 {
        _ = stage.send(ask_for(&provider.to_string(), "model"), failing(ErrorKind::Server)).await;
    }
    assert_eq!(stage.handle.len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let cases = [
        ("trip = { rule = \"consecutive\", failures = 0 }", "trip.failures"),
        ("trip = { rule = \"cusum\", usual = 0.7 }", "trip.broken"),
        ("trip = { rule = \"cusum\", usual = 0 }", "trip.usual"),
        ("trip = { rule = \"cusum\", threshold = 0 }", "trip.threshold"),
        ("trip = { rule = \"rate\", window = \"0s\" }", "trip.window"),
        ("trip = { rule = \"rate\", min_calls = 0 }", "trip.min_calls"),
        ("trip = { rule = \"rate\", share = 1.5 }", "trip.share"),
        ("open_for = \"0s\"", "open_for"),
        ("open_for = \"10s\"\nopen_at_most = \"5s\"", "open_at_most"),
        ("jitter = 1", "jitter"),
        ("probes = 0", "probes"),
        ("successes = 16", "successes"),
        ("lease = \"0s\"", "lease"),
        ("longest_advice = \"2days\"", "longest_advice"),
        ("slow_after = \"0s\"", "slow_after"),
        ("most_circuits = 0", "most_circuits"),
        ("[providers.local]\nprobes = 0", "providers.local.probes"),
        ("[providers.local]\nper = \"target\"", "providers.local.per"),
        ("[models.o3]\nmost_circuits = 3", "models.o3.most_circuits"),
    ];
    for (text, path) in cases {
        let config: BreakerConfig = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = BreakerLayer::try_from(config).expect_err(text);
        assert_eq!(error.path(), path, "{text}");
        assert!(error.message().split(' ').count() > 3, "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let cases = [
        "trip = \"sometimes\"",
        "trip = 5",
        "trip = { rule = \"consecutive\", calls = 5 }",
        "trip = { failures = 5 }",
        "open_for = 5",
        "slow_after = \"never\"",
        "per = \"model\"",
        "preset = \"fast\"",
        "opne_for = \"5s\"",
        "[models.o3]\nopne_for = \"5s\"",
    ];
    for text in cases {
        assert!(toml::from_str::<BreakerConfig>(text).is_err(), "{text}");
    }
}
