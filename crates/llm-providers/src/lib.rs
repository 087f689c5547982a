//! Calls model providers: a tower layer that turns any http client into a `Service<LlmRequest>`.
//!
//! A model call is one http exchange, and most of what can go wrong with it is in the details: an error inside a 200,
//! JSON in place of a stream, a stream that just ends, a connection that is shared by too many streams. This crate
//! knows them, so that the layers above see one kind of answer and one kind of error. Providers speak OpenAI's or
//! Anthropic's [dialect](ProviderDialect); what the caller sent in the same dialect is passed on byte for byte but for
//! the model's name, the stream options and an output ceiling, and what came in the other one is translated.
//!
//! # Where it goes
//!
//! At the bottom of the stack, below `Dispatch`. Below it is any `Service<http::Request<Full<Bytes>>>`: hyper-util's,
//! your own with your own proxy and TLS settings, or the [`Client`] of this crate.
//!
//! # Example
//!
//! The http client is yours; here it is a function, and there is no network.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use llm_core::{Error, LlmRequest};
//! use llm_providers::{Key, ProviderLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let http = service_fn(|request: Request<Full<Bytes>>| async move {
//!     assert_eq!(request.uri(), "https://models.example/v1/chat/completions");
//!     assert_eq!(request.headers()["authorization"], "Bearer sk-secret");
//!     let asked = request.into_body().collect().await?.to_bytes();
//!     assert!(asked.starts_with(br#"{"model":"small""#));
//!     let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}"#;
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! });
//! let key = Key::new("team", &"sk-secret".into())?;
//! let provider = ProviderLayer::openai("example", "https://models.example/v1".parse()?).key(key).layer(http);
//!
//! let response = provider.oneshot(LlmRequest::chat("small").user("Say hello.").build()).await?;
//! assert_eq!(response.body.collect().await?.first_text(), "Hello.");
//! # Ok(())
//! # }
//! ```
//!
//! With this crate's own client and a [preset](Preset) it is `Provider::try_from(ProviderConfig::new("openai"))`, and
//! the key is in `OPENAI_API_KEY`; with `"anthropic"` it is in `ANTHROPIC_API_KEY`. A place that offers Anthropic's
//! dialect beside OpenAI's is a base URL with that dialect:
//!
//! ```
//! let config: llm_providers::ProviderConfig = toml::from_str(
//!     r#"
//!     name = "deepseek"
//!     dialect = "anthropic"
//!     base_url = "https://api.deepseek.com/anthropic" # with or without /v1 at its end
//!     keys = [{ key_env = "DEEPSEEK_API_KEY" }]
//!     "#,
//! )?;
//! assert_eq!(config.dialect, Some(llm_providers::ProviderDialect::Anthropic));
//! # Ok::<(), toml::de::Error>(())
//! ```
//!
//! # Behaviour
//!
//! - **At `poll_ready`** the http client is asked.
//! - **At call** the model and the key are the ones of the context's target; without a target the requested model and
//!   the first key. The destination is the configuration's alone: no URL and no header comes from the request, but
//!   that the names of features in [`Betas`](llm_wire::anthropic::Betas) go from a request in Anthropic's dialect to a
//!   provider that speaks it, behind those of a configured `anthropic-beta`. Elsewhere the trail says that
//!   `anthropic-beta` was left out.
//! - **Without a call** to the provider a question for a token count is answered where the dialect has no endpoint for
//!   it, which is OpenAI's: with an [estimate](llm_core::estimate_prompt), marked as such. Anthropic's has no
//!   embeddings, so a request for them is refused.
//! - **At the response head** a stream is handed on as soon as it is known to be one. A whole answer is read to its
//!   end, up to [`max_answer_bytes`](ProviderConfig::max_answer_bytes), and decoded. A stream request that is answered
//!   with JSON gives a whole answer, or an error. Unless an answer to a stream request is labelled as events, its first
//!   byte tells what it is, not its label. The body of an error is read up to 64 KiB and for up to 5 seconds.
//! - **Within a stream** each frame is handed on by itself, with its own bytes, as soon as its last byte is there.
//! - **At the end of a stream** the http body is read to its end too, so that the connection can be used again; if
//!   the end lags behind the last frame, a task waits a second for it.
//! - **When dropped**, future or body, the http exchange is dropped with it: the upstream call is cancelled at once.
//! - **In the trail** stands each attempt: its target, reason and wait when it begins; how it ended, its usage and, with
//!   a [catalog](ProviderLayer::catalog), its cost when it is over. An attempt of which nothing came back although the
//!   provider may have worked on it (dropped, cut, late) counts its estimated prompt. One in which the
//!   http client panics has failed too.
//!
//! # Clone
//!
//! Clones of a provider, and services made by one layer, share configuration and keys. Clones of a [`Client`] share
//! connections.
//!
//! # Errors
//!
//! | | |
//! |---|---|
//! | no connection | `Connect`, or `Timeout(Connect)` after [`connect_timeout`](ClientConfig::connect_timeout) |
//! | a server whose certificate is not trusted; it has seen neither key nor prompt | `Connect` |
//! | a connection that breaks, before or within the answer | `Interrupted` |
//! | an error status, or an error object inside an answer or stream | as [`llm_wire::error`] classifies it |
//! | a redirect, a compressed, broken or too large answer | `Undecodable` |
//! | a key name that the provider does not have | `NoRoute` |
//! | what the provider's dialect cannot say, or has no endpoint for | `InvalidRequest`, and no call is made |
//!
//! Each error names its target and carries the trail. Should a provider repeat one of our keys in what it says, the key is
//! struck out. An [`Error`](llm_core::Error) of the http client's own, or one
//! of tower's, keeps its meaning.
//!
//! # Sources
//!
//! Base URLs, headers and stream rules are those of the providers' API references. RFC 9113, section 6.5.2, is why
//! 100 streams a connection are the default.

mod attempt;
mod base_url;
mod betas;
mod client;
mod config;
mod dialect;
mod exchange;
mod failure;
mod frames;
mod key;
mod layer;
mod preset;
mod service;
mod whole;

pub use base_url::BaseUrl;
pub use client::{Client, ClientBody, ClientConfig, ClientFuture, HttpVersion};
pub use config::{KeyConfig, ProviderConfig, ProviderDialect};
pub use key::{Auth, Key};
pub use layer::ProviderLayer;
pub use preset::Preset;
pub use service::{Provider, ResponseFuture};
