//! Each option of a configuration does something.

use std::time::Duration;

use llm_cache::{CacheConfig, CacheLayer, Refused};
use llm_core::{CacheStatus, Error, ErrorKind, Json, LlmRequest, Sensitivity};
use llm_test::{Answer, Probe};
use tokio::time::{Instant, advance};

use crate::stage::{HOUR, SECOND, Stage, is_hit, of_tenant, question, streamed};

fn stage_with(config: &str, probe: Probe) -> Stage {
    let config: CacheConfig = toml::from_str(config).unwrap();
    Stage::new(CacheLayer::try_from(config).unwrap(), probe)
}

fn stage(config: &str) -> Stage {
    stage_with(config, Probe::new())
}

/// What becomes of the second of two equal calls with that much time between them.
async fn again(stage: &Stage, first: LlmRequest, wait: Duration, second: LlmRequest) -> CacheStatus {
    stage.ask(first).await.unwrap();
    advance(wait).await;
    stage.ask(second).await.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn who_shares_is_read() {
    let tenants = || (of_tenant(question(), "acme"), of_tenant(question(), "globex"));
    for (config, is_shared) in [("", false), ("scope = 'everyone'", true), ("scope = 'user'", false)] {
        let (one, other) = tenants();
        assert_eq!(is_hit(again(&stage(config), one, SECOND, other).await), is_shared, "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_difference_is_read() {
    let traced = |id: u32| {
        let json = Json::from_text(id.to_string()).unwrap();
        LlmRequest::chat("m").user("Why?").temperature(0.0).with(|chat| chat.extra.insert("x_trace", json)).build()
    };
    for (config, is_shared) in [("", false), ("irrelevant_fields = 'x_trace'", true)] {
        assert_eq!(is_hit(again(&stage(config), traced(1), SECOND, traced(2)).await), is_shared, "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn sizes_are_read() {
    let stage = stage("capacity = 2_000\nentry_limit = 2_000");
    for number in 0..50 {
        let request = LlmRequest::chat("m").user(number.to_string()).temperature(0.0).build();
        stage.ask(request).await.unwrap();
    }
    assert!(stage.handle.size().entries <= 3);
    let stage = self::stage("entry_limit = 700");
    stage.ask(question()).await.unwrap();
    assert_eq!(stage.handle.refused(Refused::TooLarge), 1);
}

#[tokio::test(start_paused = true)]
async fn times_are_read() {
    for (config, wait, is_good) in [
        ("", HOUR, true),
        ("ttl = '10s'", 20 * SECOND, false),
        ("ttl = '3h'", 2 * HOUR, true),
        ("ttl = '10s'\nstale_while_revalidate = '1m'", 20 * SECOND, true),
    ] {
        let status = again(&stage(config), question(), wait, question()).await;
        assert_eq!(status != CacheStatus::Miss, is_good, "{config}");
    }
    let down = Answer::fail(Error::new(ErrorKind::Server, "down"));
    for (config, is_answered) in [("", true), ("stale_if_error = '1h'", false)] {
        let stage = stage_with(config, Probe::answering(down.clone()).script([Answer::text("old")]));
        stage.ask(question()).await.unwrap();
        advance(5 * HOUR).await;
        assert_eq!(stage.ask(question()).await.is_ok(), is_answered, "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_failures_are_kept_is_read() {
    let invalid = Answer::fail(Error::new(ErrorKind::InvalidRequest, "no"));
    for (config, calls) in [("", 2), ("keep_failures = '1m'", 1)] {
        let stage = stage_with(config, Probe::answering(invalid.clone()));
        for _ in 0..2 {
            stage.ask(question()).await.unwrap_err();
        }
        assert_eq!(stage.log.calls(), calls, "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_many_are_renewed_is_read() {
    for (config, calls) in [("", 2), ("renewals = 0", 1)] {
        let stage = stage(config);
        again(&stage, question(), HOUR + 60 * SECOND, question()).await;
        advance(SECOND).await;
        tokio::task::yield_now().await;
        assert_eq!(stage.log.calls(), calls, "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_read() {
    for (config, took) in [("", 0), ("replay = 'at_once'", 0), ("replay = '20ms'", 4 * 20)] {
        let stage = stage(config);
        stage.ask(streamed()).await.unwrap();
        let begun = Instant::now();
        stage.ask(streamed()).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_millis(took), "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_the_store_is_local_is_read() {
    for (config, is_kept) in [("", false), ("local = true", true)] {
        let stage = stage(config);
        let sensitive = || {
            let mut request = question();
            request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
            request
        };
        assert_eq!(is_hit(again(&stage, sensitive(), SECOND, sensitive()).await), is_kept, "{config}");
    }
}
