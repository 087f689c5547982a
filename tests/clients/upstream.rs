//! The provider behind the gateway of `cargo xtask clients`: the simulated models of a file, served over http.
//!
//!     upstream FILE
//!
//! FILE is a gateway's configuration, of which only `[simulated]` is read. On a second listener, `GET /calls/MODEL`
//! waits until every call of that model has ended and tells what the provider saw of them, so that no script has to
//! guess when that is.

use std::{env, error::Error, fs, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use llm_sim::{Ended, Received, Sim, SimConfig, SimServer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Deserialize)]
struct File {
    simulated: SimConfig,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("name the file with the models")?;
    let File { simulated } = toml::from_str(&fs::read_to_string(file)?)?;
    let server = Arc::new(Sim::try_from(simulated)?.serve("127.0.0.1:0").await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", server.addr());
    println!("calls are told at http://{}", listener.local_addr()?);
    let app = Router::new().route("/calls/{model}", get(calls)).with_state(server);
    Ok(axum::serve(listener, app).await?)
}

async fn calls(State(server): State<Arc<SimServer>>, Path(model): Path<String>) -> String {
    let is_asked = |call: &&Received| call.model.as_deref() == Some(&model);
    let log = server.until(|log| log.iter().filter(is_asked).all(|call| call.ended.is_some())).await;
    let told = log.iter().filter(is_asked).map(|call| {
        let ended = match call.ended {
            Some(Ended::Complete) => "complete",
            Some(Ended::CallerLeft { .. }) => "caller left",
            Some(Ended::Faulted) => "faulted",
            None => "not yet",
        };
        let betas: Vec<_> =
            call.headers.get_all("anthropic-beta").iter().filter_map(|beta| beta.to_str().ok()).collect();
        json!({
            "path": &*call.path,
            "betas": betas,
            "inputs": inputs(call),
            "tokens": call.tokens_sent,
            "ended": ended,
        })
    });
    told.collect::<Value>().to_string()
}

/// How many texts a call wanted the embeddings of; none of another call.
fn inputs(call: &Received) -> Option<usize> {
    let body: Value = serde_json::from_slice(&call.body).ok()?;
    body["input"].as_array().map(Vec::len)
}
