//! Decides where a call goes.
//!
//! [`Dispatch`] is the bottom of a stack: it holds the providers by name and hands each call to the one that its
//! [target](llm_core::Target) names. A call that nobody has given a target goes to the provider that serves the
//! requested model. The alternative, a service per provider chosen in application code, takes the choice away from
//! every layer above.
//!
//! # Where it goes
//! Innermost, right above the providers. Layers that choose targets stand above it.
//!
//! # Example
//!
//! ```
//! use llm_core::{Error, LlmRequest, LlmResponse, Output};
//! use llm_router::Dispatch;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let openai = service_fn(|_: LlmRequest| async { Ok::<_, Error>(Output::text("from openai").into()) });
//! let local = service_fn(|_: LlmRequest| async { Ok::<_, Error>(Output::text("from here").into()) });
//! let dispatch = Dispatch::new().provider("openai", openai, ["gpt-*"]).provider("local", local, ["llama-3-8b"]);
//!
//! let response: LlmResponse = dispatch.clone().oneshot(LlmRequest::chat("llama-3-8b").user("hi").build()).await?;
//! assert_eq!(response.body.collect().await?.first_text(), "from here");
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready; which provider is meant is known only in `call`.
//! - At `call`: picks the provider, writes the target into the context, and calls a clone of the provider's service
//!   once that is ready.
//! - When dropped: the provider's future is dropped, and with it the call.
//!
//! # Clone
//! Clones share the table of providers. Each call clones the service of the provider it goes to.
//!
//! # Errors
//! [`UnknownModel`](llm_core::ErrorKind::UnknownModel) when no provider serves the requested model, and
//! [`NoRoute`](llm_core::ErrorKind::NoRoute) when the target names a provider that is not here. All other errors are
//! the provider's and pass unchanged.

mod attempts;
mod call;
mod candidate;
mod config;
mod dispatch;
mod filter;
mod future;
mod handle;
mod layer;
mod plan;
mod rank;
mod route;
mod routing;
mod rules;
mod service;
mod shared;
mod stats;
mod table;
mod targets;
mod verdict;
#[doc = include_str!("../LOAD-SCORE.md")]
pub mod load_score {}

pub use call::InFlight;
pub use candidate::Candidate;
pub use config::{RouteConfig, RouterConfig, RuleConfig, SensitivityConfig, TargetConfig, TokensConfig, WhenConfig};
pub use dispatch::Dispatch;
pub use future::ResponseFuture;
pub use handle::{RouterCounts, RouterHandle, TargetStatus};
pub use layer::RouterLayer;
pub use plan::Plan;
pub use rank::{Asked, Choice, CostShare, Rank, Strategy};
pub use route::{Route, RouteTarget};
pub use rules::{Cause, Facts, Rule, Rules, Unreachable, When};
pub use service::Router;
pub use targets::{ProviderEntry, Targets};
