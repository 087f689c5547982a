//! The vocabulary of language-model calls: one request, one response, one stream, one outcome, one error.
//!
//! Everything in this workspace speaks these types. A service that calls models is a tower service from
//! [`LlmRequest`] to [`LlmResponse`], and a layer is a tower layer between two of them.
//!
//! The idea behind all of it: **a call is over when its stream ends, not when its head arrives.** A [`Body`] therefore
//! reports exactly one [`Outcome`] to everyone who [observes](Observer) it: complete, failed, or abandoned.
//!
//! # Example
//!
//! ```
//! use llm_core::{Error, LlmRequest, LlmResponse, Output, Outcome};
//! use tower::{Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let model = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("Rayleigh scattering."))) });
//!
//! let request = LlmRequest::chat("gpt-4o-mini").user("Why is the sky blue?").build();
//! let response = model.oneshot(request).await?;
//! let body = response.body.on_end(|outcome| assert!(matches!(outcome, Outcome::Complete(_))));
//! assert_eq!(body.collect().await?.first_text(), "Rayleigh scattering.");
//! # Ok(())
//! # }
//! ```
//!
//! A layer of one's own is written in the guide `guides/write-your-own-layer.md` of the repository, and a provider of
//! one's own in `examples/own_provider.rs`.
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | what is asked | [`LlmRequest`], [`Chat`], [`Embed`], [`Context`] |
//! | what is answered | [`LlmResponse`], [`Body`], [`Frame`], [`Event`], [`Output`] |
//! | how it ended | [`Outcome`], [`Progress`], [`Observer`], [`watch()`], [`watch_end()`], [`Commit`] |
//! | what it cost | [`Usage`], [`NanoUsd`], [`Price`], [`catalog::Catalog`], [`estimate_prompt`] |
//! | what went wrong | [`Error`], [`ErrorKind`], [`Class`] |
//! | where it went | [`Target`], [`PerTarget`], [`Overrides`], [`Trail`] |
//! | how to operate it | [`Notice`], [`Measures`], [`Health`], [`clock`] |
//! | what layers keep | [`Striped`], [`Copies`], [`Keyed`], [`Random`] |

mod accumulate;
mod body;
mod call;
pub mod catalog;
mod chat;
pub mod clock;
mod commit;
mod config;
mod context;
pub mod duration;
mod embed;
mod error;
mod estimate;
mod event;
mod frame;
mod json;
mod keyed;
mod kind;
mod money;
mod one_or_many;
mod operate;
mod outcome;
mod output;
mod overrides;
mod part;
mod price;
mod random;
mod request;
mod response;
mod service;
mod striped;
mod target;
pub mod tokens;
mod trace;
mod usage;
mod watch;

pub use accumulate::Accumulator;
pub use body::Body;
pub(crate) use call::Call;
pub use call::{Again, AttemptEnd, AttemptRecord, CallId, Trail};
pub use chat::{
    Chat, Function, JsonSchema, Message, ReasoningEffort, ResponseFormat, Role, Sampling, Stop, Thinking, Tool,
    ToolChoice, ToolKind,
};
pub use commit::{Commit, CommitFuture, Held, HoldBack, UntilContent};
pub use config::ConfigError;
pub use context::{AllowedModels, Attempt, CacheDirective, Caller, Context, Sensitivity};
pub use embed::{Embed, EmbedInput, VectorEncoding};
pub use error::{Detail, Error, Stage};
pub use estimate::{count_prompt, estimate_prompt, rough_prompt};
pub use event::{Event, FinishReason, ReasoningDelta, Start, ToolCallDelta};
pub use frame::{ChoiceEvent, Dialect, Frame, Wire};
pub use json::{Extra, Json};
pub use keyed::{Equivalent, Keyed};
pub use kind::{Breaker, Class, Elsewhere, ErrorKind, Phase, Retry};
pub use money::*;
pub use one_or_many::OneOrMany;
pub use operate::{Health, HealthState, Measure, Measures, Notice, NoticeListener, Notices, Severity};
pub use outcome::{Observer, Outcome, Progress};
pub use output::{ChatOutput, Choice, EmbedOutput, Output, TokenCount, Vector};
pub use overrides::Overrides;
pub use part::{
    Audio, CacheTtl, File, Image, Other, Part, PartContent, Reasoning, Source, ToolCall, ToolCallKind, ToolResult,
};
pub use price::*;
pub use random::Random;
pub use request::{ChatBuilder, LlmRequest, Payload};
pub use response::{CacheStatus, Head, LlmResponse, Quota, RateLimits, Served};
pub use service::BoxLlmService;
pub use striped::{Copies, Striped};
pub use target::{PerTarget, Target, TargetRef};
pub use tokens::{TextCount, TokenCounter, TokenEstimate, TokenFamily};
pub use trace::TraceParent;
pub use usage::{Provenance, Usage};
pub use watch::{Watch, watch, watch_end};
