//! The wire formats of model providers, as plain functions from bytes to the types of [`llm_core`] and back.
//!
//! Nothing here reads a socket or waits: bytes go in, types come out, and the edges (`llm-providers`, `llm-serve`,
//! `llm-sim`) bring the sockets. Every decoder takes bytes from strangers, so each has bounds and a fuzz target.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use llm_wire::{EncodeOptions, openai};
//!
//! # fn main() -> Result<(), llm_core::Error> {
//! let body = Bytes::from_static(br#"{"model":"small", "messages":[{"role":"user","content":"hi"}], "x":1.50}"#);
//! let request = openai::decode_chat(body)?;
//! assert_eq!(request.model(), "small");
//!
//! // The provider gets the caller's own bytes, unknown fields and odd spellings included; only the model is replaced.
//! let sent = openai::encode_request(&request, &EncodeOptions::new("small-2025-01-01"))?;
//! assert_eq!(sent, r#"{"model":"small-2025-01-01", "messages":[{"role":"user","content":"hi"}], "x":1.50}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | [`sse`] | server-sent events: bytes to frames and back |
//! | [`anthropic`] | Messages, token counting and Models of Anthropic |
//! | [`openai`] | Chat Completions, Embeddings and Models of OpenAI and everything compatible with them |
//! | [`error`] | failed answers of any provider, by the shape of their body |
//! | [`headers`] | rate limits, retry advice and request ids in the headers of any provider |
//! | [`translation`] | what becomes of each field between two dialects |
//!
//! # Bounds
//!
//! JSON deeper than 128 levels, and objects we interpret that have a field twice or more than 256 fields, are refused,
//! and so are requests for a model whose name is longer than 256 bytes.
//! A stream frame larger than 16 MiB is refused unless the [decoder](sse::Decoder::with_limit) is told otherwise.
//! Errors name the field that is wrong, never its value.

pub mod anthropic;
mod counts;
mod edits;
pub mod error;
pub mod headers;
mod json;
mod limits;
mod models;
pub mod openai;
mod options;
mod refusal;
pub mod sse;
mod stream_error;
#[doc = include_str!("../TRANSLATION.md")]
pub mod translation {}

pub use models::ModelInfo;
pub use options::EncodeOptions;
