//! What a provider does, over an http client that answers from a script.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong, also in its helpers")]

mod answer;
mod anthropic;
mod request;
mod speech;
mod stream;
mod support;
