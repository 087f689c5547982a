//! How the calls to one target have been doing.

mod figure;

use std::time::Duration;

use tokio::time::Instant;

use self::figure::{Figure, Tick};

/// An answer of fewer tokens tells how long it took to begin, and not how long a token takes.
const LEAST_TOKENS: u64 = 8;

/// What nobody has seen for so many seconds is not known any more.
const LATELY: f32 = 600.0;

/// After so many seconds in which nothing new is seen of a target, what was seen counts for half.
///
/// A target that was slow or failed gets no calls, so nothing would ever be seen of it again. What this time does, and
/// what half and twice of it would, is in [`load_score`](crate::load_score).
const FADES_IN: f32 = 60.0;

/// No time is shorter, so that any two can be compared by their ratio.
const LEAST_SECONDS: f32 = 1e-6;

/// Figures of one target, on one cache line, apart from the count of the calls that hold them.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Stats {
    // Ticks are counted from here.
    created: Instant,
    first_content: Figure,
    per_token: Figure,
    failed: Figure,
}

/// What is to be thought of a target, apart from how fast it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repute {
    /// The share of its calls that failed lately.
    pub(crate) failing: f32,
    /// How much of what is held against it has faded: 1 while calls end there, and growing with the square of the time
    /// since the last one did.
    pub(crate) faded: f32,
}

impl Default for Stats {
    fn default() -> Self {
        let [first_content, per_token, failed] = Default::default();
        Self { created: Instant::now(), first_content, per_token, failed }
    }
}

impl Stats {
    /// A stream's first content came after `wait`.
    pub(crate) fn record_first_content(&self, wait: Duration, now: Instant) {
        self.first_content.record(wait.as_secs_f32().max(LEAST_SECONDS), self.tick(now));
    }

    /// A call succeeded with an answer of `tokens` that began to come at `since`: with the call, or with the first content
    /// of a stream. How long a token took is not taken down where there were very few.
    pub(crate) fn record_complete(&self, tokens: u64, since: Instant, now: Instant) {
        let tick = self.tick(now);
        if tokens >= LEAST_TOKENS {
            let time = now.saturating_duration_since(since).as_secs_f32();
            self.per_token.record((time / tokens as f32).max(LEAST_SECONDS), tick);
        }
        self.failed.record(0.0, tick);
    }

    /// A call failed through the provider's fault.
    pub(crate) fn record_failure(&self, now: Instant) {
        self.failed.record(1.0, self.tick(now));
    }

    /// How long it takes to the first content of a stream.
    pub(crate) fn first_content(&self, now: Instant) -> Option<Duration> {
        self.lately(&self.first_content, now).map(Duration::from_secs_f32)
    }

    pub(crate) fn seconds_per_token(&self, now: Instant) -> Option<f64> {
        self.lately(&self.per_token, now).map(f64::from)
    }

    pub(crate) fn failing(&self, now: Instant) -> f64 {
        self.at(now).repute().failing.into()
    }

    /// The figures as they look now.
    pub(crate) fn at(&self, now: Instant) -> Seen<'_> {
        Seen { stats: self, now }
    }

    fn lately(&self, figure: &Figure, now: Instant) -> Option<f32> {
        let mean = figure.read();
        mean.reliable().filter(|_| mean.age(self.tick(now)) < LATELY)
    }

    fn tick(&self, now: Instant) -> Tick {
        let since = now.saturating_duration_since(self.created);
        Tick::new(since.as_secs() * 100 + u64::from(since.subsec_millis() / 10))
    }
}

/// Figures of one target as they look at one moment, for choosing. Old ones count, and fade.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    stats: &'a Stats,
    now: Instant,
}

impl Seen<'_> {
    /// Seconds to the first content of a stream.
    pub(crate) fn first_content(self) -> Option<f32> {
        self.stats.first_content.read().reliable()
    }

    /// Seconds an output token takes.
    pub(crate) fn seconds_per_token(self) -> Option<f32> {
        self.stats.per_token.read().reliable()
    }

    /// What is to be thought of the target.
    ///
    /// A few failures are little evidence, so the share is that of the calls that ended and one more that went well.
    /// Old ones are less: their weight fades, and in the end one that went well is all that is left.
    pub(crate) fn repute(self) -> Repute {
        let mean = self.stats.failed.read();
        let age = mean.age(self.stats.tick(self.now)) / FADES_IN;
        let faded = 1.0 + age * age;
        let weight = mean.weight / faded;
        Repute { failing: mean.value * weight / (weight + 1.0), faded }
    }

    /// Whether no failure is remembered. Told without a look at the time, which would be most of what a choice costs.
    pub(crate) fn is_flawless(self) -> bool {
        self.stats.failed.read().value <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_figures_are_on_one_line() {
        assert_eq!((size_of::<Stats>(), align_of::<Stats>()), (64, 64));
    }

    #[test]
    fn speed_is_not_known_before_five_answers() {
        let (stats, began) = (Stats::default(), Instant::now());
        let now = began + 2 * SECOND;
        let known = |now| (stats.first_content(now), stats.seconds_per_token(now));
        for answers in 0..5 {
            assert_eq!(known(now), (None, None), "after {answers}");
            stats.record_first_content(SECOND, now);
            stats.record_complete(100, began, now);
        }
        let (first_content, per_token) = known(now + 599 * SECOND);
        assert_eq!(first_content, Some(SECOND));
        assert!(per_token.is_some_and(|seconds| (seconds - 0.02).abs() < 1e-5), "{per_token:?}");
        assert_eq!(known(now + 600 * SECOND), (None, None), "nor what was seen ten minutes ago");
    }

    #[test]
    fn an_answer_of_a_few_tokens_tells_nothing_of_the_time_a_token_takes() {
        let (stats, now) = (Stats::default(), Instant::now());
        (0..9).for_each(|_| stats.record_complete(7, now, now + SECOND));
        assert_eq!(stats.seconds_per_token(now), None);
    }

    #[test]
    fn a_time_is_never_zero() {
        let (stats, now) = (Stats::default(), Instant::now());
        for _ in 0..5 {
            stats.record_first_content(Duration::ZERO, now);
            stats.record_complete(u64::MAX, now, now);
        }
        assert!(stats.first_content(now) > Some(Duration::ZERO) && stats.seconds_per_token(now) > Some(0.0));
    }

    #[test]
    fn failures_are_a_share_of_the_calls_and_one_that_went_well() {
        let (stats, now) = (Stats::default(), Instant::now());
        assert_eq!(stats.at(now).repute(), Repute { failing: 0.0, faded: 1.0 });
        stats.record_failure(now);
        assert!((stats.at(now).repute().failing - 1.0 / 2.0).abs() < 1e-4);
        (0..2).for_each(|_| stats.record_failure(now));
        assert!((stats.at(now).repute().failing - 3.0 / 4.0).abs() < 1e-4);
        stats.record_complete(0, now, now);
        assert!((stats.at(now).repute().failing - 3.0 / 5.0).abs() < 1e-3);
    }

    #[test]
    fn failures_fade_while_nothing_new_is_seen() {
        let (stats, now) = (Stats::default(), Instant::now());
        (0..100).for_each(|_| stats.record_failure(now));
        let failing = |minutes: u32| stats.at(now + 60 * SECOND * minutes).repute().failing;
        let found = [0, 1, 2, 5, 60].map(|minutes| (failing(minutes) * 100.0).round());
        assert_eq!(found, [97.0, 94.0, 86.0, 55.0, 1.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tokios_time_that_passes() {
        let stats = Stats::default();
        stats.record_failure(Instant::now());
        tokio::time::advance(60 * SECOND).await;
        let repute = stats.at(Instant::now()).repute();
        assert!((repute.faded - 2.0).abs() < 1e-4 && (repute.failing - 1.0 / 3.0).abs() < 1e-4, "{repute:?}");
    }
}
