//! Ten thousand broken streams leave nothing behind.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use futures_util::{StreamExt, stream};
use harness::{ADMIN, Gateway, ONE_TO_ONE, provider};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};

#[tokio::test]
async fn ten_thousand_cut_streams_leave_no_task_connection_or_memory_behind() {
    let cut = ModelConfig::instant("cut").fault(FaultRule::new("cut after 3".parse().unwrap()));
    let sim = Sim::try_from(SimConfig::new([cut])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start_quiet(&format!("{ONE_TO_ONE}{ADMIN}{}", provider(&server.base_url()))).await;
    let round = async |streams: usize| {
        let one = async |number: usize| {
            let mut stream = gateway.stream("cut").await;
            // Half of the callers wait for the cut, the others leave after the first event.
            if number.is_multiple_of(2) {
                stream.read_to_end().await;
                assert!(stream.error().is_some());
            } else {
                stream.read_events(1).await;
            }
        };
        stream::iter(0..streams).for_each_concurrent(16, one).await;
        // Whoever left is seen by the gateway a moment later.
        gateway.until_idle().await
    };
    let ended = round(1_000).await;
    assert_eq!(ended, 1_000);
    let (tasks_before, descriptors_before, memory_before) =
        (gateway.tasks().await, gateway.descriptors(), gateway.memory());
    assert_eq!(round(10_000).await, 11_000, "every call has exactly one outcome");
    let (descriptors_after, memory_after) = (gateway.descriptors(), gateway.memory());
    // Connections that are kept for the next call have a task each, on both sides, whatever the number of calls.
    let tasks_after = gateway.tasks().await;
    assert!(tasks_after <= tasks_before + 32, "{tasks_before} then {tasks_after} tasks");
    assert!(descriptors_after <= descriptors_before + 32, "{descriptors_before} then {descriptors_after} descriptors");
    // 10,000 streams that each left a kilobyte would show as ten megabytes.
    assert!(memory_after < memory_before + 8_192, "{memory_before} KiB, then {memory_after} KiB");
}
