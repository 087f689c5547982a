//! Says what a request is about, and whether it may leave the house, for the layers below.
//!
//! Which model is good enough depends on what is asked, and what may be sent to whom on what is in it. If every rule
//! looked for itself, the router would read each prompt as often as it has rules, and the cache and the fallback would
//! come to answers of their own. So it is found out once, at the top, and written into the request's
//! [context](llm_core::Context): an [intent](llm_core::Context::intent) and a
//! [sensitivity](llm_core::Context::sensitivity). Asking a model was the alternative; that takes a call before the call,
//! and sends away what was to be kept.
//!
//! # Where it goes
//! At the top, above fallback, so that all that goes by intent or sensitivity stands below it. Below retry or a router it
//! would judge each attempt anew, and too late for those above it.
//!
//! # Example
//!
//! ```
//! use llm_classify::{ClassifyLayer, Patterns};
//! use llm_core::{Body, Error, Head, LlmRequest, LlmResponse, Output, Sensitivity};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let model = service_fn(|request: LlmRequest| async move {
//!     assert_eq!(request.context().sensitivity(), Sensitivity::Sensitive);
//!     Ok::<_, Error>(LlmResponse::new(Head::default(), Body::full(Output::text("Done."))))
//! });
//!
//! let layer = ClassifyLayer::new().detector(Patterns::all());
//! let handle = layer.handle();
//! let stack = ServiceBuilder::new().layer(layer).service(model);
//!
//! stack.oneshot(LlmRequest::chat("gpt-4o-mini").user("Write to jane@example.com.").build()).await?;
//! assert_eq!(handle.counts().findings_of("email"), 1);
//! # Ok(())
//! # }
//! ```
//!
//! In a configuration file it is a [`ClassifyConfig`].
//!
//! # Behaviour
//! - At `poll_ready`: as the inner service.
//! - At `call`: where the context has no intent yet, the [`Classifier`] is asked, such as the built-in [`IntentModel`], and
//!   what it says is written into it. An intent that a door or the caller has set stays. Where it abstains there is none.
//!   Either is logged at debug. Whoever writes the prompt can steer what it is taken for: an intent may choose a model,
//!   and must not decide what a caller may do.
//! - Then, while the request is not sensitive: it becomes so if its tenant is among
//!   [`sensitive_tenants`](ClassifyLayer::sensitive_tenants), or if a [`Detector`] finds something in one of its texts.
//!   Nothing ever makes it less sensitive. What was found is logged at debug by kind and call id, and counted; the text is
//!   neither.
//! - A detector that panics makes the request sensitive, because nobody knows what it would have found. A classifier that
//!   panics has abstained. Both are logged as warnings, and the call goes on.
//! - The future, the response and its stream are the inner service's own.
//!
//! Detectors are shown every text that is sent: messages of all roles, instructions, tool calls and results, names,
//! descriptions and schemas, inputs of embeddings, and fields that have no type here, as JSON. Each text is shown by
//! itself and as it is written, JSON with its escapes. **Not looked into** are pictures, sound, documents and the
//! addresses of these, token ids, ids of calls, and reasoning that a provider has encrypted. Where those matter, name the
//! tenant as sensitive or mark the request at the door.
//!
//! # The built-in patterns
//! [`Patterns`] find what has a form: mail addresses, telephone numbers, cards, accounts, national numbers, keys. They
//! cannot find names, addresses of houses, diagnoses, or a number that is written out or spread over texts, and so they
//! are no proof that a request may leave; they are a net with known holes. What form and check digits leave hardly to
//! chance is found wherever it stands; the rest only in a form that is unusual otherwise, or near a word that says what
//! it is. [`Pattern`] says which is which. In 26 MB of source code from the registry some 300 lines were found: mail
//! addresses, passwords in URLs, numbers that tests take for real ones, and two dumps of bytes whose pairs of digits
//! look like a French telephone number.
//!
//! A text is looked at as it is and, where it has any of these, once more with digits of Arabic, Persian, Devanagari,
//! Bengali, Thai and full width as plain ones, dashes and spaces of all widths as a hyphen and a space, escapes of JSON as
//! what they stand for, and without what cannot be seen.
//!
//! The search takes one pass: an automaton of the first letters and digits (`aho-corasick`) stops where something could
//! begin, and what is there is looked at in place. No pattern goes back or far, so the work grows with the text and no
//! faster. Prose takes 20 instructions a byte (16 of them in the automaton), code 70; lists of numbers that could all be
//! something take up to about 1,000, which is the most that is known, 26 bytes looked at for each. Nothing is allocated,
//! but for the plain copy of a text that has something to be read otherwise, which is searched like another text.
//!
//! What was taken from crates and what was not: `aho-corasick` and `iban_validate` are (the register of IBANs changes, and
//! that crate follows it). One large expression for `regex` was the alternative; it can neither check a digit nor look
//! for a word nearby, must be searched anew behind each candidate that fails, and keeps a cache for each thread.
//! `phonenumber` knows each country's numbering plan, and brings a megabyte of it and a dozen crates; `card-validate` wants
//! the number cut out, and `regex`; `email_address` wants the address cut out. Luhn, Verhoeff and ISO 7064 are a few
//! lines each. Crates for single countries' numbers are by one author each, and want the number cut out too.
//!
//! # Clone
//! Clones of a service, all services of one layer value, and the handles of both share classifier, detectors and counts.
//! A setter makes a layer with counts of its own.
//!
//! # Errors
//! None of its own. All errors pass unchanged.
//!
//! # Sources
//! - Cards: ISO/IEC 7812-1 (Luhn's check digit), prefixes and lengths as the networks publish them.
//! - Accounts: ISO 13616 and SWIFT's IBAN Registry.
//! - Telephones: ITU-T E.164 and its list of country codes, the North American Numbering Plan, Ofcom's National Telephone
//!   Numbering Plan.
//! - Mail: RFC 5321 and RFC 1035 for lengths. The form is narrower than theirs: quoted local parts and hosts without a dot
//!   are not found.
//! - National numbers: US Social Security Administration, POMS RM 10201.035; HMRC, National Insurance Manual NIM39110;
//!   Spain, Ministerio del Interior on the letter of DNI and NIE; France, INSEE on the NIR; Germany, Bundeszentralamt für
//!   Steuern on the Steuer-ID and ISO 7064 MOD 11,10; Italy, decree of 23 December 1976; Netherlands, Logisch Ontwerp BSN;
//!   Poland, act on the register of population of 2010, article 15; Sweden, Skatteverket SKV 704; Brazil, Receita Federal
//!   on the CPF; India, UIDAI, "A UID Numbering Scheme", and Verhoeff, "Error detecting decimal codes" (1969); China,
//!   GB 11643-1999 and ISO 7064 MOD 11-2.
//! - Keys: the issuers' documentation of their forms. JSON Web Tokens: RFC 7519. Private keys: RFC 7468.

mod classifier;
mod config;
mod counts;
mod detector;
mod handle;
pub mod intent;
mod layer;
mod patterns;
mod service;
mod shared;
mod texts;

pub use classifier::{Classifier, Guess};
pub use config::{ClassifyConfig, DetectConfig, IntentConfig, IntentSettings};
pub use detector::{Detector, Finding};
pub use handle::{ClassifyCounts, ClassifyHandle};
pub use intent::IntentModel;
pub use layer::ClassifyLayer;
pub use patterns::{Pattern, Patterns};
pub use service::Classify;
