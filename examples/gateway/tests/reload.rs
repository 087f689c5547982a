//! Told to, the gateway reads its configuration again while it serves: all of it counts at once, or none.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod harness;

use harness::{ADMIN, Gateway, chat, origin::Origin, provider};
use http::StatusCode;

fn simulated(model: &str) -> String {
    format!(
        "{ADMIN}[simulated]\nmodels = [{{ name = \"{model}\", first_token = \"1ms\", tokens_per_second = 40.0 }}, \
         {{ name = \"quick\", first_token = \"1ms\", tokens_per_second = 100000.0 }}]\n"
    )
}

async fn status_of(gateway: &Gateway, model: &str) -> StatusCode {
    gateway.post("/v1/chat/completions", chat(model, false)).await.status
}

#[tokio::test]
async fn another_configuration_holds_for_the_next_request_and_an_open_stream_is_finished() {
    let gateway = Gateway::start(&simulated("slow")).await;
    let mut stream = gateway.stream("slow").await;
    assert!(stream.read_events(2).await);
    assert_eq!(status_of(&gateway, "quick").await, StatusCode::OK);

    // A key for callers, another model, and other server settings, all in one.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let next = format!(
        "[server]\nprovenance_headers = false\n[[keys]]\nsha256 = \"{sha256}\"\ntenant = \"acme\"\n{}",
        simulated("other").replace("quick", "swift")
    );
    assert!(gateway.reconfigure(&next).await);
    assert_eq!(status_of(&gateway, "swift").await, StatusCode::UNAUTHORIZED, "callers need a key now");
    for (model, status) in [("swift", StatusCode::OK), ("quick", StatusCode::NOT_FOUND)] {
        let mut request = gateway.request(http::Method::POST, "/v1/chat/completions", chat(model, false));
        request.headers_mut().insert("x-api-key", "abc".parse().unwrap());
        let answer = harness::Answer::read(gateway.send(request).await).await;
        assert_eq!(answer.status, status, "{model}");
        assert!(answer.header("x-llm-call-id").is_none());
    }
    stream.read_to_end().await;
    assert!(stream.is_terminated(), "{}", stream.text);
    assert_eq!(gateway.status().await["models"][0]["name"], "other");
}

#[tokio::test]
async fn a_configuration_with_a_mistake_changes_nothing() {
    let gateway = Gateway::start(&simulated("slow")).await;
    let mistakes = [
        "[sever]\n",
        "this is no configuration",
        &format!("{}\n[breaker]\nopen_for = \"0s\"\n", simulated("other")),
        // Right but for its last table.
        &format!("{}\n[[keys]]\nsha256 = \"short\"\ntenant = \"acme\"\n", simulated("other")),
        &format!("[server]\nmax_body_bytes = 0\n{}", simulated("other")),
    ];
    for mistake in mistakes {
        assert!(!gateway.reconfigure(mistake).await, "{mistake}");
        assert_eq!(status_of(&gateway, "quick").await, StatusCode::OK);
        assert_eq!(gateway.status().await["models"][0]["name"], "slow");
    }
    assert!(gateway.said().contains("stays as it was: "), "with the sentence that a start would end with");
    assert!(gateway.reconfigure(&simulated("other")).await, "it listens on");
    assert_eq!(status_of(&gateway, "slow").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_open_circuit_stays_open_and_a_listener_where_it_is() {
    let failing = Origin::answer("500 Internal Server Error", "", r#"{"error":{"message":"down"}}"#);
    let origin = Origin::start(failing).await;
    let config = |more: &str| {
        format!(
            "retry = false\n[breaker]\ntrip = {{ rule = \"consecutive\", failures = 2 }}\nopen_for = \"60s\"\n{more}{ADMIN}{}",
            provider(&origin.base_url())
        )
    };
    let gateway = Gateway::start(&config("")).await;
    for _ in 0..3 {
        gateway.post("/v1/chat/completions", chat("m", false)).await;
    }
    let before = origin.seen().len();
    assert_eq!(before, 2);
    assert!(gateway.reconfigure(&config("[server]\nlisten = \"127.0.0.1:1\"\nmax_connections = 5\n")).await);
    let refused = gateway.post("/v1/chat/completions", chat("m", false)).await;
    assert_eq!(refused.header("x-llm-error-kind"), Some("circuit_open"));
    assert_eq!(origin.seen().len(), before, "the provider is down, and nobody has forgotten that");
    let said = gateway.said();
    assert!(said.contains("server.max_connections is as it was"), "{said}");
}

/// The new configuration would do at the address that it states, where the gateway does not move.
#[tokio::test]
async fn keys_are_not_given_up_where_other_machines_can_reach_the_gateway() {
    let keyed =
        "[[keys]]\nsha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\ntenant = \"acme\"\n";
    let config = |listen: &str, keys: &str| format!("[server]\nlisten = \"{listen}\"\n{keys}{}", simulated("m"));
    let gateway = Gateway::start_where_configured(&config("0.0.0.0:0", keyed)).await;
    assert!(!gateway.reconfigure(&config("127.0.0.1:0", "")).await);
    assert_eq!(status_of(&gateway, "quick").await, StatusCode::UNAUTHORIZED);
    assert!(gateway.said().contains("server.listen: other machines can reach this address"), "{}", gateway.said());
}

/// The file may lie where nothing comes from any more.
#[tokio::test]
async fn a_configuration_that_cannot_be_read_keeps_nobody_from_stopping_it() {
    let mut gateway = Gateway::start(&simulated("m")).await;
    std::fs::remove_file(gateway.file()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(gateway.file()).status().unwrap().success());
    gateway.signal("HUP");
    // Opened once the gateway reads from it.
    let _writes_nothing = std::fs::File::options().write(true).open(gateway.file()).unwrap();
    gateway.signal("TERM");
    assert!(gateway.wait().success());
}

/// The listener stays, and the key that it wanted does not.
#[tokio::test]
async fn operators_are_let_in_no_more_once_their_table_is_gone() {
    let gateway = Gateway::start(&simulated("m")).await;
    assert_eq!(gateway.status().await["models"][0]["name"], "m");
    std::fs::write(gateway.file(), simulated("m").replace(ADMIN, "")).unwrap();
    gateway.signal("HUP");
    while gateway.admin().await.status == StatusCode::OK {}
    assert_eq!(gateway.admin().await.status, StatusCode::NOT_FOUND);
    assert_eq!(status_of(&gateway, "quick").await, StatusCode::OK);
}
