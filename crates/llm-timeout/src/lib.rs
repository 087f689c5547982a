//! Limits how long one attempt may take: to its head, to its first content, between two pieces of content, to its end.
//!
//! A model's stream can stall at any point and still look alive: the head comes at once, and then nothing but pings. A
//! timeout around the call's future, such as tower's `Timeout` and tower-http's, counts to the head only and never sees
//! that. One around the whole stream is too short for long answers or too long for somebody who waits for the first
//! word. One between two pieces of an http body, such as tower-http's `TimeoutBody`, takes a ping for a sign of work. So
//! each phase has a limit of its own here, and only content counts.
//!
//! # Where it goes
//! Right above `Dispatch` or the provider, below whatever may call again, so that each attempt has its own time and one
//! that is late can be followed by another. The time to connect is the provider's own to limit.
//!
//! In an unusual place it means something else. Above retry or a router the limits hold for all attempts and the waits
//! between them together, and for the target that was chosen there, if one was; there is only one deadline either way.
//! Above a cache a hit is in time. Above a layer that holds back what comes before content, the head comes with the
//! first content. Above a concurrency limit that makes calls wait in `poll_ready`, that wait is not counted.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use llm_core::{ErrorKind, LlmRequest, LlmResponse, Phase};
//! use llm_timeout::{Limits, TimeoutLayer};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let stuck = service_fn(|_: LlmRequest| std::future::pending::<Result<LlmResponse, BoxError>>());
//!
//! let layer = TimeoutLayer::new().limits(Limits::interactive().first_content(Duration::from_secs(10)));
//! let handle = layer.handle();
//! let model = ServiceBuilder::new().layer(layer).service(stuck);
//!
//! let request = LlmRequest::chat("gpt-4o-mini").user("Why is the sky blue?").stream().build();
//! let error = model.oneshot(request).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Timeout(Phase::FirstContent));
//! assert_eq!(error.to_string(), "no first content within 10s");
//! assert_eq!(handle.counts().first_content, 1);
//! # }
//! ```
//!
//! In a configuration file the limits are a [`TimeoutConfig`].
//!
//! # Behaviour
//! - At `poll_ready`: as the inner service.
//! - At `call`: calls the instance that was readied, and works out once by when what must have come. The limits are those
//!   of the target's model, else of its provider, else of all; a call without a target goes by the model it asks for. If
//!   the caller's deadline has passed, the call fails at once: nothing is called, no permit is kept, no attempt is noted.
//! - Until the head of a streamed answer: [`head`](Limits::head) and [`first_content`](Limits::first_content), both
//!   counted from the call. A model that reasons has
//!   [`first_content_reasoning`](Limits::first_content_reasoning) instead of the latter, unless that is shorter.
//! - Until the first content: the same first-content limit goes on. Pings, comments and lifecycle frames are handed on
//!   and change nothing. A finish reason ends this wait too: an empty answer is an answer.
//! - After content: each wait for more has [`idle`](Limits::idle). It is the time that somebody waits for the provider;
//!   what the reader takes between two frames is not counted, so a slow reader is not punished. Frames that are there
//!   are handed on at once and unchanged.
//! - Until the end: [`total`](Limits::total), off by default, the time of the reader included.
//! - An answer that is not asked for as a stream has only [`whole_answer`](Limits::whole_answer), from the call to its
//!   end. A whole answer to a streamed request is held to the limits up to the head.
//! - The caller comes first. A [deadline](llm_core::Context::deadline) that is as early as a limit or earlier ends the
//!   call in its place. The [patience](llm_core::Context::read_timeout) of the caller's client bounds each wait as `head`
//!   and `idle` do, and a whole answer, but no stream in total; it is counted anew for each attempt, because an attempt
//!   does not know when the first one began. Of two limits at the same instant the narrower one is told.
//! - What comes in the very instant in which a limit runs out is in time.
//! - When time runs out: the inner future or stream is dropped, which cancels the call to the provider, and the attempt is
//!   noted in the trail as failed. Then the caller is told, within the stream if there was a head.
//! - When dropped: the inner future or stream is dropped, and nothing is counted.
//!
//! A call holds one timer, made when the call first has to wait, and moved only when it must ring earlier or has rung; no
//! task is spawned. A stream costs one allocation, a whole answer none. Calls need a tokio runtime with its timer.
//!
//! # Clone
//! Clones of a service, and all services of one layer value, share the limits and the counts. A setter of the layer
//! begins counts of its own.
//!
//! # Errors
//! [`Timeout`](llm_core::ErrorKind::Timeout) with the [`Phase`](llm_core::Phase) whose limit ran out, which is the
//! provider's fault: another attempt may be made before content, and a breaker counts it.
//! [`DeadlineExceeded`](llm_core::ErrorKind::DeadlineExceeded) for what was the caller's own deadline or patience, which
//! is nobody's fault and the end of the call. All other errors pass unchanged.
//!
//! # Sources
//! - The official clients of OpenAI and Anthropic wait 10 minutes by default, for the head and between two pieces of a
//!   stream alike. That does for a batch job, and [`Limits::batch`] is of that order; a person who waits for a first
//!   word is better served by a failure that still leaves time for another attempt.
//! - Models that reason are silent meanwhile where the provider keeps the reasoning to itself, as OpenAI's Chat
//!   Completions do: a minute or two before the first content is usual, and no sign of trouble.
//! - Providers send pings (Anthropic) or comments (OpenRouter, DeepSeek) while they queue and work, so silence on the wire
//!   says little and pings prove nothing.
//! - Anthropic's clients reckon with 128,000 tokens an hour, 28 ms a token, when they judge whether a whole answer takes
//!   too long. That is a good [`per_output_token`](Limit::per_output_token) for whole answers.

mod body;
mod call;
mod config;
mod future;
mod handle;
mod layer;
mod limits;
mod service;
mod state;
mod terms;
mod timer;

pub use config::{LimitsConfig, TimeoutConfig};
pub use future::ResponseFuture;
pub use handle::{TimeoutCounts, TimeoutHandle};
pub use layer::TimeoutLayer;
pub use limits::{Limit, Limits};
pub use service::Timeout;
