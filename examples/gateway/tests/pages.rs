//! A gateway that asks for no key serves the machine it runs on, and not the web pages that are looked at there.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Answer, Gateway, chat};
use http::Method;

const SIMULATED: &str = "[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\" }]\n";
const SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

/// What a browser sends for a page: to a name of the page's choice, without a content type that would be asked about.
async fn send(gateway: &Gateway, host: &str, origin: Option<&str>) -> Answer {
    let mut request = gateway.request(Method::POST, "/v1/chat/completions", chat("m", false));
    request.headers_mut().remove("content-type");
    request.headers_mut().insert("host", host.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    Answer::read(gateway.send(request).await).await
}

async fn is_refused(gateway: &Gateway, host: &str, origin: Option<&str>) {
    let answer = send(gateway, host, origin).await;
    assert_eq!(answer.status, 403, "{host}, {origin:?}: {}", answer.text());
    assert!(answer.error_message().contains("server.hosts"));
    assert_eq!(answer.header("x-llm-error-kind"), Some("forbidden"));
}

#[tokio::test]
async fn no_web_page_reaches_an_open_gateway() {
    let gateway = Gateway::start(SIMULATED).await;
    is_refused(&gateway, "evil.example", Some("http://evil.example")).await;
    is_refused(&gateway, "evil.example", None).await;
    is_refused(&gateway, "localhost", Some("http://evil.example")).await;
    is_refused(&gateway, "localhost", Some("null")).await;
    for (host, origin) in [("localhost:1", None), ("127.0.0.1", Some("http://localhost:3000")), ("[::1]", None)] {
        assert_eq!(send(&gateway, host, origin).await.status, 200, "{host}, {origin:?}");
    }
}

#[tokio::test]
async fn configured_names_are_own_names() {
    let gateway = Gateway::start(&format!("[server]\nhosts = [\"gateway.internal\"]\n{SIMULATED}")).await;
    assert_eq!(send(&gateway, "gateway.internal", Some("https://gateway.internal")).await.status, 200);
    assert_eq!(send(&gateway, "localhost", Some("https://gateway.internal")).await.status, 200);
    is_refused(&gateway, "evil.example", None).await;
}

#[tokio::test]
async fn a_public_address_has_any_name_until_it_is_told_its_names() {
    let public = |hosts: &str| format!("[server]\nallow_anonymous = true\n{hosts}{SIMULATED}");
    let gateway = Gateway::start_at("0.0.0.0:0", &public("")).await;
    assert_eq!(send(&gateway, "gateway.example", None).await.status, 200);
    assert_eq!(send(&gateway, "gateway.example", Some("https://gateway.example")).await.status, 200);
    is_refused(&gateway, "gateway.example", Some("https://evil.example")).await;
    let named = Gateway::start_at("0.0.0.0:0", &public("hosts = [\"gateway.example\"]\n")).await;
    assert_eq!(send(&named, "gateway.example", None).await.status, 200);
    is_refused(&named, "evil.example", None).await;
}

#[tokio::test]
async fn where_keys_are_needed_names_do_not_matter() {
    let keys = format!("[[keys]]\nsha256 = \"{SHA256}\"\ntenant = \"acme\"\n");
    let gateway = Gateway::start(&format!("{SIMULATED}{keys}")).await;
    assert_eq!(send(&gateway, "evil.example", Some("http://evil.example")).await.status, 401);
}
