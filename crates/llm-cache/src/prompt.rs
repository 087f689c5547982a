//! Providers' own caches of prompts: asking for them, and what they save.
//!
//! A provider that keeps the beginning of a prompt reads it again for a tenth of the price and answers sooner. Anthropic
//! does so where the request is marked, and writing costs more than reading afresh, so marks belong on beginnings that
//! come again: long instructions, tools, conversations that go on. This layer asks for marks on long prompts whose caller
//! has set none. It is no part of any stack unless somebody puts it there, since prompts that never come again cost a
//! quarter more with it.
//!
//! # Where it goes
//! Below the router, so that the prices are those of the target, and above retry. It touches nothing of the payload: the
//! marks are set where the request is written, in the dialect that has them, and the caller's bytes stay what they are
//! besides. A budget below it sets aside what writing may cost.
//!
//! # Example
//!
//! ```
//! use llm_cache::prompt::PromptCacheLayer;
//! use llm_core::{CacheTtl, Error, LlmRequest, LlmResponse, Output};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let model = service_fn(|request: LlmRequest| async move {
//!     assert_eq!(request.context().prompt_cache(), Some(CacheTtl::FiveMinutes));
//!     Ok::<_, Error>(LlmResponse::from(Output::text("Rayleigh scattering.")))
//! });
//! let layer = PromptCacheLayer::new();
//! let handle = layer.handle();
//! let service = ServiceBuilder::new().layer(layer).service(model);
//!
//! let handbook = "Every question about the sky has an answer. ".repeat(200);
//! service.oneshot(LlmRequest::chat("claude-sonnet-4-5").system(handbook).user("Why is it blue?").build()).await?;
//! assert_eq!(handle.counts().asked, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: as the inner service.
//! - At `call`: a chat is asked to be kept whose prompt is long [enough](PromptCacheLayer::least_tokens) and has no mark.
//! - At the end of the stream: what was read from and written to a prompt cache is counted, whoever asked for it.
//! - When dropped: the same, as far as it is known.
//!
//! # Clone
//! Clones, and all services of one layer value, share counts. A setter begins anew.
//!
//! # Errors
//! None are added.
//!
//! # Sources
//! Anthropic API reference, Prompt caching: four marks at most, prefixes of 1,024 tokens and more (2,048 or 4,096 for some
//! models), reads at a tenth of the input price, writes at 1.25 times that for five minutes and twice that for an hour.

mod config;
mod handle;
mod layer;
mod service;

pub use config::{PromptCacheConfig, PromptCacheSettings};
pub use handle::{PromptCacheCounts, PromptCacheHandle};
pub use layer::PromptCacheLayer;
pub use service::{PromptCache, Reporter};
