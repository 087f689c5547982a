//! How long things may take.

use std::time::Duration;

/// The longest that something may take: a fixed time, and so much more for each token that the answer may have.
///
/// ```
/// use std::time::Duration;
/// use llm_timeout::Limit;
///
/// let limit = Limit::from(Duration::from_secs(30)).per_output_token(Duration::from_millis(20));
/// assert_eq!(limit.of(Some(1_000)), Some(Duration::from_secs(50)));
/// assert_eq!(limit.of(None), Some(Duration::from_secs(30)));
/// assert_eq!(Limit::OFF.of(None), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    // Absent in a limit that is switched off.
    base: Option<Duration>,
    per_output_token: Duration,
}

impl Limit {
    /// No limit.
    pub const OFF: Self = Self { base: None, per_output_token: Duration::ZERO };

    /// A limit of `base`. One of zero fails what is not there at once.
    pub const fn new(base: Duration) -> Self {
        Self { base: Some(base), per_output_token: Duration::ZERO }
    }

    /// Adds this much for each token that the answer may have: the request's `max_output_tokens`, or the
    /// [ceiling](llm_core::Context::output_ceiling) of a layer above where that is lower. Where neither is set nothing
    /// is added. Defaults to zero.
    pub const fn per_output_token(mut self, time: Duration) -> Self {
        self.per_output_token = time;
        self
    }

    /// The limit for an answer of at most `output_tokens`, if it is not switched off. The arithmetic saturates.
    pub fn of(&self, output_tokens: Option<u64>) -> Option<Duration> {
        let tokens = u32::try_from(output_tokens.unwrap_or(0)).unwrap_or(u32::MAX);
        self.base.map(|base| base.saturating_add(self.per_output_token.saturating_mul(tokens)))
    }

    pub(crate) const fn base(&self) -> Option<Duration> {
        self.base
    }

    /// The limit for every answer, however long it may become.
    fn at_most(&self) -> Option<Duration> {
        self.base.filter(|_| self.per_output_token.is_zero())
    }
}

impl From<Duration> for Limit {
    fn from(base: Duration) -> Self {
        Self::new(base)
    }
}

/// The limits of one attempt. Any of them may be [`Limit::OFF`].
///
/// The first five are for requests that ask for a stream, the last one is for all others. See the [crate docs](crate)
/// for where the defaults come from.
///
/// ```
/// use std::time::Duration;
/// use llm_timeout::{Limit, Limits};
///
/// let limits = Limits::interactive().first_content(Duration::from_secs(10)).idle(Limit::OFF);
/// assert_ne!(limits, Limits::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) head: Limit,
    pub(crate) first_content: Limit,
    pub(crate) first_content_reasoning: Limit,
    pub(crate) idle: Limit,
    pub(crate) total: Limit,
    pub(crate) whole_answer: Limit,
}

impl Limits {
    /// Somebody is waiting: what the setters below state as the default.
    pub const fn interactive() -> Self {
        Self {
            head: Limit::new(Duration::from_secs(30)),
            first_content: Limit::new(Duration::from_secs(30)),
            first_content_reasoning: Limit::new(Duration::from_secs(120)),
            idle: Limit::new(Duration::from_secs(20)),
            total: Limit::OFF,
            whole_answer: Limit::new(Duration::from_secs(120)),
        }
    }

    /// Nobody is waiting, and an answer that comes late is better than a second call: head 2 minutes, first content 5
    /// and with reasoning 10 minutes, idle 1 minute, total off, whole answers 10 minutes.
    pub const fn batch() -> Self {
        Self {
            head: Limit::new(Duration::from_secs(120)),
            first_content: Limit::new(Duration::from_secs(300)),
            first_content_reasoning: Limit::new(Duration::from_secs(600)),
            idle: Limit::new(Duration::from_secs(60)),
            total: Limit::OFF,
            whole_answer: Limit::new(Duration::from_secs(600)),
        }
    }

    /// None at all: only the caller's own deadline and patience hold.
    pub const fn off() -> Self {
        Self {
            head: Limit::OFF,
            first_content: Limit::OFF,
            first_content_reasoning: Limit::OFF,
            idle: Limit::OFF,
            total: Limit::OFF,
            whole_answer: Limit::OFF,
        }
    }

    /// From the call to the head of a streamed answer. Defaults to 30 seconds: providers send it when they begin to
    /// work, a queue in front of them included.
    pub fn head(mut self, limit: impl Into<Limit>) -> Self {
        self.head = limit.into();
        self
    }

    /// From the call to the first content of a streamed answer. Defaults to 30 seconds: a model that does not reason
    /// begins within a few seconds, and who has waited this long is better served by another attempt.
    pub fn first_content(mut self, limit: impl Into<Limit>) -> Self {
        self.first_content = limit.into();
        self
    }

    /// The same, instead of [`first_content`](Self::first_content), where the model reasons before it answers: the
    /// request asks for that, or the [catalogue](crate::TimeoutLayer::catalog) says so and the request does not object.
    /// A model that reasons never has less time than another: if this limit is the shorter one, the other holds.
    /// Defaults to 120 seconds: some providers keep the reasoning to themselves, and it takes a minute or two.
    pub fn first_content_reasoning(mut self, limit: impl Into<Limit>) -> Self {
        self.first_content_reasoning = limit.into();
        self
    }

    /// The longest wait for more content once there was some. Pings, comments and lifecycle frames are no content, and
    /// the time that the reader takes is no wait. Defaults to 20 seconds: a model at work says something every second.
    pub fn idle(mut self, limit: impl Into<Limit>) -> Self {
        self.idle = limit.into();
        self
    }

    /// From the call to the end of a streamed answer, the reader's time included. Off by default: a stream that goes on
    /// is worth going on with, however long it is.
    pub fn total(mut self, limit: impl Into<Limit>) -> Self {
        self.total = limit.into();
        self
    }

    /// From the call to the end of an answer that is not streamed: its head comes when all of it is there. Defaults to
    /// 120 seconds, which is some 5,000 tokens at usual speed.
    pub fn whole_answer(mut self, limit: impl Into<Limit>) -> Self {
        self.whole_answer = limit.into();
        self
    }

    /// How long an attempt can go on at most without any content, if all its limits are known.
    pub(crate) fn longest_silence(&self) -> Option<Duration> {
        let first_content = self.first_content.at_most()?.max(self.first_content_reasoning.at_most()?);
        let streamed = self.total.at_most().map_or(first_content, |total| total.min(first_content));
        Some(streamed.max(self.whole_answer.at_most()?))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::interactive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_with_the_tokens_and_saturates() {
        let limit = Limit::new(Duration::from_secs(1)).per_output_token(Duration::from_millis(28));
        assert_eq!(limit.of(Some(0)), Some(Duration::from_secs(1)));
        assert_eq!(limit.of(Some(1_000)), Some(Duration::from_secs(29)));
        assert_eq!(limit.of(Some(u64::MAX)), limit.of(Some(u32::MAX.into())));
        assert_eq!(limit.per_output_token(Duration::MAX).of(Some(2)), Some(Duration::MAX));
        assert_eq!(Limit::OFF.per_output_token(Duration::MAX).of(Some(2)), None);
    }

    #[test]
    fn the_longest_silence_is_known_where_every_answer_has_a_limit() {
        let seconds = |limits: Limits| limits.longest_silence().map(|time| time.as_secs());
        let limits = Limits::interactive();
        assert_eq!(seconds(limits.clone()), Some(120));
        let short = limits.clone().whole_answer(Duration::from_secs(40));
        assert_eq!(seconds(short.clone()), Some(120), "of a model that reasons");
        assert_eq!(seconds(short.total(Duration::from_secs(60))), Some(60));
        assert_eq!(seconds(limits.clone().whole_answer(Limit::OFF)), None);
        assert_eq!(seconds(limits.clone().first_content(Limit::OFF)), None);
        let growing = Limit::new(Duration::from_secs(1)).per_output_token(Duration::from_millis(1));
        assert_eq!(seconds(limits.whole_answer(growing)), None);
    }
}
