//! Calls a model again when that can help: within the call's allowance, the caller's deadline and a quota.
//!
//! Model APIs throttle, overload and break off every day, and most of that is over a second later. A retry that is
//! made without looking does harm, though: it doubles the load of a provider that has too much, repeats what cannot
//! succeed, and multiplies with the retries of the layers and clients around it. So this layer asks first, in this
//! order: whether the failure can be mended by a retry, whether the call may be made again at all, whether there is time
//! for the wait, and whether the target has not had too many retries lately.
//!
//! The machine is tower's own [`Retry`](tower::retry::Retry); ours are the policy, and what holds an answer back until
//! its first content. Without that a stream that fails before content looks like a success to a retry.
//!
//! Beside it stands [`hedge`], a layer of its own, for calls that are not failing but late.
//!
//! # Where it goes
//! Outside breaker, timeout and provider, so that each attempt is counted and limited by itself; inside router and
//! cache, which see one call. Above a router it retries the router's last failure, when all candidates have
//! been tried. Twice in a stack it shares one allowance with itself.
//!
//! # Example
//!
//! ```
//! use llm_core::LlmRequest;
//! use llm_retry::RetryLayer;
//! use llm_test::{Answer, Probe};
//! # use llm_core::{Error, ErrorKind};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let busy = Answer::fail(Error::new(ErrorKind::Overloaded, "busy"));
//! let model = Probe::answering(Answer::text("blue")).script([busy]);
//!
//! let retry = RetryLayer::new();
//! let handle = retry.handle();
//! let stack = ServiceBuilder::new().layer(retry).service(model);
//!
//! let response = stack.oneshot(LlmRequest::chat("gpt-4o-mini").user("Which colour?").build()).await?;
//! assert_eq!(response.body.collect().await?.first_text(), "blue");
//! assert_eq!(handle.retries(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: ready when the inner service is.
//! - At `call`: calls the instance that was readied. A clone is made for a second attempt, and readied only then.
//! - At the response head: an answer is held back until its first content, so nothing has been handed on when a stream
//!   fails before it. Such a failure is retried like any other, and the caller sees one beginning.
//! - At a failure: only what [`Error::is_retryable`](llm_core::Error::is_retryable) says, no refusal of our own, and no
//!   call that a router makes to find out about a target. A provider's `x-should-retry` beats the table of kinds. Every
//!   decision is noted, see [`Verdict`]: in the attempt's record in the trail, and in the [handle](RetryHandle).
//! - The wait is what the provider advised, plus a part of the backoff so that those who were told the same do not
//!   return together; without advice a random part of the backoff (full jitter). The backoff doubles with each retry
//!   that this layer makes of the call, up to a cap that never shortens advice: see [`RetryRules`].
//! - Advice beyond the longest that the rules accept, and a wait that would not end before the caller's deadline, end
//!   the call at once; the advice stays on the error for the caller.
//! - While a router has untried candidates, they are left a call each, and nobody waits here for more than a second.
//! - A retry takes from the target's [quota](RetryQuota) and from the call's allowance, or from neither. The allowance
//!   is shared with every other layer that calls again, and lowered by what the caller's own client has retried.
//! - The failed response is dropped before the wait begins. If the inner service fails to get ready for the retry,
//!   that failure is the call's: tower's `Retry` does not keep the one before it.
//! - At the end of the stream: nothing. After content a failure goes to the caller within the stream.
//! - When dropped: the attempt, or the wait, is dropped, and no further attempt is ever made.
//!
//! # Clone
//! Clones, and all services of one layer value, share quota and counts. A setter begins anew.
//!
//! # Errors
//! None are added. What is not retried comes out as it came, after several attempts the last one's. If a layer of ours
//! refuses the retry itself (a circuit has opened), the caller is told what the provider had failed with, and the later
//! of both hints when to come back.
//!
//! # Sources
//! Full jitter and a longer backoff for throttling: [AWS on backoff and jitter][aws] and its SDKs' standard retry mode.
//! The quota's idea: Finagle's `RetryBudget`, of which tower's `TpsBudget` is a port. The allowance of two further
//! calls and the order of `retry-after-ms` before `retry-after`: OpenAI's and Anthropic's clients. Their Python clients
//! give up advice above 120 and 60 seconds.
//!
//! [aws]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

mod config;
mod handle;
pub mod hedge;
mod layer;
mod policy;
mod quota;
mod rules;
mod shared;
mod verdict;

pub use config::{QuotaConfig, RetryConfig, RetryPreset, RetrySettings};
pub use handle::RetryHandle;
pub use hedge::{Hedge, HedgeConfig, HedgeHandle, HedgeLayer};
pub use layer::{Jitter, Retry, RetryLayer};
pub use policy::RetryPolicy;
pub use quota::RetryQuota;
pub use rules::RetryRules;
pub use verdict::{Reason, Verdict};
