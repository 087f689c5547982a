//! What the caller gets when all else has failed: a message, the answer of a function, or that of another service.
//!
//! Retries, other targets and the cache make failures rare. What is left of them reaches people, and for many uses a
//! plain sentence, a rule or a small model of one's own is better than an error. So this layer answers instead, and says
//! so: such an answer is marked as degraded wherever it goes. The alternative, to handle errors in each application,
//! forgets the streams that fail before their first content.
//!
//! # Where it goes
//! Outermost but for what only measures: everything that could still succeed stands inside. What classifies requests
//! stands outside of it where cases go by intent. Further in, it would hide failures from what is above: a router that is
//! answered by a message goes to no other target, and a cache would have to be told not to keep it.
//!
//! # Example
//!
//! ```
//! use llm_core::{LlmRequest, Served};
//! use llm_fallback::{Answer, FallbackLayer, When};
//! # use llm_core::{Error, ErrorKind, LlmResponse};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let down = service_fn(|_: LlmRequest| async { Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "down")) });
//!
//! let fallback = FallbackLayer::new().case(When::new(), Answer::message("Please try again in a few minutes."));
//! let handle = fallback.handle();
//! let stack = ServiceBuilder::new().layer(fallback).service(down);
//!
//! let response = stack.oneshot(LlmRequest::chat("gpt-4o").user("Why is the sky blue?").build()).await?;
//! assert_eq!(response.head.served, Served::Degraded);
//! assert_eq!(response.body.collect().await?.first_text(), "Please try again in a few minutes.");
//! assert_eq!(handle.answered(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready. A clone of the inner service is readied in the future.
//! - At the response head: an answer is held back until its first content, so a stream that fails before it is a failed
//!   call like any other.
//! - At a failure: the [cases](FallbackLayer::case) are asked in their order. Those are passed over whose
//!   [condition](When) does not hold, and those that have no answer: a [message](Answer::message) for what is no chat, a
//!   [function](LastResort) that says so, a [service](Answer::service) that may not be asked or fails. The first answer
//!   goes to the caller, with [`Served::Degraded`](llm_core::Served::Degraded) in its head. A call that is to be answered by
//!   what a cache keeps [only](llm_core::CacheDirective::only_if_cached) fails as it did.
//! - A service is asked with the request as it came in here, in an attempt of its own. That is beyond the call's
//!   allowance, once for each call ([`Again::Fallback`](llm_core::Again::Fallback)), not after the caller's deadline, and
//!   not with a sensitive request unless it is [local](Answer::local_service). Its answer is held back until content too.
//! - Messages and functions call nobody and are no attempts. They used nothing and nobody is paid for them, which their
//!   body says (`Progress::is_unpaid`).
//! - In the call's trail the last attempt that failed has the verdict `fell_back`.
//! - At the end of the stream: nothing. A failure after content goes to the caller within the stream.
//! - When dropped: the attempt under way is dropped.
//!
//! # Clone
//! Clones, and all services of one layer value, share counts and notices. A setter begins anew.
//!
//! # Errors
//! None are added. A call that no case has an answer for fails as it did; where a service was asked and failed too, with
//! the whole trail and the smaller of both hints when to come back, and as that has failed if a layer of ours had refused
//! the call before and only the service has reached a provider.
//!
//! # Sources
//! Graceful degradation as in the [SRE book][sre], chapter 22: serve lower-quality answers when the backend cannot, make
//! it visible, and keep the path so simple that it works when nothing else does.
//!
//! [sre]: https://sre.google/sre-book/addressing-cascading-failures/

mod answer;
mod config;
mod handle;
mod layer;
mod service;
mod when;

pub use answer::{Answer, LastResort};
pub use config::{CaseConfig, FallbackConfig, WhenConfig};
pub use handle::{FallbackEvent, FallbackHandle};
pub use layer::FallbackLayer;
pub use service::Fallback;
pub use when::When;
