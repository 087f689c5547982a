//! What the owner of a door may decide.

use std::{num::NonZeroU32, time::Duration};

/// How a door treats its callers. One value serves every door of a host.
///
/// ```
/// # use std::time::Duration;
/// use llm_serve::DoorOptions;
///
/// let options = DoorOptions::new().max_body_bytes(4 * 1024 * 1024).heartbeat(Duration::from_secs(5));
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a door gets them"]
pub struct DoorOptions {
    pub(crate) max_body_bytes: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) head_after: Option<Duration>,
    pub(crate) provenance_headers: bool,
    pub(crate) cost_comment: bool,
    pub(crate) attempts: NonZeroU32,
}

impl Default for DoorOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl DoorOptions {
    /// The defaults, each explained at its setter.
    pub const fn new() -> Self {
        Self {
            max_body_bytes: 32 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            head_after: Some(Duration::from_secs(20)),
            provenance_headers: true,
            cost_comment: false,
            attempts: NonZeroU32::new(3).expect("three is not zero"),
        }
    }

    /// The largest request body in bytes; a larger one gets 413, as soon as its length is known. Defaults to 32 MiB,
    /// which is what providers take too (Anthropic API reference: 32 MB).
    pub const fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// How long a caller may take to send the whole body; a slower one gets 408. Defaults to 30 seconds, in which a
    /// line of 9 Mbit/s carries the largest body.
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// After how much silence on a stream a comment or ping is sent, so that nobody on the way takes it for dead. Defaults
    /// to 15 seconds: proxies give up after 30 or more, and the HTML standard advises about 15. Zero turns it off.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How long a stream's head may be held back for an answer. After that it is sent, with heartbeats, and a failure
    /// can no longer be a status: it comes within the stream. Defaults to 20 seconds, which nearly all failures beat
    /// and no common proxy finds too long. Zero sends it at once, `None` waits without end.
    pub const fn head_after(mut self, wait: Option<Duration>) -> Self {
        self.head_after = wait;
        self
    }

    /// Whether answers tell where they come from, in the `x-llm-*` headers of the [crate docs](crate). On by default.
    pub const fn provenance_headers(mut self, on: bool) -> Self {
        self.provenance_headers = on;
        self
    }

    /// Whether a stream ends with a comment that tells its cost, `: llm-cost-usd 0.000012345`, where it is known.
    /// Off by default: no client reads it unless it was written to.
    pub const fn cost_comment(mut self, on: bool) -> Self {
        self.cost_comment = on;
        self
    }

    /// The most calls to providers that one request may cause in all: its first, and what retry, hedge and failover add.
    /// Defaults to 3, since the official SDKs retry twice too. A caller whose SDK has retried already gets that many
    /// fewer, and at least one.
    pub const fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }
}
