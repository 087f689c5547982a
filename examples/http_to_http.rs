//! Http in and http out: a door, a layer and a provider around an http client that exists already.
//!
//! `cargo run -p examples --example http_to_http`
//!
//! From `Service<http::Request>` to `Service<http::Request>`: whatever stands around the client (a proxy, headers, metrics
//! of yours) stays where it is, and whoever calls the result needs to know nothing of models.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_providers::{Key, ProviderLayer};
use llm_retry::RetryLayer;
use llm_serve::{Door, DoorBody};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig, SimKey, SimServer};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

/// The client of the house: every request through it says which team it is of.
fn client() -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.map_request(|mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert("x-team", HeaderValue::from_static("search"));
        request
    })
}

/// The same client with a model behind it: http requests in OpenAI's dialect go in, and come out to the provider retried
/// and with the provider's key.
fn model(
    base_url: String,
) -> Result<impl Service<Request<Full<Bytes>>, Response = Response<DoorBody>, Error = Infallible>, BoxError> {
    let provider = ProviderLayer::openai("house", base_url.parse()?).key(Key::new("team", &"sk-of-the-house".into())?);
    let stack = ServiceBuilder::new()
        .layer_fn(Door::chat_completions)
        .layer(RetryLayer::new())
        .layer(provider)
        .service(client());
    Ok(stack)
}

/// The provider, on a port of its own. It is out of order for the first call.
async fn provider() -> Result<SimServer, BoxError> {
    let tiny = ModelConfig::instant("tiny").fault(FaultRule::new("status 503".parse()?).calls(..=1));
    let config = SimConfig { keys: vec![SimKey::new("team", "sk-of-the-house")], ..SimConfig::new([tiny]) };
    Ok(Sim::try_from(config)?.serve("127.0.0.1:0").await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let provider = provider().await?;
    let service = model(provider.base_url())?;

    let body = r#"{"model":"tiny","messages":[{"role":"user","content":"Why is the sky blue?"}],"temperature":0.50}"#;
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer key-of-the-caller")
        .body(Full::from(body))?;
    let response = service.oneshot(request).await?;
    println!("in:  {body}");
    println!("out: {}, attempts: {:?}", response.status(), response.headers()["x-llm-attempts"]);
    let answer = response.into_body().collect().await?.to_bytes();
    println!("    {}", String::from_utf8_lossy(&answer));

    // What the provider has seen: the caller's own bytes, from the client of the house, with the key of the house.
    for call in provider.log() {
        let team = call.headers.get("x-team").map_or("no team", |team| team.to_str().unwrap_or("a strange team"));
        println!("provider: {} from {team}, key {}", call.path, call.key.as_deref().unwrap_or("none"));
        println!("    same bytes: {}", call.body == body);
    }
    Ok(())
}
