//! What can go wrong with a call.

mod rule;
mod script;

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};

pub use self::{
    rule::{CallRange, FaultRule},
    script::{FaultScript, ScriptError},
};

/// One thing that goes wrong. [`FaultScript`] has the spelling of each.
///
/// Tokens are counted over all choices of an answer. Where a fault comes after more tokens than the answer has, it
/// comes after the last one, before the finish reason. In a whole answer (no stream) a point after *k* of *n* tokens
/// is after *k/n* of the bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Another status than 200, with headers and a body.
    Status(StatusFault),
    /// Status 200 with an error object of this code for a body. A code is one of OpenAI's (`server_is_overloaded`) or a
    /// type of Anthropic's (`overloaded_error`); the caller's dialect has its own word for it, and an unknown one is
    /// handed on.
    ErrorBody(String),
    /// A wait before everything else, the first token included.
    Delay(Duration),
    /// From this point on nothing more comes, and the connection stays open.
    Hang(Point),
    /// The connection is closed at this point, in the middle of the message.
    Cut(Point),
    /// The connection is reset at this point: TCP RST on HTTP/1, the stream and its connection on HTTP/2.
    Reset(Point),
    /// An error object of this code inside the stream, which then ends without its terminal event. A whole answer
    /// cannot hold one and becomes an [`ErrorBody`](Self::ErrorBody).
    ErrorEvent {
        /// The code, as for [`ErrorBody`](Self::ErrorBody).
        code: String,
        /// Tokens that come before it.
        after: u64,
    },
    /// The message ends as if all were well, but without finish reason, usage and terminal event. A whole answer is
    /// JSON that stops in the middle.
    End {
        /// Tokens that come before it.
        after: u64,
    },
    /// A frame of broken JSON and invalid UTF-8. The rest of the answer follows.
    Garbage {
        /// Tokens that come before it.
        after: u64,
    },
    /// A wait in the middle of the answer.
    Stall {
        /// How long.
        wait: Duration,
        /// Tokens that come before it.
        after: u64,
    },
    /// Every byte of the body is written by itself.
    OneByteWrites,
    /// The head, and then pings without end: comments or `ping` events in a stream, line ends before a whole answer.
    Pings {
        /// The time between two.
        every: Duration,
    },
}

/// A point in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the response head.
    BeforeHead,
    /// After the head and this many tokens.
    AfterTokens(u64),
}

/// A status instead of an answer. `Debug` shows the names of the headers only.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusFault {
    /// The status.
    pub status: StatusCode,
    /// Headers besides the usual ones.
    pub headers: HeaderMap,
    /// The body. Absent: the error object that the provider sends with this status, in the caller's dialect.
    pub body: Option<String>,
}

impl fmt::Debug for StatusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusFault")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.as_ref().map(String::len))
            .finish()
    }
}

impl Fault {
    /// A status without headers of its own, and with the error object that belongs to it.
    pub fn status(status: StatusCode) -> Self {
        Self::Status(StatusFault { status, headers: HeaderMap::new(), body: None })
    }
}
