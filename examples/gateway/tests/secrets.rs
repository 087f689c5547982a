//! The providers' keys stay between the gateway and the providers, and the callers' between it and the callers.

#![allow(clippy::unwrap_used)]

mod harness;

use std::process::Command;

use bytes::Bytes;
use harness::{
    ADMIN, Answer, Gateway, ONE_TO_ONE, chat,
    doors::{CHAT, DOORS},
    origin::Origin,
    provider,
};
use http::Method;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};

const KEY: &str = "caller-key-canary-1";
/// What `printf %s caller-key-canary-1 | sha256sum` prints.
const KEYS: &str = "[[keys]]\nsha256 = \"03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104\"\n\
                    tenant = \"acme\"\n";

/// Everything that `--check` prints of a configuration, good or bad.
fn check(config: &str) -> String {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    let command = command.env("RUST_LOG", "trace").env("CANARY_KEY", "sk-canary").env("CANARY_BROKEN", "sk-canary x");
    let output =
        command.env("ADMIN_KEY", "admin-key-canary-3").args(["--check", "--config"]).arg(file).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A key is pasted in many a wrong place.
#[test]
fn a_configuration_with_a_key_in_any_place_is_told_of_without_it() {
    let of_provider =
        |lines: &str| format!("[[providers]]\nname = \"p\"\nmodels = [\"m\"]\nbase_url = \"http://h\"\n{lines}\n");
    for lines in [
        // In order.
        "keys = [{ key = \"sk-canary\" }]",
        "keys = [{ key_env = \"CANARY_KEY\" }]",
        "auth = { header = \"api-key\" }\nkeys = [{ key = \"sk-canary\" }]",
        "keys = [{ key = \"sk-canary\" }]\nheaders = { x = \"header-canary\" }",
        // Not in order.
        "keys = \"sk-canary\"",
        "keys = [\"sk-canary\"]",
        "keys = { key = \"sk-canary\" }",
        "keys = [[\"sk-canary\"]]",
        "keys = [{ kye = \"sk-canary\" }]",
        "keys = [{ key = \"sk-canary\", key_env = \"A\" }]",
        "keys = [{ key = [\"sk-canary\"] }]",
        "keys = [{ key = { value = \"sk-canary\" } }]",
        "keys = [{ key = \"sk-canary\\nx\" }]",
        "keys = [{ key = \"sk-canary x\" }]",
        "keys = [{ key_env = \"CANARY_BROKEN\" }]",
        "keys = [{ key_env = \"sk-canary\" }]",
        "keys = [{ key_env = [\"sk-canary\"] }]",
        "keys = [{ key = \"sk-canary\" }, { key = \"sk-canary\" }]",
        "key = \"sk-canary\"",
        "api_key = \"sk-canary\"",
        "keys = [{ key = sk-canary }]",
        "keys = [{ key = \"sk-canary }]",
        "keys = [{ key = 'sk-canary' ]",
        "keys = [{ key = \"sk-canary\\q\" }]",
        "auth = \"sk-canary\"",
        "auth = \"Bearer sk-canary\"",
        "auth = { bearer = \"sk-canary\" }",
        "auth = { header = \"Bearer sk-canary\" }",
        "auth = \"none\"\nkeys = [{ key = \"sk-canary\" }]",
        "headers = \"authorization: sk-canary\"",
        "headers = [\"sk-canary\"]",
        "headers = { authorization = \"Bearer sk-canary\" }",
        "headers = { x = \"sk-canary\\n\" }",
        "headers = { x = [\"sk-canary\"] }",
        "headers = { \"x y\" = \"sk-canary\" }",
        "dialect = \"sk-canary\"",
        "include_usage = \"sk-canary\"",
        "client = \"sk-canary\"",
        "client = { connect_timeout = \"sk-canary\" }",
        "client = { http_version = \"sk-canary\" }",
    ] {
        let said = check(&of_provider(lines));
        assert!(!said.is_empty() && !said.contains("canary"), "{lines}\n{said}");
    }
    for url in [
        "https://user:sk-canary@h/v1",
        "https://sk-canary@h/v1",
        "https://h/v1?key=sk-canary",
        "https://h/v1#sk-canary",
        "sk-canary",
        "ftp://sk-canary",
        "https://h/ sk-canary",
    ] {
        let said =
            check(&format!("[[providers]]\nname = \"p\"\nmodels = [\"m\"]\nbase_url = \"{url}\"\nauth = \"none\"\n"));
        assert!(!said.is_empty() && !said.contains("canary"), "{url}\n{said}");
    }
    let simulated = "[simulated]\nmodels = [{ name = \"m\" }]\n";
    for lines in [
        "[admin]\nkey_env = \"ADMIN_KEY\"",
        "[admin]\nkey_env = \"CANARY_KEY\"",
        "[admin]\nkey_env = \"admin-key-canary-3\"",
        "[admin]\nkey = \"admin-key-canary-3\"",
        "[admin]\nkey_env = [\"admin-key-canary-3\"]",
        "[admin]\nlisten = \"admin-key-canary-3\"",
        "[admin]\nhosts = \"admin-key-canary-3\"",
        "admin = \"admin-key-canary-3\"",
        "[[keys]]\ntenant = \"a\"\nsha256 = \"caller-key-canary-1\"",
        "[[keys]]\ntenant = \"a\"\nsha256 = [\"caller-key-canary-1\"]",
        "[[keys]]\ntenant = \"a\"\nkey = \"caller-key-canary-1\"",
        "[keys]\ntenant = \"a\"\nsha256 = \"caller-key-canary-1\"",
        "keys = \"caller-key-canary-1\"",
        "keys = [\"caller-key-canary-1\"]",
        "[server]\nallow_anonymous = \"caller-key-canary-1\"",
        "[server]\nlisten = \"caller-key-canary-1\"",
        "[server]\nmax_body_bytes = \"caller-key-canary-1\"",
        "[server]\nheartbeat = \"caller-key-canary-1\"",
    ] {
        let said = check(&format!("{lines}\n{simulated}"));
        assert!(!said.is_empty() && !said.contains("canary"), "{lines}\n{said}");
    }
}

/// A provider that repeats our key in whatever it says.
#[tokio::test]
async fn a_provider_that_repeats_our_key_does_not_tell_it_to_callers() {
    let secret = "sk-upstream-secret";
    let object = |text: &str| {
        format!(
            r#"{{"error":{{"message":"{text}","type":"{secret}","param":"{secret}","code":"{secret}"}},"detail":"{text}"}}"#
        )
    };
    let lines = format!(
        "content-type: application/json\r\nx-request-id: {secret}\r\nwww-authenticate: Bearer {secret}\r\n\
         set-cookie: key={secret}\r\nx-key: {secret}\r\nretry-after: {secret}\r\n"
    );
    let texts = [
        format!("Incorrect API key provided: {secret}. You can find your API key at https://h"),
        format!("got header Authorization: Bearer {secret}"),
        format!("{{'authorization': 'Bearer {secret}'}}"),
        format!("key={secret}&x=y https://user:{secret}@h/"),
    ];
    for status in [300, 400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 429, 451, 500, 502, 503, 504, 529] {
        for body in [object(&texts[0]), texts[0].clone(), format!("<html>{}</html>", texts[0])] {
            let origin = Origin::start(Origin::answer(&format!("{status} {secret}"), &lines, &body)).await;
            assert_keeps(&gateway_for(&origin).await, secret).await;
        }
    }
    for text in &texts {
        let answers = [
            Origin::answer("400 Bad", &lines, &object(text)),
            Origin::answer("200 OK", &lines, &object(text)),
            Origin::answer("200 OK", "content-type: text/event-stream\r\n", &format!("data: {}\n\n", object(text))),
            Origin::answer("200 OK", "content-type: text/event-stream\r\n", &format!("event: error\ndata: {text}\n\n")),
            Origin::answer("200 OK", &lines, text),
            format!("{secret} {text}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n{secret}\r\n\r\n"),
            String::new(),
        ];
        for answer in answers {
            let origin = Origin::start(answer).await;
            assert_keeps(&gateway_for(&origin).await, secret).await;
        }
    }
}

async fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(&format!("{ONE_TO_ONE}{}", provider(&origin.base_url()))).await
}

/// Checks that a call fails, and that neither its answer nor the log knows the secret.
async fn assert_keeps(gateway: &Gateway, secret: &str) {
    for stream in [false, true] {
        let answer = gateway.post(CHAT.path, chat("m", stream)).await;
        let text = answer.text();
        assert!(answer.status.is_client_error() || answer.status.is_server_error() || text.contains("error"), "{text}");
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{:?}", answer.headers).contains(secret), "{:?}", answer.headers);
    }
    let said = gateway.said();
    assert!(!said.contains(secret), "{said}");
}

/// Every way in which a call can go, over both versions of http, with logs at their loudest.
#[tokio::test]
async fn no_secret_is_in_any_log_however_a_call_ends() {
    let faults =
        ["status 400", "status 401", "status 429", "status 500", "cut after 3", "reset", "garbage after 3", "hang"];
    let model = |fault: &&str| ModelConfig::instant(*fault).fault(FaultRule::new(fault.parse().unwrap()));
    let sim = Sim::try_from(SimConfig::new(faults.iter().map(model).chain([ModelConfig::instant("m")]))).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let config = format!(
        "{ONE_TO_ONE}[server]\nwrite_timeout = \"1s\"\n{ADMIN}{}headers = {{ x-own = \"header-canary\" }}\n{KEYS}",
        provider(&server.base_url())
    );
    let gateway = Gateway::start(&config).await;
    let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let (mut http2, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut requests: Vec<http::Request<Full<Bytes>>> = Vec::new();
    for door in DOORS {
        for body in [door.body("m", ""), door.body("nobody", ""), "{\"prompt-canary".to_owned(), String::new()] {
            requests.push(gateway.request(Method::POST, &format!("{}?key={KEY}", door.path), body));
        }
        requests.push(gateway.request(Method::PUT, door.path, ""));
    }
    for fault in faults {
        for stream in [false, true] {
            let body = chat(fault, stream).replace("Hello!", "prompt-canary");
            requests.push(gateway.request(Method::POST, CHAT.path, body));
        }
    }
    for mut request in requests {
        let is_hanging = request.uri().query().is_none() && format!("{:?}", request.body()).contains("hang");
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {KEY}").parse().unwrap());
        headers.insert("x-api-key", KEY.parse().unwrap());
        headers.insert("cookie", format!("key={KEY}").parse().unwrap());
        headers.insert("x-own", "header-canary".parse().unwrap());
        let over_http2 = http2.send_request(request.clone());
        if is_hanging {
            let waited = server.log().len();
            tokio::select! {
                _ = over_http2 => unreachable!("it hangs"),
                _ = server.until(|log| log.len() > waited) => {}
            }
            continue;
        }
        for response in [gateway.send(request).await, over_http2.await.unwrap()] {
            let answer = Answer::read(response).await;
            assert!(!format!("{:?}{}", answer.headers, answer.text()).contains("canary"), "{}", answer.text());
        }
    }
    assert_eq!(
        gateway.until_idle().await,
        server.log().len() as u64 + 4,
        "the provider saw every call that was understood, but those for a count of tokens"
    );
    let said = gateway.said();
    assert!(said.contains("tenant=\"acme\"") && said.contains("h2::"), "the log is as loud as it can be");
    for secret in ["canary", "sk-upstream-secret", harness::ADMIN_KEY, "03c24811db04"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
