//! The same in bare hyper: a door and layers behind hyper's own server, without axum.
//!
//! `cargo run -p examples --example bare_hyper`, and with `-- --serve` at the end it stays up.
//!
//! It streams one answer to itself, and leaves in the middle of another one, of which the provider hears at once.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use llm_breaker::BreakerLayer;
use llm_core::BoxLlmService;
use llm_retry::RetryLayer;
use llm_serve::Door;
use llm_sim::{Ended, ModelConfig, Sim, SimConfig};
use llm_timeout::TimeoutLayer;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder};

/// Takes connections for as long as the listener lives.
async fn serve(listener: TcpListener, door: Door<BoxLlmService>) -> Result<(), BoxError> {
    loop {
        let (stream, _) = listener.accept().await?;
        // Without it the first event of a stream waits for the acknowledgement of its head, some 40 ms.
        stream.set_nodelay(true)?;
        let door = TowerToHyperService::new(door.clone());
        tokio::spawn(async move {
            // A connection that breaks concerns its client, whose call has ended with it.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), door).await;
        });
    }
}

/// Asks for a stream.
async fn ask(url: &str, model: &str) -> Result<http::Response<Incoming>, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let body = format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Go on."}}]}}"#);
    let request = Request::post(url).header("content-type", "application/json").body(Full::<Bytes>::from(body))?;
    Ok(client.request(request).await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let short = ModelConfig { output_tokens: 4, ..ModelConfig::chat("short") };
    let long = ModelConfig { output_tokens: 5_000, ..ModelConfig::chat("long") };
    let sim = Sim::try_from(SimConfig::new([short, long]))?;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(BreakerLayer::new())
        .layer(TimeoutLayer::new())
        .service(sim.clone());
    let door = Door::chat_completions(BoxLlmService::new(stack));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    let server = tokio::spawn(serve(listener, door));

    // Each event comes by itself, as soon as the provider has sent it.
    let response = ask(&url, "short").await?;
    println!("{}, target {:?}", response.status(), response.headers()["x-llm-target"]);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            print!("{}", String::from_utf8_lossy(&data).replace("\n\n", "\n"));
        }
    }

    // Who leaves has cancelled the call: nothing between the client and the provider goes on by itself.
    let mut body = ask(&url, "long").await?.into_body();
    body.frame().await.ok_or("a stream has a first frame")??;
    drop(body);
    let log = sim.until(|log| log.iter().all(|call| call.ended.is_some())).await;
    if let Some(Ended::CallerLeft { after_tokens }) = log[1].ended {
        println!("the provider has stopped after {after_tokens} of 5000 tokens");
    }

    if std::env::args().any(|argument| argument == "--serve") {
        println!("serving at {url}");
        server.await??;
    }
    Ok(())
}
