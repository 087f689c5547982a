//! A layer that takes another one's place knows what that has seen.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use llm_core::{Error, ErrorKind, LlmRequest, catalog::Catalog};
use llm_router::{ProviderEntry, RouterHandle, RouterLayer, TargetStatus, Targets};
use llm_test::{Answer, Probe};
use tower::{Layer, ServiceExt};

fn targets(providers: &[&str]) -> Targets {
    let add = |targets: Targets, name: &&str| targets.provider(ProviderEntry::new(*name).models(["m"]));
    providers.iter().fold(Targets::new(Arc::new(Catalog::new())), add)
}

fn status(handle: &RouterHandle, provider: &str) -> Option<TargetStatus> {
    handle.targets().into_iter().find(|status| status.target.provider() == provider)
}

fn ask() -> LlmRequest {
    LlmRequest::chat("m").user("hi").build()
}

#[tokio::test(start_paused = true)]
async fn failures_and_calls_under_way_are_seen_by_the_layer_that_comes_after() {
    let before = RouterLayer::new(targets(&["stays", "goes"]));
    for _ in 0..3 {
        let failing = Answer::fail(Error::new(ErrorKind::Server, "down"));
        before.layer(Probe::answering(failing)).oneshot(ask()).await.unwrap_err();
    }
    let call = tokio::spawn(before.layer(Probe::answering(Answer::hang())).oneshot(ask()));
    tokio::time::advance(Duration::from_millis(1)).await;

    let after = RouterLayer::new(targets(&["stays", "comes"])).resuming(&before.handle()).handle();
    let stays = status(&after, "stays").unwrap();
    assert_eq!((stays.in_flight, stays.failing > 0.0), (1, true));
    let comes = status(&after, "comes").unwrap();
    assert_eq!((comes.in_flight, comes.failing), (0, 0.0));
    assert!(status(&after, "goes").is_none());
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(status(&after, "stays").unwrap().in_flight, 0, "the calls of both are counted together");
}
