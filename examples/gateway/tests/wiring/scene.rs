//! A gateway with one configuration, a provider behind it, and callers.

use std::{path::Path, process::Command};

use bytes::Bytes;
use http::{HeaderName, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{
    harness::{ADMIN_KEY, Answer, Gateway},
    tls,
    upstream::Upstream,
};

/// A running gateway, and the form in which answers are wanted.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
    pub(crate) is_stream: bool,
}

impl Scene {
    /// Starts a gateway. In its configuration `{upstream}` stands for the address of a provider, `{tls}` for that of one
    /// with a certificate, `{silent}` for a server that says nothing, and `{files}` for a folder of files.
    ///
    /// # Errors
    /// The sentence by which it refuses to start.
    pub(crate) async fn set(config: &str, is_stream: bool) -> Result<Self, String> {
        let upstream = Upstream::start().await;
        let files = tempfile::tempdir().unwrap();
        let mut config = config.replace("{upstream}", &upstream.address.to_string());
        config = config.replace("{files}", files.path().to_str().unwrap());
        if config.contains("{silent}") {
            config = config.replace("{silent}", &upstream.silent().await);
        }
        if config.contains("{tls}") {
            config = config.replace("{tls}", &tls::before(upstream.address, &files.path().join("ca.pem")).await);
        }
        write(files.path(), "gateway.toml", &config);
        write(files.path(), "admin.key", ADMIN_KEY);
        write(files.path(), "upstream.key", "sk-of-file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg("--config").arg(files.path().join("gateway.toml")).env("RUST_LOG", "info");
        command.env("GATEWAY_TEST_KEY", "sk-of-environment");
        let is_placed = config
            .parse::<toml::Table>()
            .is_ok_and(|config| config.get("server").and_then(|server| server.get("listen")).is_some());
        if !is_placed {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let place = files.path().to_str().unwrap().to_owned();
        match spawn_blocking(move || Gateway::try_spawn(command, files)).await.unwrap() {
            Ok(gateway) => Ok(Self { gateway, upstream, is_stream }),
            Err(said) => Err(sentence(&said, &place).to_owned()),
        }
    }

    /// A chat in OpenAI's dialect, with more fields, and more headers.
    pub(crate) async fn ask_with(&self, model: &str, more: Value, headers: &[(&str, &str)]) -> Answer {
        Answer::read(self.gateway.send(self.chat(model, more, headers)).await).await
    }

    pub(crate) async fn ask(&self, model: &str) -> Answer {
        self.ask_with(model, Value::Null, &[]).await
    }

    /// The statuses of several such calls, one after the other.
    pub(crate) async fn statuses(&self, model: &str, calls: usize) -> String {
        let mut statuses = Vec::new();
        for _ in 0..calls {
            statuses.push(self.ask(model).await.status.as_str().to_owned());
        }
        statuses.join(" ")
    }

    /// The request for a chat.
    pub(crate) fn chat(&self, model: &str, more: Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let mut body =
            json!({ "model": model, "stream": self.is_stream, "messages": [{ "role": "user", "content": "Hello!" }] });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let mut request = self.gateway.request(Method::POST, "/v1/chat/completions", body.to_string());
        for (name, value) in headers {
            request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        request
    }

    /// A chat in Anthropic's dialect.
    pub(crate) async fn ask_as_anthropic(&self, model: &str) -> Answer {
        let body = json!({ "model": model, "max_tokens": 50, "stream": self.is_stream,
            "messages": [{ "role": "user", "content": "Hello!" }] });
        self.gateway.post("/v1/messages", body.to_string()).await
    }
}

/// What is wrong, without where in the file.
fn sentence<'a>(said: &'a str, files: &str) -> &'a str {
    let Some(at_line) = said.trim().strip_prefix(files).and_then(|rest| rest.strip_prefix("/gateway.toml: ")) else {
        return said.trim();
    };
    let after_line = at_line.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    after_line.map_or(at_line, |(_, sentence)| sentence)
}

/// The status of an answer, and a header of it.
pub(crate) fn with_header(answer: &Answer, name: &str) -> String {
    format!("{} {}", answer.status.as_str(), answer.header(name).unwrap_or("-"))
}

/// What kind of failure an answer is.
pub(crate) fn kind(answer: &Answer) -> String {
    match answer.header("x-llm-error-kind") {
        Some(kind) => kind.to_owned(),
        None => answer.status.as_str().to_owned(),
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}
