//! Keeps each caller to its limits: requests and tokens a minute, and calls at the same time.
//!
//! Without it one caller's loop takes all of a provider's rate limit, and every other caller is throttled for it.
//! Counting calls is not enough for models: one call may be worth a thousand others, and a stream holds its connection
//! for minutes. So calls are counted when they begin, tokens by what they really were, and a call is under way until
//! its stream ends.
//!
//! # Where it goes
//! Near the top, below a fallback and above cache, router and retry: it is calls of callers that are limited, not
//! attempts. Below the cache it would not count hits. Above a router the [model](crate::Per::MODEL) is the one that was asked
//! for. Below retry or a router every attempt counts as a call, and one that is refused is neither retried nor sent
//! elsewhere.
//!
//! # Example
//!
//! ```
//! use std::num::NonZeroU32;
//! use llm_budget::{Per, limit::{LimitLayer, LimitRule}};
//! use llm_core::{Caller, Error, ErrorKind, LlmRequest, LlmResponse, Output};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let model = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("Scattering."))) });
//! let twice = NonZeroU32::new(2).expect("it is not zero");
//! let limits = LimitLayer::new([LimitRule::new("per-tenant", Per::TENANT).requests_per_minute(twice)]);
//! let mut service = ServiceBuilder::new().layer(limits).service(model);
//!
//! let mut request = LlmRequest::chat("gpt-4o").user("Why is the sky blue?").build();
//! request.context_mut().set_caller(Caller::tenant("acme"));
//! for _ in 0..2 {
//!     service.ready().await?.call(request.clone()).await?;
//! }
//! let error = service.ready().await?.call(request.clone()).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::LimitExceeded);
//! assert!(error.retry_after().is_some_and(|wait| wait.as_secs() < 30));
//!
//! request.context_mut().set_caller(Caller::tenant("another"));
//! service.ready().await?.call(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready; who calls is known only in `call`. A caller at its limit is answered at once, also
//!   when the inner service never gets ready.
//! - At `call`: looks at all amounts of all limits that concern the call. If all of them agree, each is charged: one
//!   request, the estimated tokens, one call under way. If one does not, nothing is charged anywhere, so refused calls
//!   burn nothing, whoever repeats them. The estimate is the prompt's likely tokens and those of an [expected
//!   answer](LimitLayer::expected_output).
//! - At the response head: nothing. A whole answer is over.
//! - At the end of the stream: the call is no longer under way, and its tokens are put right: what it was charged with
//!   too much comes back, what it used beyond that is charged, be it into debt. What counts is the usage of the answer,
//!   as reported or estimated; a call that no provider took on, and one that a cache answered, has used none. Attempts
//!   that retry or hedge below has made in vain are not counted.
//! - When dropped: the same, with what the call had used until then; also after a panic.
//!
//! All limits are exact, however many a call must pass. Their states are locked together for the time of a decision, so
//! that no thread sees a call that only some of them have counted; callers who have no limit in common share no lock,
//! but for the moment in which one of them is new. Requests are counted by [governor] on tokio's clock, tokens by a
//! bucket of the same kind (the generic cell rate algorithm) that can be in debt and given back to. Debt is what calls
//! under way use beyond what they were charged with, so with a limit of calls [at once](LimitRule::at_once) it is at
//! most that many answers.
//!
//! A caller takes up about 210 bytes in each limit, for as long as there is something to remember of it, and is
//! forgotten when room is needed and there is nothing. At [the bound](LimitLayer::most_callers) no caller is forgotten
//! who has used something, so that nobody can make up names to be rid of a limit, its own or another's: those for whom
//! there is no room share the amounts of one caller. So do callers whose names are longer than 512 bytes together.
//!
//! # Clone
//! Clones of a service, all services of one layer value, and the handles of both share their counts. A setter makes a
//! layer with counts of its own; one that [resumes](LimitLayer::resuming) shares those of another.
//!
//! # Errors
//! [`LimitExceeded`](llm_core::ErrorKind::LimitExceeded), with the name of the limit and the trail. It says exactly how
//! long to wait where that is known: of several limits that are reached, for the longest. When one of the calls under
//! way will end is not known. All other errors pass unchanged.
//!
//! # Sources
//! - The generic cell rate algorithm: ITU-T Recommendation I.371, annex A.
//! - What providers limit: requests and tokens a minute, as OpenAI and Anthropic document their rate limits.

mod call;
mod config;
mod entry;
mod future;
mod handle;
mod key;
mod layer;
mod requests;
mod rule;
mod service;
mod shared;
mod status;
mod table;
mod tokens;

pub use config::{LimitConfig, LimitRuleConfig};
pub use future::ResponseFuture;
pub use handle::LimitHandle;
pub use layer::LimitLayer;
pub use rule::LimitRule;
pub use service::Limit;
pub use status::{LimitCounts, LimitStatus};
