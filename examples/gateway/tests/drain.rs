//! Told to stop, the gateway lets open streams finish, and takes nothing new.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod harness;

use harness::{Gateway, chat};

/// Slow enough that a stream is still open when the signal comes.
const SLOW: &str = "[simulated]\nmodels = [{ name = \"slow\", first_token = \"1ms\", tokens_per_second = 40.0 }]\n";

#[tokio::test]
async fn an_open_stream_is_finished_after_either_signal() {
    for name in ["TERM", "INT"] {
        let mut gateway = Gateway::start(SLOW).await;
        let mut stream = gateway.stream("slow").await;
        assert!(stream.read_events(2).await);
        gateway.signal(name);
        stream.read_to_end().await;
        assert!(stream.is_terminated(), "{}", stream.text);
        assert!(gateway.wait().success());
        assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn after_the_grace_time_what_is_open_is_cut() {
    let config = "[server]\ngrace = \"200ms\"\n[simulated]\n\
                  models = [{ name = \"slow\", first_token = \"1ms\", tokens_per_second = 0.5 }]\n";
    let mut gateway = Gateway::start(config).await;
    let mut stream = gateway.stream("slow").await;
    assert!(stream.read_events(1).await);
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "it does not wait for the stream");
    assert!(gateway.said().contains("cut"));
}

#[tokio::test]
async fn probes_are_told_before_the_doors_close() {
    let mut gateway = Gateway::start(&format!("[server]\ndrain_delay = \"10m\"\n{SLOW}")).await;
    assert_eq!(gateway.get("/readyz").await.status, 200);
    gateway.signal("TERM");
    while gateway.get("/readyz").await.status != 503 {}
    assert_eq!(gateway.get("/healthz").await.status, 200, "it is well, and leaving");
    tokio::net::TcpStream::connect(gateway.address).await.expect("the doors are still open");
    assert!(!gateway.post("/v1/chat/completions", chat("slow", false)).await.content().is_empty());
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "a second signal does not wait for the delay");
}

#[tokio::test]
async fn after_the_delay_the_doors_close() {
    let mut gateway = Gateway::start(&format!("[server]\ndrain_delay = \"100ms\"\n{SLOW}")).await;
    gateway.signal("TERM");
    assert!(gateway.wait().success(), "a signal at the first moment is not missed");
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let config = "[simulated]\nmodels = [{ name = \"slow\", first_token = \"1ms\", tokens_per_second = 0.5 }]\n";
    let mut gateway = Gateway::start(config).await;
    let mut stream = gateway.stream("slow").await;
    assert!(stream.read_events(1).await);
    gateway.signal("TERM");
    while !gateway.said().contains("told to stop") {
        tokio::task::yield_now().await;
    }
    gateway.signal("TERM");
    assert!(gateway.wait().success());
}
