//! Answers a question that was answered before, and asks one that many ask at once only once.
//!
//! A model that is asked the same at temperature zero answers the same, for seconds and for money each time. The usual
//! cache of responses does not fit: answers come as streams, of which the clean end is all that tells a whole one from a
//! broken one, and a question has many spellings. So the key here is made of what a request *means*, an answer is kept
//! when its stream has ended well, and one call serves all who ask while it is under way, streamed or whole. Caching the
//! bytes of http exchanges was the alternative; it knows neither tenants nor dialects, and keeps what was cut.
//!
//! Beside this layer stands a small one for the caches of providers, which keep prompts and not answers: [`prompt`].
//!
//! # Where it goes
//! Below limits on callers, which count hits too, and above the router and everything that calls: a hit runs nothing of it,
//! also while circuits are open, and costs nothing. What decides where a call goes (intent, tags, sensitivity, the models
//! that its caller may use) has to be in the context before, since it is part of the question. Below a router it keeps the
//! answers of each target apart. Below whatever calls again, a second attempt would be answered by the first one's answer.
//!
//! # Example
//!
//! ```
//! use llm_cache::CacheLayer;
//! use llm_core::{CacheStatus, Error, LlmRequest, LlmResponse, Output};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let model = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("Rayleigh scattering."))) });
//! let cache = CacheLayer::new();
//! let handle = cache.handle();
//! let service = ServiceBuilder::new().layer(cache).service(model);
//!
//! let ask = || LlmRequest::chat("gpt-4o").user("Why is the sky blue?").temperature(0.0);
//! let first = service.clone().oneshot(ask().build()).await?;
//! assert_eq!(first.head.cache, CacheStatus::Miss);
//!
//! // What was kept of a whole answer is streamed for who asks for a stream.
//! let second = service.oneshot(ask().stream().build()).await?;
//! assert!(matches!(second.head.cache, CacheStatus::Hit { .. }));
//! assert_eq!(second.body.collect().await?.first_text(), "Rayleigh scattering.");
//! assert_eq!((handle.counts().hits, handle.counts().misses), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready. A clone of the inner service is readied in the future, so a hit is served also when the
//!   inner service never gets ready.
//! - At `call`: a chat at temperature zero, a request for embeddings, and what its caller says to [force] have to do with
//!   the cache; all else passes it by. What is kept of the question is the answer if it is good. If it has expired it still
//!   is for [a while](CacheLayer::stale_while_revalidate), and is renewed meanwhile by a call of its own in a task, one for
//!   each question and not [too many](CacheLayer::renewals).
//! - Else the call is made, or joined if the same one is under way. Nobody's task drives it but those of its readers, each
//!   whenever it is polled. The call is that of whoever made it: it counts on that trail and is paid by those accounts, and
//!   to those who joined it is unpaid. It is made without its caller's deadline, which here ends that caller's waiting.
//! - At the response head: it is held back until content. If the call fails before, what has expired is the answer
//!   ([`stale_if_error`](CacheLayer::stale_if_error)); failing that, those who joined meet once more, and one of them calls.
//! - In the stream: each frame is handed on when it comes. Whoever joins late reads first what has come already.
//! - At the end of the stream: a complete answer is kept that is not [`Refused`] for a reason, before its call leaves the
//!   table of those under way. A failure after content reaches everybody who reads, and nothing is kept.
//! - When dropped: whoever leaves is missed by nobody. With the last reader the call ends at once, and the inner service
//!   sees it abandoned.
//!
//! No more of an answer is held while it comes than an [entry](CacheLayer::entry_limit) may have. Beyond that nobody joins,
//! nothing is kept, and a reader who is further behind fails with an error in its stream.
//!
//! Of embeddings each input is kept by itself: a batch asks for those that are missing, and each of those once. They are not
//! renewed early, since they do not change while a model does not.
//!
//! [force]: llm_core::CacheDirective::force
//!
//! # What is the same question
//! [`Key`] is made of every field that can change the answer, taken apart to the last one, whatever the order of keys, the
//! spelling or the dialect: the model, messages with all their parts, tools, sampling, limits, and unknown fields with their
//! dialect. To it belong the tenant ([`Scope`]), and what routes go by: target, workflow, intent, tags, sensitivity and
//! allowed models. Whether the answer is streamed is no part of it, nor are marks for providers' prompt caches, nor fields
//! that are [known or declared](CacheLayer::irrelevant_fields) to make no difference. What stands in a request's extensions
//! is not known here: where it changes answers, as Anthropic's beta features do, [`CacheLayer::vary`] has to say so.
//!
//! # Clone
//! Clones of a service, all services of one layer value, and the handles of both share what is kept and what is under way.
//! A setter makes a layer with a cache of its own, but for a [store](CacheLayer::store) that it was given.
//!
//! # Errors
//! [`NoRoute`](llm_core::ErrorKind::NoRoute) for a call that is to be answered by what is kept
//! ([`only_if_cached`](llm_core::CacheDirective::only_if_cached)) when nothing is;
//! [`DeadlineExceeded`](llm_core::ErrorKind::DeadlineExceeded) when a caller's deadline passes while others wait on;
//! [`Interrupted`](llm_core::ErrorKind::Interrupted) for a reader too far behind;
//! [`Undecodable`](llm_core::ErrorKind::Undecodable) for a batch answered with another number of vectors than were asked
//! for. All else passes unchanged; a failure of a call that many wait for reaches each of them.
//!
//! # Sources
//! - Directives, and answers that are stale while they are renewed or if there is an error: RFC 9111 and RFC 5861.
//! - Which entries stay: Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy" (2017), in
//!   `moka`.
//! - One call for all who ask: the `singleflight` package of Go's groupcache, which knows no streams.
//! - The hash: BLAKE3 (O'Connor, Aumasson, Neves and Wilcox-O'Hearn, 2020).

mod admission;
mod batch;
mod boarding;
mod canonical;
mod config;
mod counts;
mod entry;
mod failures;
mod flight;
mod future;
mod handle;
mod key;
mod layer;
mod meaning;
mod memory;
mod plan;
pub mod prompt;
mod recorder;
mod recording;
mod renewal;
mod replay;
mod rule;
mod service;
mod shared;
mod store;
mod tokens;
mod weight;

pub use admission::Refused;
pub use config::{CacheConfig, ReplayConfig};
pub use counts::CacheCounts;
pub use entry::Entry;
pub use future::ResponseFuture;
pub use handle::CacheHandle;
pub use key::{Key, Scope};
pub use layer::CacheLayer;
pub use memory::MemoryStore;
pub use replay::Replay;
pub use rule::{CacheRule, CacheRuleConfig, Use};
pub use service::Cache;
pub use store::{Selection, Store, StoreSize};
