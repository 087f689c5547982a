//! Stops calling a provider that keeps failing, and tries it again later.
//!
//! Without it every call of an outage waits for its own failure: callers wait, connections pile up, and a provider that
//! is coming back is met by all of them at once. A breaker counts failures for each target, rejects at once while there
//! are too many, and lets a single call find out when that is over. It looks at how a call *ends*: a provider that
//! answers with status 200 and breaks off its streams is as broken as one that refuses them. Health checks were the
//! alternative; for model providers they cost money and say little about real calls.
//!
//! # Where it goes
//! Below retry, so that a retry is rejected as well and every attempt is counted; above timeout, so that time limits are
//! failures that count. With a router above it a rejected call goes to the next target at once, and the router's
//! [health](llm_core::Health) is this layer's [handle](BreakerHandle). Above a router it would only see what remains
//! after all targets have failed, and with no target in the context it goes by the requested model.
//!
//! # Example
//!
//! ```
//! use llm_breaker::{BreakerLayer, CircuitState};
//! use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Target};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let down = service_fn(|_: LlmRequest| async { Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "down")) });
//! let breaker = BreakerLayer::new();
//! let handle = breaker.handle();
//! let mut service = ServiceBuilder::new().layer(breaker).service(down);
//!
//! let mut request = LlmRequest::chat("gpt-4o").user("Why is the sky blue?").build();
//! request.context_mut().set_target(Target::new("openai", "gpt-4o"));
//! for _ in 0..8 {
//!     let error = service.ready().await?.call(request.clone()).await.unwrap_err();
//!     assert_eq!(error.kind(), ErrorKind::Server);
//! }
//! let error = service.ready().await?.call(request).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::CircuitOpen);
//! assert!(error.retry_after().is_some());
//! assert!(matches!(handle.list()[0].state, CircuitState::Open { .. }));
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready; which circuit is meant is known only in `call`. An open circuit answers at once, also
//!   when the inner service never gets ready.
//! - At `call`: looks at the circuit of the target and at that of the provider's key. If either is open, half-open with
//!   all its probes under way, or cooling, the future is ready with the error. Else it readies a clone of the inner
//!   service and calls that.
//! - At the response head: nothing. A whole answer is over and a success.
//! - At the end of the stream: a success or a failure, once for each call. What a failure weighs is in
//!   [`Weight::of`]; what is the caller's fault, a refusal of ours or the caller's own deadline is not counted.
//! - When dropped: not counted, and the place of a probe comes back, as it does after a panic. A first content that was
//!   [late](CircuitRules::slow_after) has been counted then.
//!
//! A circuit is **closed** until the [trip rule](Trip) opens it. Refused credentials and spent quota open the circuit of
//! the provider's key at once, for all models, and a missing model opens its target's. It is **open** for a
//! [time](OpenTime) that doubles with each opening in a row; a longer wait that the provider advises holds instead. Then
//! it is **half-open**: [probes](Probes) are let through, a success closes it and a failure opens it again. A probe loses
//! its place when its [lease](CircuitRules::lease) runs out. Beside all this a target is **cooling** when the provider
//! throttles it and says for how long; that is no fault. Each change of state begins a new epoch, and results of calls
//! that were admitted in an earlier one never count. A call that a router marks as a probe goes before an open circuit's
//! time, though not before a pause is over.
//!
//! Only what has failed has a circuit, so a healthy target costs two lookups in empty tables, no allocation (one for a
//! stream, as for every observer) and writes nothing that threads share. Under [`Rate`] every call is written down.
//!
//! # Clone
//! Clones of a service, all services of one layer value, and the handles of both share their circuits. A setter makes a
//! layer with circuits of its own.
//!
//! # Errors
//! [`CircuitOpen`](llm_core::ErrorKind::CircuitOpen), with the target, the trail, and the time after which to try again
//! (for a half-open circuit the shortest open time, or what is left of a probe's lease; none where a circuit was opened
//! by hand). All other errors pass unchanged.
//!
//! # Sources
//! - The default score is Page's CUSUM test ("Continuous inspection schemes", Biometrika 41, 1954) for a sequence of
//!   successes and failures. How the rules compare, with calls at 0.1, 1 and 10 a second and 5 to 20 % of them failing
//!   every day, is in [`trip_rules`].
//! - States and half-open probes: Nygard, "Release It!" (2007), and the libraries after it.
//! - Throttled (429), overloaded (529, 503), credentials (401) and quota as OpenAI and Anthropic document their errors.

mod call;
mod circuit;
mod circuits;
mod config;
mod cusum;
mod future;
mod handle;
mod judge;
mod layer;
mod names;
mod notice;
mod opening;
mod rate;
mod rules;
mod sample;
mod service;
mod shared;
mod sharing;
mod slow;
mod state;
mod status;
mod trip;
#[doc = include_str!("../TRIP-RULES.md")]
pub mod trip_rules {}

pub use config::{BreakerConfig, BreakerPreset, BreakerSettings, SlowAfter, TripConfig};
pub use cusum::{Consecutive, Cusum};
pub use future::ResponseFuture;
pub use handle::{BreakerCounts, BreakerHandle};
pub use judge::Judge;
pub use layer::BreakerLayer;
pub use opening::{Covers, OpenTime, Probes};
pub use rate::Rate;
pub use rules::CircuitRules;
pub use sample::{Sample, Weight};
pub use service::Breaker;
pub use sharing::Sharing;
pub use status::{CircuitState, CircuitStatus};
pub use trip::{Step, Trip, TripRule};

#[cfg(test)]
mod rules_tests;
