//! The recommended stack of layers, built from one typed configuration.
//!
//! Every layer of this workspace works alone and in any place. Most services want all of them in the order that has
//! proven itself, with settings from a file. That is this crate: [`StackConfig`] says what is wanted,
//! [`Stack::try_from`] checks it and builds it, and [`Stack::service`] is a tower service like any other.
//!
//! # The order
//!
//! From the inside out: providers, and [`Dispatch`](llm_router::Dispatch), which hands each call to the provider of its
//! target or its model.
//!
//! # Example
//!
//! ```
//! use llm_core::LlmRequest;
//! use llm_stack::{Stack, StackConfig};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::time::pause();
//! let config: StackConfig = toml::from_str(
//!     r#"
//!     [simulated]
//!     seed = 7
//!     models = [{ name = "llama-3-8b", input = 0.10, output = 0.10, first_token = "20ms" }]
//!     "#,
//! )?;
//! let stack = Stack::try_from(config)?;
//! let response = stack.service().oneshot(LlmRequest::chat("llama-3-8b").user("Hello!").build()).await?;
//! assert!(!response.body.collect().await?.first_text().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//! [`ConfigError`](llm_core::ConfigError) names the value at fault and says what is wrong with it, in one sentence. Nothing is built from a
//! configuration that is wrong anywhere.

mod config;
mod stack;

pub use config::StackConfig;
pub use stack::{ModelEntry, Stack};
