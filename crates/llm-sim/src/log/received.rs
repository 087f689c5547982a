//! What is known of one call.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use llm_core::Usage;

/// One call that a simulated provider received. Cloning copies a few pointers.
///
/// The log is bounded: of older calls it drops headers and body, see [`log_bytes`](crate::SimConfig::log_bytes).
/// `Debug` shows neither the body nor the values of headers.
#[derive(Clone)]
pub struct Received {
    /// When its request was there.
    pub at: SystemTime,
    /// Where it went over http, such as `/v1/chat/completions` or `/v1/messages`, without the query, its first 256
    /// bytes; empty for a call of the service.
    pub path: Arc<str>,
    /// The model it asked for, if it could be read; the first 256 bytes of the name.
    pub model: Option<Arc<str>>,
    /// The http headers. The values of those that hold keys are replaced. Empty once they are dropped.
    pub headers: Arc<HeaderMap>,
    /// The name of the key that was used, if it is one of the configured ones.
    pub key: Option<Arc<str>>,
    /// The http body as it came. Empty once it is dropped: it is whole if it is as long as `body_bytes`.
    pub body: Bytes,
    /// How long the http body was, in bytes, whether or not the log still has it.
    pub body_bytes: usize,
    /// How many tokens of the answer had been sent when this was looked up.
    pub tokens_sent: u64,
    /// What it would be billed for when this was looked up: its prompt, and the output that had been sent. Absent for a
    /// call that the model did not begin to answer.
    pub usage: Option<Usage>,
    /// How it ended; absent while it has not.
    pub ended: Option<Ended>,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

/// How a call ended, as the provider saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The answer was sent whole. Refusals that nobody scripted are answers too.
    Complete,
    /// The caller went away.
    CallerLeft {
        /// Tokens that had been sent by then.
        after_tokens: u64,
    },
    /// As a fault script has it: with an error, a cut, or an answer without its end.
    Faulted,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("at", &self.at)
            .field("path", &self.path)
            .field("model", &self.model)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("key", &self.key)
            .field("body_bytes", &self.body_bytes)
            .field("tokens_sent", &self.tokens_sent)
            .field("usage", &self.usage)
            .field("ended", &self.ended)
            .field("ended_at", &self.ended_at)
            .finish()
    }
}
