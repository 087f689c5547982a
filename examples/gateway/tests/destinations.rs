//! Where a call goes is the configuration's to say: nothing of a request, and nothing that a provider answers, leads
//! anywhere else.

#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeSet;

use harness::{
    Answer, Gateway, ONE_TO_ONE, chat,
    doors::{DOORS, Door},
    origin::Origin,
    provider,
    raw::{raw_and_leave, statuses},
};
use http::{HeaderName, Method};
use llm_sim::{ModelConfig, Sim, SimConfig, SimServer};

/// Where nobody may come, a provider, and a gateway before it that hands on any model, or only `m`.
async fn start(models: &str) -> (Origin, SimServer, Gateway) {
    let canary = Origin::start(Origin::answer("200 OK", "", "")).await;
    let models_of_sim = [ModelConfig::instant("m"), ModelConfig { dimensions: Some(8), ..ModelConfig::instant("e") }];
    let server = Sim::try_from(SimConfig::new(models_of_sim)).unwrap().serve("127.0.0.1:0").await.unwrap();
    let config = provider(&server.base_url()).replace("[\"*\"]", models);
    (canary, server, Gateway::start_quiet(&config).await)
}

/// The model that the provider has for a door.
fn model(door: &Door) -> &'static str {
    if door.path.ends_with("embeddings") { "e" } else { "m" }
}

fn is_at_its_own_address(server: &SimServer, calls: usize) {
    let log = server.log();
    assert_eq!(log.len(), calls);
    let paths: BTreeSet<&str> = log.iter().map(|received| &*received.path).collect();
    assert!(paths.iter().all(|path| DOORS.iter().any(|door| door.path == *path)), "{paths:?}");
}

#[tokio::test]
async fn no_field_of_a_body_leads_anywhere() {
    let (canary, server, gateway) = start("[\"*\"]").await;
    let url = format!("http://{}/x", canary.address);
    let text = |part: &str| format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#);
    let anywhere = [
        "base_url",
        "api_base",
        "api_url",
        "url",
        "endpoint",
        "host",
        "proxy",
        "azure_endpoint",
        "organization",
        "webhook",
        "callback_url",
        "x_base_url",
    ]
    .map(|name| format!(r#""{name}":"{url}""#));
    let nested = [
        format!(r#""metadata":{{"base_url":"{url}"}},"extra_headers":{{"host":"{}"}}"#, canary.address),
        format!(r#""extra_body":{{"api_base":"{url}"}},"provider":{{"url":"{url}","order":["{url}"]}}"#),
        format!(r#""headers":{{"x-base-url":"{url}"}},"route":"{url}","models":["{url}"]"#),
    ];
    let mut calls = 0;
    for door in DOORS {
        for fields in anywhere.iter().chain(&nested) {
            let answer = gateway.post(door.path, door.body(model(&door), fields)).await;
            assert_eq!(answer.status, 200, "{} {fields}: {}", door.path, answer.text());
            calls += usize::from(door.reaches_provider());
        }
    }
    // Images, files and tools are looked at by the provider, if it can, and never fetched here.
    for fields in [
        text(&format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#)),
        text(&format!(r#"{{"type":"file","file":{{"file_data":"{url}","file_id":"{url}"}}}}"#)),
        text(&format!(r#"{{"type":"input_audio","input_audio":{{"data":"{url}","format":"wav"}}}}"#)),
        text(&format!(r#"{{"type":"text","text":"{url}"}}"#)),
        format!(
            r#"{},"tools":[{{"type":"function","function":{{"name":"f","description":"{url}","parameters":{{"$ref":"{url}","$schema":"{url}"}}}}}}]"#,
            text(r#"{"type":"text","text":"x"}"#)
        ),
        format!(
            r#"{},"response_format":{{"type":"json_schema","json_schema":{{"name":"s","schema":{{"$ref":"{url}"}}}}}}"#,
            text(r#"{"type":"text","text":"x"}"#)
        ),
        format!(
            r#"{},"tools":[{{"type":"mcp","server_url":"{url}","server_label":"x"}}]"#,
            text(r#"{"type":"text","text":"x"}"#)
        ),
    ] {
        gateway.post("/v1/chat/completions", format!(r#"{{"model":"m",{fields}}}"#)).await;
    }
    canary.is_untouched().await;
    assert!(server.log().len() >= calls);
    is_at_its_own_address(&server, server.log().len());
}

#[tokio::test]
async fn no_header_leads_anywhere() {
    let (canary, server, gateway) = start("[\"*\"]").await;
    let (url, address) = (format!("http://{}/x", canary.address), canary.address.to_string());
    let named = [
        ("x-base-url", &url),
        ("x-forwarded-host", &address),
        ("x-forwarded-for", &address),
        ("x-forwarded-server", &address),
        ("x-forwarded-proto", &url),
        ("x-original-url", &url),
        ("x-rewrite-url", &url),
        ("x-host", &address),
        ("x-portkey-custom-host", &url),
        ("x-litellm-api-base", &url),
        ("openai-base-url", &url),
        ("x-envoy-original-path", &url),
        ("via", &address),
        ("referer", &url),
        ("location", &url),
        ("content-location", &url),
        ("proxy-connection", &address),
        ("x-http-destinationurl", &url),
        ("x-stainless-helper", &url),
    ];
    let mut calls = 0;
    for door in DOORS {
        for (name, value) in named {
            let mut request = gateway.request(Method::POST, door.path, door.body(model(&door), ""));
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
            let answer = Answer::read(gateway.send(request).await).await;
            assert_eq!(answer.status, 200, "{} {name}: {}", door.path, answer.text());
            calls += usize::from(door.reaches_provider());
        }
        let mut request = gateway.request(Method::POST, door.path, door.body(model(&door), ""));
        let forwarded = format!("for={address};host=\"{address}\";proto=http");
        request.headers_mut().insert("forwarded", forwarded.parse().unwrap());
        assert_eq!(gateway.send(request).await.status(), 200, "{}", door.path);
        calls += usize::from(door.reaches_provider());
    }
    canary.is_untouched().await;
    is_at_its_own_address(&server, calls);
}

#[tokio::test]
async fn no_host_and_no_request_target_leads_anywhere() {
    let (canary, server, gateway) = start("[\"*\"]").await;
    let address = canary.address;
    let mut calls = 0;
    for door in DOORS {
        let (path, body) = (door.path, door.body(model(&door), ""));
        let (length, own) = (body.len(), gateway.address);
        let rest = format!("content-length: {length}\r\n\r\n{body}");
        for (head, status) in [
            (format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n"), "200"),
            (format!("POST http://{address}{path} HTTP/1.1\r\nhost: {address}\r\n"), "200"),
            (format!("POST {path}?base_url=http://{address}&url=http://{address} HTTP/1.1\r\nhost: {own}\r\n"), "200"),
            // Two names for one place, or none: whoever looks at the other one would let it pass.
            (format!("POST http://{address}{path} HTTP/1.1\r\nhost: {own}\r\n"), "400"),
            (format!("POST http://{own}{path} HTTP/1.1\r\nhost: {address}\r\n"), "400"),
            (format!("POST {path} HTTP/1.1\r\nhost: {own}\r\nhost: {address}\r\n"), "400"),
            (format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nhost: {own}\r\n"), "400"),
            (format!("POST {path} HTTP/1.1\r\n"), "400"),
            (format!("POST {path} HTTP/1.1\r\nhost: {own}@{address}\r\n"), "400"),
            (format!("POST {path} HTTP/1.1\r\nhost: {own}, {address}\r\n"), "400"),
            (format!("POST /{address}{path} HTTP/1.1\r\nhost: {own}\r\n"), "404"),
            (format!("POST {path}/../../{address} HTTP/1.1\r\nhost: {own}\r\n"), "404"),
            (format!("POST /v1/http://{address} HTTP/1.1\r\nhost: {own}\r\n"), "404"),
        ] {
            let answers = raw_and_leave(gateway.address, format!("{head}{rest}").as_bytes()).await;
            assert_eq!(statuses(&answers).first(), Some(&status), "{head}: {answers}");
            calls += usize::from(status == "200" && door.reaches_provider());
        }
    }
    let tunnel = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let tunnel = gateway_refuses(&gateway, &tunnel).await;
    assert!(tunnel.starts_with("HTTP/1.1 4"), "{tunnel}");
    canary.is_untouched().await;
    is_at_its_own_address(&server, calls);
}

/// The first bytes of an answer, of a connection that is then dropped.
async fn gateway_refuses(gateway: &Gateway, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 512];
    let read = connection.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn no_name_of_a_model_leads_anywhere() {
    for models in ["[\"*\"]", "[\"m\", \"e\"]"] {
        let (canary, server, gateway) = start(models).await;
        let address = canary.address;
        let names = [
            format!("http://{address}/x"),
            format!("//{address}/x"),
            format!("m@{address}"),
            format!("http://m@{address}/"),
            format!("upstream/http://{address}/x"),
            format!("openai/http://{address}"),
            "openai/../..".to_owned(),
            "upstream/../../admin".to_owned(),
            "../../../etc/passwd".to_owned(),
            "upstream/m?key=x".to_owned(),
            "upstream/m#x".to_owned(),
            "anthropic/claude".to_owned(),
            "simulated/m".to_owned(),
            "upstream/upstream/m".to_owned(),
            "m%2f..%2f..".to_owned(),
            "m\u{202e}".to_owned(),
            " m".to_owned(),
            "M".to_owned(),
        ];
        for door in DOORS {
            for name in &names {
                let answer = gateway.post(door.path, door.body(name, "")).await;
                if models.contains('*') && !door.reaches_provider() {
                    assert_eq!(answer.status, 200, "{} {name}: {}", door.path, answer.text());
                    continue;
                }
                assert_eq!(answer.status, 404, "{} {name}: {}", door.path, answer.text());
                door.error_message(&answer);
            }
        }
        canary.is_untouched().await;
        // A provider that takes any model is asked, at its own address and path; any other is not even asked.
        let doors = DOORS.iter().filter(|door| models.contains('*') && door.reaches_provider()).count();
        let calls = doors * names.len();
        is_at_its_own_address(&server, calls);
    }
}

#[tokio::test]
async fn a_providers_redirect_is_not_followed() {
    let canary = Origin::start(Origin::answer("200 OK", "", "{}")).await;
    let to = format!("location: http://{}/v1/chat/completions\r\nrefresh: 0; url=http://{0}/\r\n", canary.address);
    for status in ["300 Multiple Choices", "301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
    {
        let origin = Origin::start(Origin::answer(status, &to, "")).await;
        let gateway = Gateway::start(&format!("{ONE_TO_ONE}{}", provider(&origin.base_url()))).await;
        for stream in [false, true] {
            let answer = gateway.post("/v1/chat/completions", chat("m", stream)).await;
            assert_eq!(answer.status, 502, "{status}: {}", answer.text());
            assert_eq!(answer.header("location"), None);
            assert!(!answer.text().contains(&canary.address.to_string()), "{status}: {}", answer.text());
        }
        assert_eq!(origin.seen().len(), 2, "{status}: each call was one request");
    }
    canary.is_untouched().await;
}

/// The provider sees a request of the gateway's own, and of the caller's only what stands in the body.
#[tokio::test]
async fn a_provider_gets_no_header_of_the_callers() {
    let answer = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hi"}}]}"#;
    let origin = Origin::start(Origin::answer("200 OK", "content-type: application/json\r\n", answer)).await;
    let gateway = Gateway::start(&provider(&origin.base_url())).await;
    let mut request = gateway.request(Method::POST, "/v1/chat/completions?key=caller-canary", chat("m", false));
    for name in [
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "anthropic-version",
        "anthropic-beta",
        "openai-organization",
        "openai-project",
        "openai-beta",
        "cookie",
        "user-agent",
        "accept",
        "accept-language",
        "traceparent",
        "tracestate",
        "baggage",
        "x-request-id",
        "idempotency-key",
        "x-stainless-lang",
        "http-referer",
        "x-title",
        "from",
        "te",
        "expect",
        "if-match",
        "range",
        "x-canary",
        "forwarded",
    ] {
        let value = if name == "expect" { "100-continue" } else { "caller-canary" };
        request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    assert_eq!(Answer::read(gateway.send(request).await).await.content(), "Hi");
    let seen = origin.seen().remove(0);
    assert!(!seen.contains("canary"), "{seen}");
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let names: BTreeSet<&str> = head.lines().skip(1).map(|line| line.split_once(':').unwrap().0).collect();
    for name in &names {
        let known = ["accept", "authorization", "content-length", "content-type", "host", "user-agent", "traceparent"];
        assert!(known.contains(name), "{name} in {head}");
    }
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer sk-upstream-secret"), "the gateway's own key: {head}");
    assert_eq!(body, chat("m", false));
}
