//! Layers in an axum application that exists: a handler that asks a model, and the doors for clients of OpenAI's and
//! Anthropic's APIs, beside the application's own routes and below its own middleware.
//!
//! `cargo run -p examples --example axum_app`, and with `-- --serve` at the end it stays up.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderName, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_breaker::BreakerLayer;
use llm_core::{BoxLlmService, Caller, Error, LlmRequest};
use llm_retry::RetryLayer;
use llm_serve::{Door, ModelInfo};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use llm_timeout::TimeoutLayer;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_http::request_id::PropagateRequestIdLayer;

/// The model behind its layers; the simulated one could be any other.
fn model() -> Result<BoxLlmService, BoxError> {
    let fine = ModelConfig::instant("tiny").fault(FaultRule::new("status 503".parse()?).calls(..=1));
    let down = ModelConfig::instant("down").fault(FaultRule::new("status 500".parse()?));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(BreakerLayer::new())
        .layer(TimeoutLayer::new())
        .service(Sim::try_from(SimConfig::new([fine, down]))?);
    Ok(BoxLlmService::new(stack))
}

/// A handler of the application's own: it knows who asks, and what else goes into the request.
async fn ask(
    State(model): State<BoxLlmService>,
    Path(name): Path<String>,
    question: String,
) -> Result<String, Failure> {
    let mut request = LlmRequest::chat(name).system("Be brief.").user(question).build();
    request.context_mut().set_caller(Caller::tenant("acme"));
    let answer = model.oneshot(request).await?.body.collect().await?;
    Ok(answer.first_text())
}

/// How this application tells of failures: with the status that belongs to the kind, and nothing from inside.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.class().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, format!("no answer: {}", self.0.kind())).into_response()
    }
}

fn app(model: BoxLlmService) -> Router {
    let door = Door::new(model.clone(), vec![ModelInfo { id: "tiny".into(), created: 0, owned_by: "acme".into() }]);
    Router::new()
        .route("/health", get(async || "fine"))
        .route("/ask/{model}", post(ask))
        .nest_service("/v1", door)
        .layer(PropagateRequestIdLayer::x_request_id())
        .with_state(model)
}

/// Talks to the application over a socket, as anybody would.
async fn send(url: &str, body: Option<&'static str>) -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = match body {
        Some(body) => Request::post(url).header("content-type", "application/json").body(Full::from(body)),
        None => Request::get(url).body(Full::<Bytes>::default()),
    };
    let mut request = request?;
    request.headers_mut().insert(HeaderName::from_static("x-request-id"), "my-own".parse()?);
    let response = client.request(request).await?;
    let (path, status) = (url.splitn(4, '/').last().unwrap_or_default(), response.status());
    let id = response.headers()["x-request-id"].to_str()?.to_owned();
    let text = response.into_body().collect().await?.to_bytes();
    println!("/{path} -> {status}, request {id}\n    {}", String::from_utf8_lossy(&text));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, app(model()?)).await.map_err(BoxError::from) });

    send(&format!("{url}/health"), None).await?;
    send(&format!("{url}/ask/tiny"), Some("Why is the sky blue?")).await?;
    send(&format!("{url}/ask/down"), Some("Why is the sky blue?")).await?;
    let chat = r#"{"model":"tiny","messages":[{"role":"user","content":"Why is the sky blue?"}]}"#;
    send(&format!("{url}/v1/chat/completions"), Some(chat)).await?;
    send(&format!("{url}/v1/models"), None).await?;

    if std::env::args().any(|argument| argument == "--serve") {
        println!("serving at {url}");
        server.await??;
    }
    Ok(())
}
