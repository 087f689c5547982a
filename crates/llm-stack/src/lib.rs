//! The recommended stack of layers, built from one typed configuration.
//!
//! Every layer of this workspace works alone and in any place. Most services want all of them in the order that has
//! proven itself, with settings from a file. That is this crate: [`StackConfig`] says what is wanted,
//! [`Stack::try_from`] checks it and builds it, and [`Stack::service`] is a tower service like any other.
//!
//! # The order
//!
//! From the outside in:
//!
//! | layer | does | left out by |
//! |---|---|---|
//! | [classify](llm_classify::ClassifyLayer) | says what a request is about, and whether it is sensitive | default |
//! | [fallback](llm_fallback::FallbackLayer) | what is answered when everything below has failed | default |
//! | [limit](llm_budget::limit) | requests and tokens a minute and calls at once, by caller | default |
//! | [cache](llm_cache::CacheLayer) | answers what was asked before, and asks once what many ask at once | default |
//! | [router](llm_router::RouterLayer) | picks a target by rule, route and strategy, and another one after a failure that it may mend | |
//! | [prompt_cache](llm_cache::prompt::PromptCacheLayer) | has providers keep long prompts | default |
//! | [hedge](llm_retry::HedgeLayer) | a second attempt when the first content is late, at another key or provider where there is one | default |
//! | [retry](llm_retry::RetryLayer) | further attempts at the same target | `retry = false` |
//! | [budget](llm_budget::BudgetLayer) | sets aside what an attempt may cost, and settles what it did cost | default |
//! | [breaker](llm_breaker::BreakerLayer) | one circuit a target and one a provider's key | `breaker = false` |
//! | [timeout](llm_timeout::TimeoutLayer) | head, first content, idle and total of one attempt | `timeout = false` |
//! | [`Dispatch`](llm_router::Dispatch) | hands each call to the provider of its target | |
//!
//! Hedge and retry stand outside the breaker, so that each attempt asks it and counts; the timeout stands inside, so
//! that a provider that is late has failed. The budget stands inside hedge and retry and outside the breaker: there the target
//! is known, and so its price, and each attempt is paid for by itself, while one that a circuit refuses costs nothing. Limits
//! are about calls of callers, however many attempts those take, and a fallback answers also when they are reached. A hit of the
//! cache runs nothing below it and costs nothing, and limits count it. A hedge leaves a target alone whose circuit is not closed,
//! and the router goes past it.
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
//! # Behaviour
//! That of the layers, each of which says it in its own docs. The stack is always ready. What operators watch and control
//! is in its [`Handles`].
//!
//! # Clone
//! Clones of a stack and of its service are one stack. A stack that [resumes](Stack::resuming) another takes over what the
//! layers of that one know.
//!
//! # Errors
//! [`ConfigError`](llm_core::ConfigError) names the value at fault and says what is wrong with it, in one sentence. Nothing
//! is built from a configuration that is wrong anywhere. In a call each layer adds its own.

mod agreement;
mod config;
mod handles;
mod layers;
mod names;
mod shares;
mod stack;
mod switch;

pub use config::StackConfig;
pub use handles::Handles;
pub use stack::{ModelEntry, Stack};
pub use switch::Switch;
