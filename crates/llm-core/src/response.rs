//! The response that every layer sees.

use std::{sync::Arc, time::Duration};

use crate::{Body, Output, Target};

/// A model's answer: what is known at once, and the rest as it comes.
///
/// The call is not over when the response is there, but when its [`Body`] has ended.
#[derive(Debug)]
pub struct LlmResponse {
    /// What is known at once.
    pub head: Head,
    /// The answer.
    pub body: Body,
}

impl LlmResponse {
    /// A response.
    pub fn new(head: Head, body: Body) -> Self {
        Self { head, body }
    }

    /// Replaces the body.
    pub fn map(self, change: impl FnOnce(Body) -> Body) -> Self {
        Self { head: self.head, body: change(self.body) }
    }
}

impl From<Output> for LlmResponse {
    fn from(output: Output) -> Self {
        Self::new(Head::default(), Body::full(output))
    }
}

/// What is known of a response before its body.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The provider's id of the answer.
    pub id: Option<Arc<str>>,
    /// The model that answers, by the provider's name for it.
    pub model: Option<Arc<str>>,
    /// When the answer was begun, in seconds since 1970.
    pub created: Option<u64>,
    /// Who answers.
    pub target: Option<Target>,
    /// Whether that was the first choice.
    pub served: Served,
    /// What a cache had to do with it.
    pub cache: CacheStatus,
    /// What the provider says of its rate limits. Boxed, because it is most of a head, and responses are moved about.
    pub rate_limits: Option<Box<RateLimits>>,
    /// The provider's id of the http exchange, for its support.
    pub request_id: Option<Arc<str>>,
}

/// Whether the first choice answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Served {
    /// It did.
    #[default]
    FirstChoice,
    /// Another target stood in for it.
    Substitute,
    /// A fallback did: the answer is not what was asked for.
    Degraded,
}

/// What a cache had to do with an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Nothing: no cache was asked.
    #[default]
    None,
    /// It had no answer.
    Miss,
    /// It had the answer.
    Hit {
        /// How old the answer is.
        age: Duration,
    },
    /// The same call was under way, and this one joined it.
    Joined,
    /// It had an answer that had expired.
    Stale {
        /// How old the answer is.
        age: Duration,
    },
}

/// A provider's rate limits as its headers tell them. What a provider does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RateLimits {
    /// Calls.
    pub requests: Quota,
    /// Tokens, both ways.
    pub tokens: Quota,
    /// Tokens of prompts.
    pub input_tokens: Quota,
    /// Tokens of answers.
    pub output_tokens: Quota,
}

impl RateLimits {
    /// True when the provider told nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One rate limit of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many are allowed in a window.
    pub limit: Option<u64>,
    /// How many are left in this window.
    pub remaining: Option<u64>,
    /// How long until the window is full again.
    pub reset: Option<Duration>,
}
