//! Decides where a call goes.
//!
//! [`RouterLayer`] picks a [target](llm_core::Target) for each call, out of those that can serve it, and when that one
//! fails in a way that another might not, takes the call there, before the caller has seen anything. Which models,
//! providers and keys there are it knows from [`Targets`]; routes, the names that stand for several of them, and rules
//! make up its [`Plan`], which can be replaced while calls go on. The alternative, a client for each provider and a
//! `match` in application code, knows neither how the others are doing nor how many calls have been made already.
//!
//! [`Dispatch`] is the bottom of a stack: it holds the providers by name and hands each call to the one that its target
//! names.
//!
//! # Where it goes
//! The router outside retry, breaker and timeout, so that each of its attempts has all of them, and inside cache and
//! fallback. Retry leaves one call for each candidate that the router tells it of. Give it the breaker's handle as
//! [`health`](RouterLayer::health). Dispatch goes innermost, right above the providers.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output, Served, catalog::Catalog};
//! use llm_router::{Dispatch, Plan, ProviderEntry, RouterLayer, Strategy, Targets};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let down = service_fn(|_: LlmRequest| async { Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "down")) });
//! let local = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("from here"))) });
//! let dispatch = Dispatch::new().provider("openai", down, ["gpt-*"]).provider("ollama", local, ["llama3"]);
//!
//! let targets = Targets::new(Arc::new(Catalog::builtin().clone()))
//!     .provider(ProviderEntry::new("openai").models(["gpt-*"]).keys(["first", "second"]))
//!     .provider(ProviderEntry::new("ollama").models(["llama3"]).local());
//! let smart = targets.route(["openai/gpt-5"])?.strategy(Strategy::LeastLoaded).then(targets.route(["ollama/llama3"])?);
//! let router = RouterLayer::new(Plan::new(targets).route("smart", smart)).layer(dispatch);
//!
//! let response = router.oneshot(LlmRequest::chat("smart").user("hi").build()).await?;
//! assert_eq!(response.head.served, Served::Substitute);
//! assert_eq!(response.body.collect().await?.first_text(), "from here");
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour of the router
//! - At `poll_ready`: always ready. Which target is meant is known only in `call`.
//! - At `call`, in this order:
//!   - The first rule that holds refuses the call, or says where it goes or which tags it needs. Else the requested name
//!     decides: a route's, or a model's, for which every provider stands that serves it. A target that is in the context
//!     already is called alone, and bears the tags that a rule needs.
//!   - Candidates are left out that are known not to do: for want of a capability, a window, a required tag or the
//!     caller's permission, or since the request is sensitive and they are not local. What is not known of a model leaves
//!     nobody out.
//!   - Of the first tier in which somebody is left the route's [strategy](Strategy) picks one. Who is open or cooling is
//!     passed over, and the next one picked. When all of several are, one call in five seconds, for each route (or
//!     pattern, for names that callers make up), is made to the one that reopens first, marked as a
//!     [probe](llm_core::Context::is_probe); all others fail at once.
//! - On a failure before content that its [class](llm_core::Class) sends elsewhere, the next candidate is called in the same
//!   call, from the call's allowance; after a refusal of our own without taking from it. Each is called at most once.
//!   After a fault of the server, other providers come before other keys of the same one; after a refused key or a spent
//!   quota another key comes first, and that key is not used again; a prompt that was too long goes only to windows known
//!   to be larger, and what a budget refused only to prices known to be lower. A refusal by content policy goes
//!   elsewhere only if the [plan](Plan::content_policy_failover) says so. What was made of a failure is told in the
//!   [trail](llm_core::AttemptRecord::verdict): `failed_over`, `not_elsewhere`, `no_candidate`, `allowance_spent`,
//!   `deadline`.
//! - At response head: it is held back until content comes, within [`hold_back`](RouterLayer::hold_back). An answer is
//!   marked as a [substitute's](llm_core::Served::Substitute) if it comes from a later tier than the first that had a
//!   candidate.
//! - At end of stream: the call is no longer in flight at its target, and what was seen of it (first content, time per
//!   token, failure) is what later choices go by. Abandoned calls and failures that are the caller's or our own say
//!   nothing of the target; a limit of the provider's counts as a failure.
//! - When dropped: the attempt under way is dropped, and no longer in flight.
//!
//! # Behaviour of the dispatch
//! - At `poll_ready`: always ready.
//! - At `call`: picks the provider, writes the target into the context if nobody has, and calls a clone of the provider's
//!   service once that is ready. A sensitive call goes to local providers only.
//! - When dropped: the provider's future is dropped, and with it the call.
//!
//! # Clone
//! Clones of a router and all services of one layer value share the plan and what was seen of targets. Each call is made
//! through a clone of the inner service. What was seen is kept by target, and for names that callers make up by the
//! pattern that serves them, so nothing grows with those. Clones of a dispatch share the table of providers.
//!
//! # Errors
//! When no candidate can serve the call: [`UnknownModel`](llm_core::ErrorKind::UnknownModel) if nobody serves the name,
//! [`Forbidden`](llm_core::ErrorKind::Forbidden) if the caller may use none of them or a rule refuses,
//! [`ContextLength`](llm_core::ErrorKind::ContextLength) if the prompt is too long for all,
//! [`InvalidRequest`](llm_core::ErrorKind::InvalidRequest) if all lack a capability, else
//! [`NoRoute`](llm_core::ErrorKind::NoRoute). [`CircuitOpen`](llm_core::ErrorKind::CircuitOpen) when none of them is fit to
//! be called, or none of those that have words for the request, with the shortest remaining wait. After failures it is the
//! last one of a provider's, or of ours if none was reached, with the shortest wait that anybody asked for and the whole
//! trail. From the dispatch come `UnknownModel` and `NoRoute`. All other errors pass unchanged.
//!
//! # Sources
//! The load score is compared with other rules in [`load_score`]. That a client tries further servers within one request,
//! in tiers, and keeps a way out when all are ejected, is Envoy's
//! [priority levels](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority) and
//! [panic threshold](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold).

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
