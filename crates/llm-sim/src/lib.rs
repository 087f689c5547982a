//! Simulated providers: seeded and deterministic, with a pace, prices and faults of their own.
//!
//! Real providers cost money, need keys and fail when they like. These cost nothing, answer the same to the same
//! question, and fail exactly as told. A recorded stream does neither: it knows one answer and one ending.
//!
//! # Where it goes
//!
//! At the bottom of a stack, in the place of a provider, as a [`Service`](tower_service::Service) without any wire.
//! Or outside the process, as an http server that speaks the dialects of OpenAI and Anthropic and is broken at the
//! level of bytes.
//!
//! # Example
//!
//! ```
//! use llm_core::{Error, LlmRequest};
//! use llm_sim::{Ended, Sim, SimConfig};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = Sim::try_from(SimConfig::pool())?;
//! let request = LlmRequest::chat("llama-3-8b").user("Why is the sky blue?").stream().build();
//! let answer = sim.clone().oneshot(request).await?.body.collect().await?;
//! assert!(answer.first_text().starts_with("Simulated answer by llama-3-8b:"));
//! assert_eq!(sim.log()[0].ended, Some(Ended::Complete));
//!
//! let server = sim.serve("127.0.0.1:0").await?;
//! assert!(server.base_url().ends_with("/v1"));
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//!
//! - **At `poll_ready`**: always ready.
//! - **At `call`**: the model is that of the context's target, or else the one asked for. Rate limits, capabilities and
//!   context window are checked, as a provider does; then the [fault script](FaultScript) of the request, or else the
//!   first [rule](FaultRule) of the model that applies, decides what goes wrong.
//! - **The answer** fits the request: text of the configured length, tool calls when tools are offered, JSON that fits
//!   a given schema, reasoning from a model that reasons, vectors that are alike for texts alike. It never repeats the
//!   prompt. `max_output_tokens`, `stop` and `n` are honoured, and usage is counted, the same whole and streamed. The
//!   same conversation gets the same words in every dialect.
//! - **Reasoning** is signed, the same text always alike. In Anthropic's dialect it has to be asked for, with
//!   `thinking` or an effort; a model without the capability is asked in vain.
//! - **The prompt cache** knows the prefixes that were marked (`cache_control`): from 1,024 tokens on they are written
//!   at the first call that is answered, and read by those that begin alike within the mark's five minutes or hour.
//! - **In Anthropic's dialect** the server is as strict as the provider: it refuses a request without
//!   `anthropic-version`, calls of tools without their results, reasoning that was changed, empty texts, a
//!   `temperature` above 1, more than four marks, and whatever else would be found out in production only.
//! - **Its pace**: the head and the first token after `first_token`, then `tokens_per_second`; whole answers come after
//!   all that time. Time is tokio's, so paused time works.
//! - **At the end of the stream**, or when future or body is dropped, the [log](Received) says how the call ended, and
//!   the call's trail what it used and cost.
//!
//! # Clone
//!
//! Clones share call counters, rate limits and the log. Each [`SimServer`] has a log of its own.
//!
//! # Errors
//!
//! A fault reaches a caller of the service as the error that a provider's client makes of it: statuses and error
//! objects are classified by `llm_wire::error`, a broken connection is
//! [`Interrupted`](llm_core::ErrorKind::Interrupted), garbage is [`Undecodable`](llm_core::ErrorKind::Undecodable).
//!
//! # Sources
//!
//! The API references of OpenAI and Anthropic for paths, statuses, error objects, headers and what is refused.

mod admit;
mod answer;
mod config;
mod fault;
mod log;
mod observe;
mod plan;
mod player;
mod prompt_cache;
mod quota;
mod refusal;
mod schema;
mod seed;
mod server;
mod signature;
mod sim;
mod trouble;

pub use config::{ModelConfig, SimConfig, SimKey};
pub use fault::{CallRange, Fault, FaultRule, FaultScript, Point, ScriptError, StatusFault};
pub use log::{Ended, Received};
pub use server::SimServer;
pub use sim::Sim;
