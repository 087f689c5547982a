//! Starts a second attempt beside one whose first content is late, and takes whichever answers first.
//!
//! Of a provider's calls a few take ten times as long as the others, for reasons that have nothing to do with the
//! request: a busy replica, a lost packet. Asking a second time is then faster than waiting on. A time limit and a
//! retry do the same for a call that will never answer, but they throw away what the first attempt has done by then,
//! so they must wait for long; a hedge keeps both, so it can be early. Both are paid for, which is why it is a layer of
//! its own that nobody gets unasked, and why it has a quota. Where one call in fifty takes 8 to 25 times as long as the
//! others, a simulation of 6,000 calls (`tests/hedge.rs`) has a 99th percentile of the first content of 9.9 seconds
//! without and 2.0 seconds with it, for 4.3 % more calls.
//!
//! # Where it goes
//! Outside retry, so that each of the two is retried by itself; inside router and cache. Both and all their retries
//! share the call's allowance. Below a breaker it could not ask for another target's circuit.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use llm_core::LlmRequest;
//! use llm_retry::hedge::{After, HedgeEvent, HedgeLayer, HedgeQuota};
//! use llm_test::{Answer, Probe};
//! # use llm_core::Error;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let model = Probe::answering(Answer::text("blue")).script([Answer::hang()]);
//!
//! let hedge = HedgeLayer::new().after(After::Fixed(Duration::from_secs(2))).quota(HedgeQuota::percent(100));
//! let handle = hedge.handle();
//! let stack = ServiceBuilder::new().layer(hedge).service(model);
//!
//! let response = stack.oneshot(LlmRequest::chat("gpt-4o-mini").user("Which colour?").build()).await?;
//! assert_eq!(response.body.collect().await?.first_text(), "blue");
//! assert_eq!(handle.count(HedgeEvent::Won), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: ready when the inner service is. The first attempt is made on the instance that was readied.
//! - At `call`: after the [delay](After) without content a second attempt is made on a clone, once that is ready. The
//!   delay is fixed, or the 95th percentile of what calls to the target took lately, for streamed and whole answers
//!   apart; until enough have been seen nothing is hedged.
//! - The second attempt goes to what the [alternatives](Alternatives) name, else to the same target again. A sensitive
//!   request goes to another key of the same model at the same provider at most.
//! - There is none without a token of the target's [quota](HedgeQuota), without a call of the call's allowance, which
//!   leaves one for each untried candidate of a router, while the [health](HedgeLayer::health) of the target is bad,
//!   for a call that a router makes to find out about it, for a count of tokens, and for a caller whose deadline is over
//!   by then.
//! - At the first content: it wins, and the other attempt is dropped at once. What that one used is in its record in
//!   the trail, written by the edge that sees its end.
//! - At a failure: before the delay it is the call's. With both under way the other one is waited for; when both have
//!   failed the call fails as the last one did that reached a provider, with the smaller advice.
//! - At the end of the stream: nothing.
//! - When dropped: both attempts are dropped.
//!
//! # Clone
//! Clones, and all services of one layer value, share percentiles, quotas and counts. A setter begins anew.
//!
//! # Errors
//! None are added.
//!
//! # Sources
//! Dean and Barroso, "The Tail at Scale" (2013): a second request after the 95th percentile costs 5 % more load and
//! takes away most of the tail. That a quota must bound it in an incident, when everything is late, is gRPC's "retry
//! throttling", which its hedges share.

mod alternatives;
mod bucket;
mod config;
mod delay;
mod handle;
mod layer;
mod percentile;
mod service;
mod shared;

pub use alternatives::Alternatives;
pub use bucket::HedgeQuota;
pub use config::{HedgeConfig, HedgeSettings};
pub use delay::After;
pub use handle::{HedgeEvent, HedgeHandle};
pub use layer::HedgeLayer;
pub use service::Hedge;
