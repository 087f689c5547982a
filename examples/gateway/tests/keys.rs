//! Callers are who their keys say, and nothing secret is ever told.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{ADMIN, ADMIN_KEY, Gateway, chat};
use http::{Method, StatusCode, header};

const KEY: &str = "caller-key-canary-1";
/// What `printf %s caller-key-canary-1 | sha256sum` prints.
const SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

fn config() -> String {
    format!(
        "{ADMIN}hosts = [\"gateway.internal\"]\n[[keys]]\nsha256 = \"{SHA256}\"\ntenant = \"acme\"\nuser = \"ci\"\nworkflow = \"nightly\"\n\n[simulated]\nmodels = [{{ name = \"m\" }}]\n"
    )
}

async fn with_header(gateway: &Gateway, name: &str, value: &str) -> harness::Answer {
    let mut request = gateway.request(Method::POST, "/v1/chat/completions", chat("m", false));
    request.headers_mut().insert(header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    harness::Answer::read(gateway.send(request).await).await
}

#[tokio::test]
async fn the_right_key_opens_the_door_wherever_the_sdk_puts_it() {
    let gateway = Gateway::start(&config()).await;
    for (name, value) in
        [("authorization", format!("Bearer {KEY}")), ("x-api-key", KEY.into()), ("api-key", KEY.into())]
    {
        assert!(!with_header(&gateway, name, &value).await.content().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn no_key_and_a_wrong_key_are_told_apart_and_never_repeated() {
    let gateway = Gateway::start(&config()).await;
    let none = gateway.post("/v1/chat/completions", chat("m", false)).await;
    let wrong = with_header(&gateway, "authorization", "Bearer wrong-key-canary-2").await;
    for answer in [&none, &wrong] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_ne!(none.error_message(), wrong.error_message());
    assert!(!wrong.text().contains("canary"));
    assert_eq!(gateway.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.get("/healthz").await.status, StatusCode::OK, "probes have no key");
}

#[tokio::test]
async fn a_key_in_the_url_is_not_looked_at_and_not_logged() {
    let gateway = Gateway::start(&config()).await;
    let path = format!("/v1/chat/completions?key={KEY}&api_key={KEY}");
    assert_eq!(gateway.post(&path, chat("m", false)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logs_at_their_loudest_hold_no_key_and_no_content() {
    let gateway = Gateway::start(&config()).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"prompt-canary-3"}]}"#;
    let mut request = gateway.request(Method::POST, &format!("/v1/chat/completions?key={KEY}"), body);
    request.headers_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    let answer = harness::Answer::read(gateway.send(request).await).await;
    let content = answer.content();
    with_header(&gateway, "authorization", "Bearer wrong-key-canary-2").await;
    let said = gateway.said();
    for known in ["/v1/chat/completions", "tenant=\"acme\"", "user=\"ci\"", "workflow=\"nightly\""] {
        assert!(said.contains(known), "{known} is not in the log");
    }
    for secret in ["canary", &content] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn operators_have_a_listener_and_a_key_of_their_own() {
    let gateway = Gateway::start(&config()).await;
    let admin = gateway.admin_url().await;
    let ask = async |key: &str, host: Option<&str>, method: Method| {
        let mut request = gateway.request(method, "/", "");
        *request.uri_mut() = admin.parse().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        harness::Answer::read(gateway.send(request).await).await
    };
    assert_eq!(ask(KEY, None, Method::GET).await.status, StatusCode::UNAUTHORIZED, "a caller is no operator");
    assert_eq!(ask(ADMIN_KEY, Some("evil.example"), Method::GET).await.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(
        ask(ADMIN_KEY, Some("gateway.internal"), Method::GET).await.status,
        StatusCode::OK,
        "a name it was given"
    );
    assert_eq!(ask(ADMIN_KEY, None, Method::POST).await.status, StatusCode::METHOD_NOT_ALLOWED);
    with_header(&gateway, "authorization", &format!("Bearer {KEY}")).await.content();
    let status = ask(ADMIN_KEY, None, Method::GET).await;
    assert_eq!(status.header("access-control-allow-origin"), None);
    let status = status.json();
    assert_eq!(status["calls"]["complete"], 1);
    assert_eq!(status["calls"]["open"], 0);
    assert_eq!(status["models"][0]["name"], "m");
    assert_eq!(gateway.get("/status").await.status, StatusCode::UNAUTHORIZED, "not at the callers' door");
}
