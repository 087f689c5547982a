//! Callers are who their keys say, and nothing secret is ever told.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{ADMIN, ADMIN_KEY, Gateway, chat, doors::DOORS, raw::raw};
use http::{Method, StatusCode, header};

const KEY: &str = "caller-key-canary-1";
/// What `printf %s caller-key-canary-1 | sha256sum` prints.
const SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

fn config() -> String {
    format!(
        "{ADMIN}[[keys]]\nsha256 = \"{SHA256}\"\ntenant = \"acme\"\nuser = \"ci\"\nworkflow = \"nightly\"\n\n[simulated]\nmodels = [{{ name = \"m\" }}]\n"
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
    let anthropics = gateway.post("/v1/messages", String::new()).await;
    assert_eq!((anthropics.status, &anthropics.json()["type"]), (StatusCode::UNAUTHORIZED, &"error".into()));
    assert_eq!(anthropics.json()["error"]["type"], "authentication_error");
    assert!(!wrong.text().contains("canary"));
    assert_eq!(gateway.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.get("/healthz").await.status, StatusCode::OK, "probes have no key");
}

#[tokio::test]
async fn a_key_is_told_of_the_models_that_it_may_use() {
    let limited = config().replace("workflow = \"nightly\"", "models = [\"m\", \"simulated/large*\"]");
    let gateway = Gateway::start(
        &limited.replace("{ name = \"m\" }", "{ name = \"m\" }, { name = \"large-1\" }, { name = \"other\" }"),
    )
    .await;
    let told = async |path: &str| {
        let mut request = gateway.request(Method::GET, path, "");
        request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        harness::Answer::read(gateway.send(request).await).await
    };
    let list = told("/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["m", "large-1"]);
    assert_eq!(told("/v1/models/large-1").await.status, StatusCode::OK);
    assert_eq!(told("/v1/models/other").await.status, StatusCode::NOT_FOUND);
}

/// Wherever else a key could stand, and whatever else could be taken for one.
#[tokio::test]
async fn nothing_but_the_key_in_its_place_opens_a_door() {
    let gateway = Gateway::start(&config()).await;
    for door in DOORS {
        let body = door.body("m", &format!(r#""api_key":"{KEY}","key":"{KEY}","user":"{KEY}""#));
        let attempt = async |path: &str, lines: &str| {
            let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}");
            let rest = format!("content-length: {}\r\n\r\n{body}", body.len());
            let answer = raw(gateway.address, (head + &rest).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{path} {lines:?}: {answer}");
            assert!(answer.contains(door.unauthenticated), "{path} {lines:?}: {answer}");
            assert!(!answer.contains("canary") && !answer.contains("acme"), "{path} {lines:?}: {answer}");
        };
        for query in ["key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "token", "authorization"] {
            attempt(&format!("{}?{query}={KEY}", door.path), "").await;
            attempt(&format!("{}?{query}=Bearer%20{KEY}", door.path), "").await;
        }
        for lines in [
            format!("authorization: {KEY}\r\n"),
            format!("authorization: Basic {KEY}\r\n"),
            // The key as a user, and as a password, in base64.
            "authorization: Basic Y2FsbGVyLWtleS1jYW5hcnktMTo=\r\n".to_owned(),
            "authorization: Basic OmNhbGxlci1rZXktY2FuYXJ5LTE=\r\n".to_owned(),
            format!("authorization: Token {KEY}\r\n"),
            format!("authorization: Digest username=\"{KEY}\"\r\n"),
            format!("authorization: Negotiate {KEY}\r\n"),
            format!("authorization: Bearer{KEY}\r\n"),
            format!("authorization: Bearer: {KEY}\r\n"),
            format!("authorization: Bearer \"{KEY}\"\r\n"),
            format!("authorization: Bearer {KEY},{KEY}\r\n"),
            format!("authorization: Bearer {KEY} x\r\n"),
            format!("authorization: Bearer x {KEY}\r\n"),
            format!("authorization: Bearer {}\r\n", &KEY[..KEY.len() - 1]),
            format!("authorization: Bearer {KEY}1\r\n"),
            format!("authorization: Bearer {}\r\n", KEY.to_uppercase()),
            "authorization: Bearer\r\n".to_owned(),
            "authorization: Bearer \r\n".to_owned(),
            "authorization: Bearer \u{e9}\r\n".to_owned(),
            // What is stored is no key.
            format!("authorization: Bearer {SHA256}\r\n"),
            format!("x-api-key: {SHA256}\r\n"),
            format!("authorization: Bearer {ADMIN_KEY}\r\n"),
            format!("x-api-key: Bearer {KEY}\r\n"),
            format!("x-api-key: \r\nx-key: {KEY}\r\n"),
            format!("proxy-authorization: Bearer {KEY}\r\n"),
            format!("x-authorization: Bearer {KEY}\r\n"),
            format!("cookie: key={KEY}; authorization=Bearer {KEY}\r\n"),
            format!("x-goog-api-key: {KEY}\r\n"),
            // Nobody's word but the key's says who somebody is.
            "x-tenant: acme\r\nx-user: ci\r\nx-forwarded-user: ci\r\nremote-user: ci\r\n".to_owned(),
            // Of two, the first must do.
            format!("authorization: Bearer wrong\r\nauthorization: Bearer {KEY}\r\n"),
            format!("authorization: Bearer wrong\r\nx-api-key: {KEY}\r\n"),
        ] {
            attempt(door.path, &lines).await;
        }
    }
    let in_target =
        format!("GET http://{KEY}@localhost/v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(raw(gateway.address, in_target.as_bytes()).await.starts_with("HTTP/1.1 400"));
    let said = gateway.said();
    assert!(said.contains("/v1/chat/completions") && !said.contains("canary") && !said.contains(SHA256), "{said}");
}

/// A body is not even looked at, however wrong, and a wrong path is none of a stranger's business.
#[tokio::test]
async fn who_has_no_key_learns_nothing_else() {
    let gateway = Gateway::start(&config()).await;
    let mut told = std::collections::BTreeSet::new();
    for path in
        ["/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/m", "/v1/none", "/status", "/", "//"]
    {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            for body in ["", "{", "{\"model\":\"m\"}"] {
                let mut request = gateway.request(method.clone(), path, body);
                request.headers_mut().insert("authorization", "Bearer wrong-key-canary-2".parse().unwrap());
                request.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
                let answer = harness::Answer::read(gateway.send(request).await).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {body}");
                assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
                told.insert(answer.text());
            }
        }
    }
    assert_eq!(told.len(), 1, "the same to all: {told:?}");
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
    let known = ["/v1/chat/completions", "tenant=\"acme\"", "user=\"ci\"", "workflow=\"nightly\"", "status=401"];
    // What the gateway has said may still be on its way here.
    let said = loop {
        let said = gateway.said();
        if known.iter().all(|known| said.contains(known)) {
            break said;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    for secret in ["canary", &content] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}
