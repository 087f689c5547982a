//! The gateway as a process of its own, a client to call it, and simulated providers behind it.

#![allow(clippy::unwrap_used, dead_code, reason = "each test uses a part of it")]

pub(crate) mod doors;
pub(crate) mod http2;
pub(crate) mod operators;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod talk;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// The operators' key of every gateway that has an admin listener.
pub(crate) const ADMIN_KEY: &str = "admin-key-of-the-tests";

/// A running gateway. Dropping it ends the process.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
    client: Client<HttpConnector, Full<Bytes>>,
    files: tempfile::TempDir,
}

impl Gateway {
    /// Starts a gateway with this configuration file, on a port of its own.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_at("127.0.0.1:0", config).await
    }

    /// The same on any address of this machine.
    pub(crate) async fn start_at(listen: &str, config: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["--listen", listen, "--config"]).arg(file).env("RUST_LOG", "trace");
        Self::spawn(command, files)
    }

    /// The same without logs, for tests with many calls.
    pub(crate) async fn start_quiet(config: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["--listen", "127.0.0.1:0", "--config"]).arg(file).env("RUST_LOG", "off");
        Self::spawn(command, files)
    }

    /// The same where the configuration says.
    pub(crate) async fn start_where_configured(config: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg("--config").arg(file);
        Self::spawn(command, files)
    }

    /// Starts a gateway with nothing at all.
    pub(crate) async fn start_bare() -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_gateway")), tempfile::tempdir().unwrap())
    }

    fn spawn(command: Command, files: tempfile::TempDir) -> Self {
        Self::try_spawn(command, files).unwrap_or_else(|said| panic!("it said {said:?}"))
    }

    /// Starts a gateway, unless it refuses to be started; then, what it says.
    pub(crate) fn try_spawn(mut command: Command, files: tempfile::TempDir) -> Result<Self, String> {
        command
            .env_remove("OPENAI_API_KEY")
            .env_remove("ANTHROPIC_API_KEY")
            .env("GATEWAY_TEST_ADMIN_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let Some(address) = first.trim().strip_prefix("listening on http://") else {
            let output = child.wait_with_output().unwrap();
            return Err(first + &String::from_utf8_lossy(&output.stderr));
        };
        said.lock().unwrap().push_str(&first);
        let listeners =
            vec![listen_in(child.stderr.take().unwrap(), Arc::clone(&said)), listen_in(out, Arc::clone(&said))];
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { address: address.parse().unwrap(), child, said, listeners, client, files })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.files.path().join("gateway.toml")
    }

    /// Everything the gateway has printed and logged so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Where operators look, of a gateway with an [`ADMIN`] listener.
    pub(crate) async fn admin_url(&self) -> String {
        loop {
            let line = self.said().lines().find_map(|line| line.strip_prefix("operators look at ").map(str::to_owned));
            match line {
                Some(url) => return url,
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// What operators see, of a gateway with an [`ADMIN`] listener.
    pub(crate) async fn status(&self) -> Value {
        self.admin().await.json()
    }

    /// The answer of an [`ADMIN`] listener to an operator who looks.
    pub(crate) async fn admin(&self) -> Answer {
        let mut request = self.request(Method::GET, "/", "");
        *request.uri_mut() = self.admin_url().await.parse().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {ADMIN_KEY}").parse().unwrap());
        Answer::read(self.send(request).await).await
    }

    /// Waits until no call is open, and returns how many have ended.
    pub(crate) async fn until_idle(&self) -> u64 {
        loop {
            let calls = &self.status().await["calls"];
            let count = |name: &str| calls[name].as_u64().unwrap();
            if count("open") == 0 {
                return count("complete") + count("failed") + count("abandoned");
            }
        }
    }

    /// Waits for the process to end by itself, and for all that it has said.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let status = self.child.wait().unwrap();
        self.listeners.drain(..).for_each(|listener| listener.join().unwrap());
        status
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client of the gateway's, for calls that go on by themselves.
    pub(crate) fn client(&self) -> &Client<HttpConnector, Full<Bytes>> {
        &self.client
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.client.request(request).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        Answer::read(self.send(self.request(Method::POST, path, body)).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.send(self.request(Method::GET, path, "")).await).await
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(self.url(path))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// Begins a chat with a streamed answer.
    pub(crate) async fn stream(&self, model: &str) -> Stream {
        let request = self.request(Method::POST, "/v1/chat/completions", chat(model, true));
        let response = self.send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{:?}", Answer::read(response).await.text());
        Stream { body: response.into_body(), text: String::new() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen_in(mut from: impl Read + Send + 'static, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            said.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    })
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The text of the first choice of a whole chat answer.
    pub(crate) fn content(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The kind in an error of the OpenAI dialect, after checking that it is one.
    pub(crate) fn error_message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {}", self.text())).to_owned()
    }
}

/// A streamed answer as it comes.
pub(crate) struct Stream {
    body: Incoming,
    pub(crate) text: String,
}

impl Stream {
    /// Reads on until the text has this many data events, or the stream ends; false if it has ended.
    pub(crate) async fn read_events(&mut self, events: usize) -> bool {
        while self.events().len() < events {
            if !self.read_more().await {
                return false;
            }
        }
        true
    }

    pub(crate) async fn read_to_end(&mut self) -> &str {
        while self.read_more().await {}
        &self.text
    }

    async fn read_more(&mut self) -> bool {
        match self.body.frame().await {
            Some(frame) => {
                let data = frame.expect("the gateway ends its streams cleanly").into_data().unwrap_or_default();
                self.text.push_str(std::str::from_utf8(&data).unwrap());
                true
            }
            None => false,
        }
    }

    /// The payloads of the data events so far.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.text.split("\n\n").filter_map(|block| block.strip_prefix("data: ")).collect()
    }

    /// The text of the content deltas so far.
    pub(crate) fn content(&self) -> String {
        let delta = |event: &str| {
            let json: Value = serde_json::from_str(event).ok()?;
            Some(json["choices"][0]["delta"]["content"].as_str()?.to_owned())
        };
        self.events().into_iter().filter_map(delta).collect()
    }

    /// The error object within the stream, if there is one.
    pub(crate) fn error(&self) -> Option<Value> {
        let error = |event: &str| serde_json::from_str::<Value>(event).ok()?.get("error").cloned();
        self.events().into_iter().find_map(error)
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.events().contains(&"[DONE]")
    }

    /// The finish reasons so far.
    pub(crate) fn finishes(&self) -> usize {
        let finish = |event: &&str| {
            serde_json::from_str::<Value>(event).is_ok_and(|json| json["choices"][0]["finish_reason"].is_string())
        };
        self.events().iter().filter(|event| finish(event)).count()
    }
}

/// The body of a chat request.
pub(crate) fn chat(model: &str, stream: bool) -> String {
    serde_json::json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "Hello!" }] })
        .to_string()
}

/// The configuration of a provider that speaks the OpenAI dialect at `base_url` and serves every model.
pub(crate) fn provider(base_url: &str) -> String {
    format!(
        "[[providers]]\nname = \"upstream\"\nmodels = [\"*\"]\nbase_url = \"{base_url}\"\n\
         keys = [{{ name = \"first\", key = \"sk-upstream-secret\" }}]\n"
    )
}

/// What stands first in the configuration of a gateway that makes one call upstream for each of a caller's, whatever
/// came of those before.
pub(crate) const ONE_TO_ONE: &str = "retry = false\nbreaker = false\n";

/// The configuration of an admin listener, on any port.
pub(crate) const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\nkey_env = \"GATEWAY_TEST_ADMIN_KEY\"\n";
