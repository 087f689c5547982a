//! Operators have a listener and a key of their own, and what they look at changes nothing.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{
    ADMIN, ADMIN_KEY, Answer, Gateway, chat,
    doors::DOORS,
    raw::{raw, statuses},
};
use http::{Method, StatusCode};
use serde_json::Value;

const KEY: &str = "caller-key-canary-1";
/// What `printf %s caller-key-canary-1 | sha256sum` prints.
const SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

async fn start() -> Gateway {
    let config = format!(
        "{ADMIN}hosts = [\"gateway.internal\"]\n[[keys]]\nsha256 = \"{SHA256}\"\ntenant = \"acme\"\n\n\
         [simulated]\nmodels = [{{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }}]\n"
    );
    Gateway::start(&config).await
}

/// Asks the admin listener, with these headers.
async fn ask(gateway: &Gateway, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = gateway.request(method, "/", "");
    let url = gateway.admin_url().await.replace("/status", path);
    *request.uri_mut() = url.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    Answer::read(gateway.send(request).await).await
}

/// The operators' key, as it is sent.
fn key() -> String {
    format!("Bearer {ADMIN_KEY}")
}

async fn call(gateway: &Gateway) {
    let mut request = gateway.request(Method::POST, "/v1/chat/completions", chat("m", false));
    request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    Answer::read(gateway.send(request).await).await.content();
}

#[tokio::test]
async fn operators_see_what_goes_on_and_no_secret() {
    let gateway = start().await;
    call(&gateway).await;
    for headers in [[("authorization", &*key())], [("x-api-key", ADMIN_KEY)]] {
        let answer = ask(&gateway, Method::GET, "/status", &headers).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let status = answer.json();
        assert_eq!((&status["calls"]["complete"], &status["calls"]["open"]), (&1.into(), &0.into()));
        assert_eq!(status["models"][0]["name"], "m");
        let target = &status["targets"][0];
        assert_eq!((&target["provider"], &target["local"]), (&"simulated".into(), &true.into()));
        assert_eq!((&target["in_flight"], &target["failing"]), (&0.into(), &0.0.into()));
        for secret in ["canary", SHA256, ADMIN_KEY] {
            assert!(!answer.text().contains(secret), "{secret} in {}", answer.text());
        }
    }
    let said = gateway.said();
    assert!(!said.contains(ADMIN_KEY) && !said.contains("canary"), "{said}");
}

#[tokio::test]
async fn only_the_operators_key_opens_the_admin_listener() {
    let gateway = start().await;
    let caller = format!("Bearer {KEY}");
    let basic = format!("Basic {ADMIN_KEY}");
    let short = &key()[..key().len() - 1].to_owned();
    let long = key() + "x";
    let upper = format!("Bearer {}", ADMIN_KEY.to_uppercase());
    let none: &[(&str, &str)] = &[];
    for headers in [
        none,
        &[("authorization", &*caller)],
        &[("x-api-key", KEY)],
        &[("authorization", ADMIN_KEY)],
        &[("authorization", &*basic)],
        &[("authorization", &**short)],
        &[("authorization", &*long)],
        &[("authorization", &*upper)],
        &[("authorization", "Bearer ")],
        &[("x-api-key", "")],
        &[("cookie", ADMIN_KEY)],
        &[("authorization", &*caller), ("authorization", &*key())],
    ] {
        // An unknown path is not told from a known one before the key is right.
        for path in ["/status", "/nothing", "/", "/v1/models", "/healthz"] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let answer = ask(&gateway, method.clone(), path, headers).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
                assert!(!answer.text().contains("canary"));
            }
        }
    }
    let in_url = format!("/status?key={ADMIN_KEY}&api_key={ADMIN_KEY}&authorization=Bearer%20{ADMIN_KEY}");
    assert_eq!(ask(&gateway, Method::GET, &in_url, &[]).await.status, StatusCode::UNAUTHORIZED);
    for path in ["/nothing", "/", "/status/", "/status/x", "//status", "/STATUS", "/v1/models", "/healthz"] {
        let answer = ask(&gateway, Method::GET, path, &[("authorization", &key())]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_admin_listener_is_addressed_under_its_own_names_only() {
    let gateway = start().await;
    for host in ["gateway.internal", "gateway.internal:1", "localhost", "127.0.0.1"] {
        let answer = ask(&gateway, Method::GET, "/status", &[("authorization", &key()), ("host", host)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
    let names =
        ["evil.example", "localhost.evil.example", "evil-localhost", "gateway.internal.evil.example", "127.0.0.2"];
    for host in names {
        let answer = ask(&gateway, Method::GET, "/status", &[("authorization", &key()), ("host", host)]).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let url = gateway.admin_url().await;
    let address = url.trim_start_matches("http://").trim_end_matches("/status").parse().unwrap();
    let key = key();
    for (head, status) in [
        ("GET /status HTTP/1.1\r\n".to_owned(), "400"),
        ("GET /status HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n".to_owned(), "400"),
        ("GET /status HTTP/1.1\r\nhost: evil.example@localhost\r\n".to_owned(), "400"),
        ("GET http://localhost/status HTTP/1.1\r\nhost: evil.example\r\n".to_owned(), "400"),
        ("GET http://evil.example/status HTTP/1.1\r\nhost: localhost\r\n".to_owned(), "400"),
        ("GET http://evil.example/status HTTP/1.1\r\nhost: evil.example\r\n".to_owned(), "421"),
        ("GET /status HTTP/1.0\r\n".to_owned(), "421"),
        ("GET /status HTTP/1.1\r\nhost: localhost\nx: y\r\n".to_owned(), "400"),
    ] {
        let answer = raw(address, format!("{head}connection: close\r\nauthorization: {key}\r\n\r\n").as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn no_web_page_may_read_what_operators_see() {
    let gateway = start().await;
    let page = [
        ("origin", "http://evil.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let key = key();
    let with_key = [&page[..], &[("authorization", &*key)]].concat();
    for method in [Method::OPTIONS, Method::GET] {
        for headers in [&page[..], &with_key] {
            let answer = ask(&gateway, method.clone(), "/status", headers).await;
            let names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            assert!(!names.iter().any(|name| name.starts_with("access-control-")), "{method}: {names:?}");
        }
    }
}

/// What an answer says, without what changes by itself.
fn without_time(status: &Value) -> Value {
    let mut status = status.clone();
    let fields = status.as_object_mut().unwrap();
    fields.remove("uptime_seconds");
    fields.remove("tasks");
    status
}

#[tokio::test]
async fn looking_changes_nothing_and_nothing_else_is_allowed() {
    let gateway = start().await;
    call(&gateway).await;
    let key = key();
    let headers = [("authorization", &*key)];
    let before = ask(&gateway, Method::GET, "/status", &headers).await.json();
    for query in ["", "?reset=1", "?stop=true&drain=1", "?_method=DELETE"] {
        for _ in 0..10 {
            assert_eq!(ask(&gateway, Method::GET, &format!("/status{query}"), &headers).await.status, StatusCode::OK);
        }
        let overridden = [headers[0], ("x-http-method-override", "DELETE")];
        ask(&gateway, Method::GET, &format!("/status{query}"), &overridden).await;
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let answer = ask(&gateway, method.clone(), "/status", &headers).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method}");
        assert!(answer.body.is_empty(), "{method}: nothing is echoed");
    }
    let after = ask(&gateway, Method::GET, "/status", &headers).await.json();
    assert_eq!(without_time(&after), without_time(&before));
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_listener_has_its_own_pages() {
    let gateway = start().await;
    for door in DOORS {
        let answer = ask(&gateway, Method::POST, door.path, &[("authorization", &key())]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{} is no page for operators", door.path);
    }
    let admin = gateway.admin_url().await.trim_start_matches("http://").trim_end_matches("/status").to_owned();
    for path in ["/status", "/admin", "/admin/status", "/metrics", "/debug", "/v1/status", "/v1/../status"] {
        for key in [KEY, ADMIN_KEY] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-api-key: {key}\r\n\r\n",
                gateway.address
            );
            let answer = raw(gateway.address, head.as_bytes()).await;
            let expected = if key == KEY { "404" } else { "401" };
            assert_eq!(statuses(&answer), [expected], "{path} at the callers' listener: {answer}");
        }
    }
    // The name of the other listener leads to no other listener.
    let head = format!("GET /status HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\nx-api-key: {ADMIN_KEY}\r\n\r\n");
    assert_eq!(statuses(&raw(gateway.address, head.as_bytes()).await), ["401"]);
}
