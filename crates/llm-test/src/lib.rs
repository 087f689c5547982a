//! Shows that a layer for language-model calls behaves: a probing inner service, scripted answers, and the laws.
//!
//! A layer is easy to write for the call that goes well. What breaks in operation is the rest: the stream that is
//! dropped half-way, the permit that was never given back, the clone that was not ready. The laws are those cases,
//! written once for all layers. A mock that only answers would find none of them, so the inner service here is as
//! strict as a service may be, and writes down how it is used.
//!
//! - [`Probe`] is the inner service; its [`ProbeLog`] tells what became of each call.
//! - [`Answer`] and [`Frames`] are the scripts: delays, gates, failures, cuts, panics.
//! - [`laws`] are the rules every layer keeps, one function each; [`contract!`] makes a test of each.
//! - [`Subject`] is the layer under test, and what only its author knows about it.
//! - [`CapturedLogs`] is everything that was logged on a thread.
//!
//! # A layer of your own
//!
//! This one limits calls in flight, until the ends of their streams, and the laws hold for it:
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
//! use std::task::{Context, Poll};
//! use futures_util::future::{BoxFuture, FutureExt, ready};
//! use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Observer, Outcome, watch};
//! use tower::{Layer, Service, ServiceExt};
//!
//! /// At most `limit` calls at a time, counted to the ends of their streams. Clones and services share the count.
//! #[derive(Clone, Debug)]
//! struct InFlightLayer { limit: u64, in_flight: Arc<AtomicU64> }
//!
//! impl<S> Layer<S> for InFlightLayer {
//!     type Service = InFlight<S>;
//!     fn layer(&self, inner: S) -> InFlight<S> {
//!         InFlight { inner, layer: self.clone() }
//!     }
//! }
//!
//! #[derive(Clone, Debug)]
//! struct InFlight<S> { inner: S, layer: InFlightLayer }
//!
//! /// One call's place, given back when dropped: core drops an observer when its call is over, however it ends.
//! struct Place(Arc<AtomicU64>);
//!
//! impl Observer for Place {
//!     fn on_end(&mut self, _: &Outcome<'_>) {}
//! }
//!
//! impl Drop for Place {
//!     fn drop(&mut self) {
//!         self.0.fetch_sub(1, Relaxed);
//!     }
//! }
//!
//! impl<S> Service<LlmRequest> for InFlight<S>
//! where
//!     S: Service<LlmRequest, Response = LlmResponse, Error: Into<Error>, Future: Send> + Clone + Send + 'static,
//! {
//!     type Response = LlmResponse;
//!     type Error = Error;
//!     type Future = BoxFuture<'static, Result<LlmResponse, Error>>;
//!
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: LlmRequest) -> Self::Future {
//!         let InFlightLayer { limit, in_flight } = &self.layer;
//!         let place = in_flight.fetch_update(Relaxed, Relaxed, |calls| (calls < *limit).then_some(calls + 1));
//!         if place.is_err() {
//!             return ready(Err(Error::new(ErrorKind::LimitExceeded, "too many calls at once"))).boxed();
//!         }
//!         let call = self.inner.clone().oneshot(request.clone());
//!         watch(&request, call, Place(Arc::clone(in_flight))).boxed()
//!     }
//! }
//!
//! // The contract: in a crate of your own this function and `contract!(subject)` are all of `tests/contract.rs`.
//! use llm_test::{Answer, Frames, Subject, laws};
//!
//! fn limit(limit: u64) -> InFlightLayer {
//!     InFlightLayer { limit, in_flight: Arc::default() }
//! }
//!
//! fn subject() -> Subject {
//!     let layer = limit(10);
//!     let in_flight = Arc::clone(&layer.in_flight);
//!     let read = move || in_flight.load(Relaxed);
//!     Subject::new("in-flight limit", layer)
//!         .always_ready()
//!         .rejecting(|| limit(0))
//!         .holds("places", read.clone())
//!         .counts(Answer::stream(Frames::new().hang()), read)
//! }
//!
//! for law in &laws::ALL {
//!     let _ = law.hold(subject);
//! }
//! ```
//!
//! The guide `guides/write-your-own-layer.md` of the repository tells the same story for another layer, with the first try
//! that the laws catch.
//!
//! # In a crate of your own
//! `llm-core` and `tower` are dependencies of the layer, `llm-test` is a development dependency. The contract is
//! `tests/contract.rs`, which `cargo test` runs like any other; from a checkout of this workspace,
//! `cargo xtask conformance --layer PATH` runs it and prints the matrix of laws. A whole stack is a subject, too
//! ([`Subject::stack`]): without `--layer` that command holds every order of five layers to the laws.
//!
//! # When a law does not apply
//! A layer that never rejects cannot reject wrongly. Such a law rules [`Ruling::NotApplicable`] and prints why
//! (`cargo test -- --show-output`); it never looks like one that was kept.
//!
//! # What the laws cannot see
//! That no lock is held across an await, and that every option does something: those need the source, or tests that
//! know the option.

mod answer;
mod capture;
mod contract;
mod frames;
mod gate;
pub mod laws;
mod log;
mod pass_through;
mod probe;
mod subject;

pub use answer::Answer;
pub use capture::CapturedLogs;
pub use frames::{BodyLog, Frames};
pub use gate::Gate;
pub use laws::{Law, Ruling};
pub use log::ProbeLog;
pub use pass_through::{PassThrough, PassThroughLayer};
pub use probe::Probe;
pub use subject::{Subject, Tally};
