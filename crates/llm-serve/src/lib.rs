//! Front doors: http services that let clients of the official SDKs call any `Service<LlmRequest>`.
//!
//! A door turns an http request into an [`LlmRequest`](llm_core::LlmRequest), calls the service behind it, and answers
//! in the client's own dialect, OpenAI's or Anthropic's, errors included. It is a tower service itself: put it into
//! axum with `route_service`, `nest_service` or `fallback_service`, or into bare hyper with `TowerToHyperService`, and
//! put tower-http layers around it. The alternative, a server with routes of its own, would leave hosts nothing to
//! compose.
//!
//! # Where it goes
//!
//! Outermost, right behind the http server. A middleware of the host's before it checks the caller's key and puts an
//! [`llm_core::Caller`], and if it likes an [`llm_core::AllowedModels`], an [`llm_core::Sensitivity`] and an
//! [`llm_core::CacheDirective`], into the http request's extensions. The door never takes identity from headers or body.
//! No header of the caller's goes on to a provider; only the features that a caller turns on with `anthropic-beta` become
//! part of a request in Anthropic's dialect, as [`Betas`](llm_wire::anthropic::Betas) in its extensions. The listener
//! should set `TCP_NODELAY`, or a client's first event waits some 40 ms for the acknowledgement of the head.
//!
//! # Example
//!
//! ```
//! use http_body_util::BodyExt;
//! use llm_core::{Error, LlmRequest, LlmResponse, Output};
//! use llm_serve::Door;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let model = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("Blue."))) });
//! let door = Door::chat_completions(model);
//!
//! let body = r#"{"model":"any","messages":[{"role":"user","content":"Which colour has the sky?"}]}"#;
//! let request = http::Request::post("/v1/chat/completions").body(body.to_owned()).unwrap();
//! let response = door.oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//!
//! let answer = response.into_body().collect().await.unwrap().to_bytes();
//! assert!(String::from_utf8_lossy(&answer).contains(r#""content":"Blue.""#));
//! # }
//! ```
//!
//! # Behaviour
//!
//! - **Ready**: always. A clone of the inner service is readied once the request has been understood.
//! - **Request**: size, time, media type and JSON are checked, and what is wrong is told in a 4xx at once. Model names
//!   are not: the inner service knows which it serves.
//! - **Patience**: `x-stainless-retry-count` lowers the call's allowance by the retries that the SDK has already made;
//!   `x-stainless-read-timeout` or `x-stainless-timeout`, and a second more, becomes the read timeout, so that clients
//!   give up by themselves; `grpc-timeout` becomes the deadline, and `traceparent` a
//!   [`TraceParent`](llm_core::TraceParent) in the extensions.
//! - **Hints**: `x-llm-tags` (words with commas), `x-llm-intent` and `x-llm-sensitivity: sensitive` become those of the
//!   context, for routing rules; `x-llm-workflow` and `x-llm-job` say what the call is for, where the caller's key does not.
//!   A hint is a word of visible ASCII; anything else is a 400. None can undo what the host has decided.
//! - **Caching**: `cache-control` says how a cache is to treat the request (RFC 9111): `no-cache`, `no-store`,
//!   `only-if-cached`, `max-age=SECONDS`; and in `x-llm-cache` stand `force`, to use the cache for a request that may be
//!   answered differently each time, and `ttl=SECONDS`, for how long the answer may be kept. They add to the host's
//!   [`llm_core::CacheDirective`].
//! - **Dialect**: that of the path, whatever the headers say; [`Door::new`] tells about paths that both have. Any
//!   provider may answer: `anthropic-version` and `?beta=true` change nothing.
//! - **Whole answers** of a provider of the same dialect are the provider's own bytes, else they are encoded. A service
//!   that streams although it was asked for a whole answer is read to its end, and the other way round.
//! - **Streams** are server-sent events. Their head waits for the first content, so that a failure before it is a
//!   status ([`DoorOptions::head_after`] bounds the wait). From then on each frame of the same dialect is written as it
//!   came, by itself, at once, and a failure is an error within the stream, without `[DONE]` or `message_stop` and
//!   without a finish reason; the body then ends cleanly.
//! - **Silence** on a stream is filled with comments, or with the pings that Anthropic's clients know
//!   ([`DoorOptions::heartbeat`]), also while the answer is still awaited, once the head has gone out early
//!   ([`DoorOptions::head_after`]).
//! - **Dropped**: the future and the body hold the call and nothing else does, so a client that leaves cancels it at
//!   once. A door spawns nothing.
//!
//! # Headers
//!
//! | on | header | says |
//! |---|---|---|
//! | all | `x-request-id` | the request's own, or the id of the call |
//! | all, Anthropic's | `request-id` | the same; failures have it in the body's `request_id` too |
//! | all calls | `x-llm-call-id` | the id of the call, the same for all its attempts |
//! | | `x-llm-attempts` | how many attempts the call's trail knows of so far; what a layer refused is none |
//! | | `x-llm-trail` | the attempts, once there was more than a first one that went well: a list of structured fields, such as `"openai/gpt-5";end=overloaded, "local/llama";why=failover;waited=250;end=complete`, with the wait in milliseconds |
//! | | `x-llm-target` | `provider/model` that answers or failed |
//! | | `x-llm-cost-usd` | what the call cost, on whole answers and failures, where every price is known |
//! | answers | `x-llm-served` | `first-choice`, `substitute` or `degraded` |
//! | | `x-llm-cache` | `hit`, `miss`, `joined` or `stale`, where a cache was asked |
//! | | `age` | how old a kept answer is, in seconds (RFC 9111) |
//! | failures | `x-llm-error-kind` | the [`ErrorKind`](llm_core::ErrorKind) in snake case |
//! | | `x-llm-error-origin` | `caller`: the request was at fault; `gateway`: a refusal or fault of our own; `upstream`: a provider refused or failed |
//! | | `x-should-retry` | whether the client should send the same request again; `false` once our own attempts are used up |
//! | | `retry-after`, `retry-after-ms` | when, where that is known, in seconds and milliseconds rounded up |
//!
//! [`DoorOptions::provenance_headers`] leaves out those of calls and answers. [`Door::remaining`] adds what is left of limits and
//! budgets.
//!
//! # Clone
//!
//! Clones share the inner service as far as its own clones do, and the [`ModelList`].
//!
//! # Errors
//!
//! None: every failure is a response. Kinds get the status of their [`Class`](llm_core::Class), except that Anthropic's
//! clients get a 529 where a provider is overloaded. A door itself answers 404 for an unknown path, 405 with `allow`,
//! 408 for a slow body, 413, 415 and 431, and 400 for what it cannot read.
//!
//! # Sources
//!
//! OpenAI API reference (Chat Completions, Embeddings, Models); Anthropic API reference (Messages, Count tokens, Models,
//! Errors, Streaming messages); WHATWG HTML, server-sent events; the retry and timeout headers of the SDKs of both; gRPC
//! over HTTP/2 (`grpc-timeout`); W3C Trace Context.

mod body;
mod dialect;
mod directive;
mod door;
mod endpoint;
mod exchange;
mod future;
mod heartbeat;
mod hints;
mod intake;
mod models;
mod options;
mod page;
mod refusal;
mod refuser;
mod remaining;
mod responder;
mod stream;
mod told;

pub use body::DoorBody;
pub use door::Door;
pub use future::ResponseFuture;
pub use llm_wire::ModelInfo;
pub use models::{ModelList, Models};
pub use options::DoorOptions;
pub use refuser::Refuser;
pub use remaining::{Remaining, RemainingBudget};
