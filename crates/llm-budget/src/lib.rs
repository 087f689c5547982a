//! Spend caps that hold: reserved before a call, settled on its outcome.
//!
//! A count that is looked at before a call and raised after it lets everyone through who comes in between: with 64 calls
//! under way, several times the cap. Here each call first sets aside what it may cost in every account that it is held to,
//! or is refused, and when it is over it pays what it did cost: when its stream has ended, not when its head arrives, and
//! also when it failed or somebody left. Counting after the fact was the alternative; it is cheaper, and no cap.
//!
//! How often callers may call, and how many tokens a minute they may use, is for the layer in [`limit`].
//!
//! # Where it goes
//! Below router, retry and hedge, and above the breaker: only there is the target known and so the price, and every attempt
//! is paid for by itself. A refused call then goes to the next target, which may be cheaper. Elsewhere:
//! - Without a target in the context the layer stands above whoever chooses one. It sets aside what the requested model
//!   costs, under the catalogue's facts for that name whatever the provider, and settles **what was paid**: the cost of
//!   every attempt that the trail has at the end and did not have before. A dearer target is booked in full, as debt if need
//!   be. [`Covers`] says so for other stacks, such as one with a target and a retry below. Below a hedge such a call is there
//!   twice at the same time, and each of the two books what the other costs as well: more than is paid, never less.
//! - An answer for which no provider was paid (out of a cache, made up by a fallback) costs nothing, wherever the layer
//!   stands; attempts that were made before it do.
//! - Counting tokens is free, and goes through.
//!
//! # Example
//!
//! ```
//! use llm_budget::{AccountKey, BudgetLayer, Cap, CapRule, Per, Window};
//! use llm_core::{Caller, Error, ErrorKind, LlmRequest, LlmResponse, Output, Target, Usage};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = service_fn(|_: LlmRequest| async {
//!     let mut answer = Output::text("Rayleigh scattering.");
//!     answer.set_usage(Usage::reported(12, 1_000));
//!     Ok::<_, Error>(LlmResponse::from(answer))
//! });
//! let budget = BudgetLayer::new([CapRule::new("per-tenant", Per::TENANT, Cap::new("0.05".parse()?, Window::DAY))]);
//! let handle = budget.handle();
//! let mut service = ServiceBuilder::new().layer(budget).service(model);
//!
//! let mut request = LlmRequest::chat("gpt-4o").user("Why is the sky blue?").max_output_tokens(4_000).build();
//! request.context_mut().set_target(Target::new("openai", "gpt-4o"));
//! request.context_mut().set_caller(Caller::tenant("acme"));
//! service.ready().await?.call(request.clone()).await?;
//! let error = service.ready().await?.call(request).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
//! assert!(error.retry_after().is_some());
//! let account = AccountKey { tenant: Some("acme".into()), ..AccountKey::new("per-tenant") };
//! assert_eq!(handle.account(&account).expect("it has begun").balances[0].spent.to_string(), "$0.01003");
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - At `poll_ready`: always ready; whose money it is is known only in `call`. A spent budget answers at once, also when
//!   the inner service never gets ready.
//! - At `call`: works out what the call may cost and sets it aside, in all accounts of the [rules](CapRule) that concern it
//!   or in none. If one refuses, the future is ready with the error. A [ledger](Ledger) that has to ask somebody is waited
//!   for in the future. Then a clone of the inner service is readied and called.
//! - At the response head: nothing. A whole answer is over, and settled.
//! - While a stream runs: [metered](Metered) ones set aside more, see below; else nothing.
//! - At the end of the stream, or when the call fails: the real cost is booked and the rest given back. Usage is the
//!   provider's report, or an estimate of what was sent and received, and then marked so; tokens that a provider had cached
//!   cost what it charges for those.
//! - When dropped, or after a panic: settled in the same way, or not at all before the inner service is called. A layer that
//!   is always ready is called at once: whoever leaves while that one waits for its provider to get ready pays for the
//!   prompt, as does whoever leaves before the head. Whoever leaves half-way through a stream pays for the
//!   prompt and what came, by estimate: at a simulated provider, to which each word is a token, as much as it has sent, or up
//!   to a fifth and a token more (`tests/tests/budget/leavers.rs`); ordinary text is estimated within 6 % on average. What
//!   was on its way, and what the provider makes until it hears that nobody wants it, is not in it.
//!
//! **What is set aside** is the bound of the prompt's tokens and the ceiling of the output, times the number of answers, at
//! the target's price, of prompts for writing them to the provider's cache where that is dearer. Documents count for a token a
//! byte, or where only their place is known for all that the model can read. A call that states no ceiling is
//! [assumed](BudgetLayer::assumed_output) to have one, and is sent with it. Estimates are corrected, by model and intent, by
//! what providers report; a bound is only ever raised by that, to the double at most, so that no caller can make it too low
//! for others.
//!
//! **Streams** are metered unless [told otherwise](BudgetLayer::streams): what is likely is set aside, learned by model and
//! [intent](llm_core::Context::intent), and more while they run; calls that begin leave to each a third of what is likely. Of
//! $1, enough for 85 answers of log-normal length, 64 callers who all want more use 98 %, and of 83 streams none is cut, or at
//! most one once it is known how long answers are. If all that streams may come to is set aside they use 93 %, 13 at a time
//! instead of 29, and it takes them twice as long; counting afterwards lets them spend $1.79. These are means of ten crowds:
//! `METERED.md` has the table, which `cargo xtask simulate budgets` prints.
//!
//! **Invariant**: in every account at every instant `spent + reserved − debt ≤ cap`, under any concurrency, and at rest
//! nothing is reserved. Only a settlement above its reservation makes debt, and until it is covered the account is closed.
//! There is none but by
//! - what a prompt comes to above its bound, which covers 95 % of ordinary prompts, and not what tools that run at the
//!   provider find;
//! - in a metered stream, output that is billed but not seen to come, up to the ceiling: hidden reasoning, and what the
//!   estimate of the text, a fifth above the likely one, is short of; one frame, where it is larger than any before it;
//! - the [overdraft](WhenShort::Finish) that was stated;
//! - what is booked of attempts that a layer above a router did not expect.
//!
//! **Rules** are kept in any mix of tenant, user, API key, workflow, job and model ([`Per`]), for rolling windows, days,
//! months or all time ([`Window`]), hard or soft; one may stand [instead of](CapRule::instead_of) another for some callers.
//! [Operators](BudgetHandle) are told at shares of each cap, once a window. A model without a price is refused where a hard
//! cap applies; soft caps let it pass and do not count it.
//!
//! # Clone
//! Clones of a service, all services of one layer value, and the handles of both share their accounts. A setter makes a
//! layer with accounts of its own, unless it was [given a ledger](BudgetLayer::ledger) or [resumes](BudgetLayer::resuming)
//! another.
//!
//! # Errors
//! [`BudgetExceeded`](llm_core::ErrorKind::BudgetExceeded), with the name of the rule (never whose account it is), how much is
//! left unless tenants share it, the target, the trail, and the time after which there is enough if nothing else is spent; none
//! where that is not known, as while calls under way hold the rest. In a stream it comes after content, as its last item. All
//! other errors pass unchanged.
//!
//! # Sources
//! - Reserving before and settling after is the authorization and capture of card payments.
//! - The ceiling of 4,096 tokens: the most output of GPT-4 Turbo and the Claude 3 models, as OpenAI and Anthropic document
//!   them.

mod account;
mod bid;
mod books;
mod call;
mod caps;
mod cell;
mod clock;
mod concerns;
mod config;
mod future;
mod handle;
mod key;
mod layer;
mod ledger;
pub mod limit;
mod memory;
mod metered;
mod models;
mod notice;
mod per;
mod quote;
mod scope;
mod service;
mod settlement;
mod shared;
pub mod suite;
mod whose;
mod window;

pub use account::Balance;
pub use caps::{Cap, CapRule, Percent, Strictness};
pub use config::{AmountConfig, BudgetConfig, CapConfig, StreamsConfig, WhenShortConfig, WindowConfig};
pub use future::ResponseFuture;
pub use handle::{BudgetCounts, BudgetHandle};
pub use key::{AccountKey, AccountRef};
pub use layer::{BudgetLayer, Covers, Metered, Streams, WhenShort};
pub use ledger::{AccountStatus, Change, Claim, ClaimId, Claimed, Hold, Ledger, LedgerFuture, Reason, Refusal};
pub use limit::{Limit, LimitLayer};
pub use memory::MemoryLedger;
pub use models::ModelSpend;
pub use per::Per;
pub use service::Budget;
pub use settlement::Settlement;
pub use window::Window;
