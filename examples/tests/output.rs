//! Each example is started as it is built, and prints what it is there to show.

#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, process::Command};

use llm_core::NanoUsd;

/// Runs an example with arguments to its end, and returns what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    // `cargo test` builds examples before tests, into the directory beside the one that this test is in.
    let mut path: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples").join(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    let output = Command::new(&path).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{} cannot be started ({error}): `cargo test -p examples` builds it", path.display())
    });
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {}{printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
    printed
}

/// The lines that begin so, in their order.
fn lines<'a>(printed: &'a str, start: &str) -> Vec<&'a str> {
    printed.lines().filter(|line| line.starts_with(start)).collect()
}

#[test]
fn axum_app_answers_on_its_own_routes_and_through_the_door() {
    let printed = run("axum_app", &[]);
    let statuses: Vec<&str> = lines(&printed, "/").iter().map(|line| line.split(',').next().unwrap()).collect();
    let expected = [
        "/health -> 200 OK",
        "/ask/tiny -> 200 OK",
        "/ask/down -> 502 Bad Gateway",
        "/v1/chat/completions -> 200 OK",
        "/v1/models -> 200 OK",
    ];
    assert_eq!(statuses, expected, "{printed}");
    assert_eq!(printed.matches("request my-own").count(), 5, "the middleware stands around all: {printed}");
    assert!(printed.contains("    Simulated answer by tiny:"), "the handler answers with text: {printed}");
    assert!(printed.contains(r#""content":"Simulated answer by tiny:"#), "the door answers with JSON: {printed}");
    assert!(printed.contains("no answer: server\n"), "{printed}");
}

#[test]
fn bare_hyper_hands_on_each_event_and_stops_for_who_leaves() {
    let printed = run("bare_hyper", &[]);
    assert!(printed.starts_with("200 OK, target \"sim/short\"\n"), "{printed}");
    let events = lines(&printed, "data: ");
    assert_eq!(events.len(), 7, "a start, four words, an end and its mark: {printed}");
    assert_eq!(events[6], "data: [DONE]");
    let stopped = lines(&printed, "the provider has stopped after ");
    let after: u64 = stopped[0].split(' ').nth(5).unwrap().parse().unwrap();
    assert!(after < 5_000, "{printed}");
}

#[test]
fn one_layer_retries_twice_and_says_so() {
    let printed = run("one_layer", &[]);
    let expected = [
        "my-model says: blue.",
        "attempt 1: Some(Failed(Overloaded)), retried",
        "attempt 2: Some(Failed(Server)), retried",
        "3 calls, 2 retries",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn http_to_http_sends_the_callers_bytes_with_the_providers_key() {
    let printed = run("http_to_http", &[]);
    assert!(printed.contains("out: 200 OK, attempts: \"2\"\n"), "{printed}");
    assert!(printed.contains("\"content\":\"Simulated answer by tiny:"), "{printed}");
    let seen = "provider: /v1/chat/completions from search, key team\n    same bytes: true\n";
    assert_eq!(printed.matches(seen).count(), 2, "both attempts: {printed}");
}

#[test]
fn own_provider_streams_beside_another_and_gets_what_is_sensitive() {
    let printed = run("own_provider", &[]);
    assert_eq!(lines(&printed, "house: Blue light is scattered more").len(), 2, "{printed}");
    assert_eq!(lines(&printed, "rented: Simulated answer by rented-model").len(), 1, "{printed}");
    assert_eq!(printed.matches("    on the trail: Some(Complete), 21 tokens\n").count(), 2, "{printed}");
    assert!(
        printed.ends_with("refused: the request is sensitive, and the provider is not marked local\n"),
        "{printed}"
    );
}

fn usd(amount: &str) -> NanoUsd {
    amount.parse().unwrap()
}

/// What `batch` says of the documents done, failed and left, and of what was spent.
fn batch(arguments: &[&str]) -> (u64, u64, u64, NanoUsd, String) {
    let printed = run("batch", arguments);
    let words: Vec<&str> = printed.split_whitespace().collect();
    let number = |at: usize| words[at].parse().unwrap();
    let spent = usd(words[9].trim_start_matches('$'));
    (number(0), number(5), number(7), spent, printed)
}

#[test]
fn batch_stops_at_its_budget_and_says_what_is_left() {
    let (done, failed, left, spent, printed) = batch(&["--jobs", "3", "--budget", "0.005", "--documents", "40"]);
    assert_eq!((done + left, failed), (40, 0), "{printed}");
    assert!(done > 5 && left > 5, "{printed}");
    assert!(usd("0.003") < spent && spent <= usd("0.005"), "{printed}");
    let named = lines(&printed, "left to do when there is more money: ")[0].split(": ").nth(1).unwrap();
    assert_eq!(named.split(' ').count() as u64, left, "{printed}");
}

#[test]
fn batch_ends_when_all_is_done() {
    let (done, failed, left, spent, printed) = batch(&["--jobs", "8", "--budget", "1", "--documents", "12"]);
    assert_eq!((done, failed, left), (12, 0, 0), "{printed}");
    assert!(spent > NanoUsd::ZERO, "{printed}");
    assert!(!printed.contains("left to do"), "{printed}");
}
