//! For how long spending counts, and how much of it counts now: pure, without clocks.

use std::{collections::VecDeque, fmt, time::Duration};

use jiff::{Timestamp, ToSpan, Unit, tz::TimeZone};
use llm_core::NanoUsd;

use crate::Settlement;

/// For how long what was spent counts against a cap.
#[derive(Clone, PartialEq, Eq)]
pub enum Window {
    /// The time that ends now. It is kept in sixtieths, each of which counts until all of it has passed, so spending counts
    /// for up to a sixtieth longer and never for less.
    Rolling(Duration),
    /// A day of the calendar, from midnight to midnight in a time zone.
    Day(TimeZone),
    /// A month of the calendar.
    Month(TimeZone),
    /// All time.
    Lifetime,
}

/// The time since 1970. It is the time of day, because days and months are.
pub(crate) type Now = Duration;

/// Into how many parts a rolling window is divided.
const PARTS: u32 = 60;

impl Window {
    /// The days of Coordinated Universal Time.
    pub const DAY: Self = Self::Day(TimeZone::UTC);
    /// The months of Coordinated Universal Time.
    pub const MONTH: Self = Self::Month(TimeZone::UTC);

    /// Whether all that counts in `other` at an instant counts in this one, too.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        // With the hour that a day may have more, and the part for which a rolling window counts longer.
        let (day, month) = (Duration::from_secs(25 * 3_600), Duration::from_secs(31 * 86_400 + 3_600));
        match (self, other) {
            (Self::Lifetime, _) => *other != Self::Lifetime,
            (Self::Month(zone), Self::Day(of_day)) => zone == of_day,
            (Self::Rolling(length), Self::Rolling(shorter)) => *shorter + *shorter / PARTS <= *length,
            (Self::Rolling(length), Self::Day(_)) => *length >= day,
            (Self::Rolling(length), Self::Month(_)) => *length >= month,
            (Self::Day(_), _) | (Self::Month(_), _) | (Self::Rolling(_), Self::Lifetime) => false,
        }
    }

    /// From when to when the window of the calendar goes that `now` is in.
    fn calendar(zone: &TimeZone, unit: Unit, now: Now) -> (Now, Now) {
        let all_time = (Duration::ZERO, Duration::MAX);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let Ok(instant) = Timestamp::from_second(seconds) else { return all_time };
        let local = instant.to_zoned(zone.clone());
        let first = match unit {
            Unit::Month => local.first_of_month(),
            _ => Ok(local),
        };
        let bounds = first.and_then(|day| {
            let begins = day.start_of_day()?;
            let length = if unit == Unit::Month { 1.month() } else { 1.day() };
            let ends = begins.checked_add(length)?.start_of_day()?;
            Ok((begins, ends))
        });
        let since_epoch = |at: jiff::Zoned| Duration::from_secs(at.timestamp().as_second().unsigned_abs());
        // Beyond the years that the calendar knows, time does not go on.
        bounds.map_or(all_time, |(begins, ends)| (since_epoch(begins), since_epoch(ends)))
    }
}

/// The name that figures of the window bear: `3600s`, `day`, `month`, `lifetime`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling(length) => write!(f, "{length:?}"),
            Self::Day(_) => f.write_str("day"),
            Self::Month(_) => f.write_str("month"),
            Self::Lifetime => f.write_str("lifetime"),
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = |zone: &TimeZone| zone.iana_name().unwrap_or("a zone without a name").to_owned();
        match self {
            Self::Rolling(length) => write!(f, "Rolling({length:?})"),
            Self::Day(of) => write!(f, "Day({})", zone(of)),
            Self::Month(of) => write!(f, "Month({})", zone(of)),
            Self::Lifetime => f.write_str("Lifetime"),
        }
    }
}

/// What was spent, and how much of that is by estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) spent: NanoUsd,
    pub(crate) estimated: NanoUsd,
}

impl Booked {
    pub(crate) fn of(settlement: &Settlement) -> Self {
        Self { spent: settlement.cost(), estimated: settlement.estimated }
    }

    fn add(&mut self, more: Self) {
        self.spent = self.spent.saturating_add(more.spent);
        self.estimated = self.estimated.saturating_add(more.estimated);
    }

    fn subtract(&mut self, less: Self) {
        self.spent = self.spent.saturating_sub(less.spent);
        self.estimated = self.estimated.saturating_sub(less.estimated);
    }
}

/// What has been spent within a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent {
    total: Booked,
    // Of a window of the calendar: when it ends. Zero before anything was spent.
    ends: Now,
    // Of a rolling one: what was spent in each of its parts, by the part's number since 1970, the oldest first.
    parts: VecDeque<(u64, Booked)>,
}

impl Spent {
    /// How much counts now.
    pub(crate) fn total(&mut self, window: &Window, now: Now) -> Booked {
        self.forget(window, now);
        self.total
    }

    /// Whether nothing counts now.
    pub(crate) fn is_nothing(&mut self, window: &Window, now: Now) -> bool {
        self.total(window, now).spent == NanoUsd::ZERO
    }

    /// Adds what was spent, and says how much counts now.
    pub(crate) fn add(&mut self, booked: Booked, window: &Window, now: Now) -> Booked {
        self.forget(window, now);
        self.total.add(booked);
        match window {
            Window::Rolling(length) => {
                let part = part_of(*length, now);
                match self.parts.back_mut() {
                    // A clock that was put back does not make newer spending older.
                    Some((newest, known)) if *newest >= part => known.add(booked),
                    Some(_) | None => self.parts.push_back((part, booked)),
                }
            }
            Window::Day(_) | Window::Month(_) | Window::Lifetime => {}
        }
        self.total
    }

    /// Until when what is said of this window need not be said again: its end, or a window's length from now.
    pub(crate) fn until_next(&mut self, window: &Window, now: Now) -> Now {
        self.forget(window, now);
        match window {
            Window::Rolling(length) => now.saturating_add(*length),
            Window::Day(_) | Window::Month(_) => self.ends,
            Window::Lifetime => Now::MAX,
        }
    }

    /// After how long no more than `room` counts, if nothing else is spent; `None` if that never comes.
    pub(crate) fn until_within(&mut self, room: NanoUsd, window: &Window, now: Now) -> Option<Duration> {
        self.forget(window, now);
        if self.total.spent <= room {
            return Some(Duration::ZERO);
        }
        match window {
            Window::Lifetime => None,
            Window::Day(_) | Window::Month(_) => Some(self.ends.saturating_sub(now)),
            Window::Rolling(length) => {
                let mut left = self.total.spent;
                let passed = self.parts.iter().find(|(_, booked)| {
                    left = left.saturating_sub(booked.spent);
                    left <= room
                });
                passed.map(|(part, _)| expiry(*length, *part).saturating_sub(now))
            }
        }
    }

    /// Drops what does not count any more.
    fn forget(&mut self, window: &Window, now: Now) {
        match window {
            Window::Lifetime => {}
            Window::Day(zone) => self.forget_calendar(zone, Unit::Day, now),
            Window::Month(zone) => self.forget_calendar(zone, Unit::Month, now),
            Window::Rolling(length) => {
                while let Some((part, booked)) =
                    self.parts.front().copied().filter(|(part, _)| expiry(*length, *part) <= now)
                {
                    debug_assert!(part <= part_of(*length, now));
                    self.total.subtract(booked);
                    self.parts.pop_front();
                }
            }
        }
    }

    fn forget_calendar(&mut self, zone: &TimeZone, unit: Unit, now: Now) {
        if now >= self.ends {
            self.begin_calendar(zone, unit, now);
        }
    }

    #[cold]
    fn begin_calendar(&mut self, zone: &TimeZone, unit: Unit, now: Now) {
        self.total = Booked::default();
        (_, self.ends) = Window::calendar(zone, unit, now);
    }
}

/// In nanoseconds, as all that follows: they are enough for five centuries, and quickly divided.
fn part_length(length: Duration) -> u64 {
    nanos(length / PARTS).max(1_000_000)
}

fn part_of(length: Duration, now: Now) -> u64 {
    nanos(now) / part_length(length)
}

/// When a part of a rolling window has left it.
fn expiry(length: Duration, part: u64) -> Now {
    let part_ends = part.saturating_add(1).saturating_mul(part_length(length));
    Duration::from_nanos(part_ends).saturating_add(length)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Now {
        Duration::from_secs(text.parse::<Timestamp>().unwrap().as_second().unsigned_abs())
    }

    fn usd(nanos: u64) -> NanoUsd {
        NanoUsd(nanos)
    }

    fn booked(nanos: u64) -> Booked {
        Booked { spent: usd(nanos), estimated: usd(nanos / 2) }
    }

    #[test]
    fn a_day_ends_at_midnight_in_its_zone() {
        let mut spent = Spent::default();
        spent.add(booked(5), &Window::DAY, at("2026-02-28T23:59:59Z"));
        assert_eq!(spent.until_within(usd(4), &Window::DAY, at("2026-02-28T23:59:59Z")), Some(Duration::from_secs(1)));
        assert_eq!(spent.total(&Window::DAY, at("2026-02-28T23:59:59Z")).spent, usd(5));
        assert_eq!(spent.total(&Window::DAY, at("2026-03-01T00:00:00Z")).spent, usd(0));
        let tokyo = Window::Day(TimeZone::fixed(jiff::tz::offset(9)));
        let mut spent = Spent::default();
        spent.add(booked(5), &tokyo, at("2026-02-28T14:00:00Z"));
        assert_eq!(spent.total(&tokyo, at("2026-02-28T14:59:59Z")).spent, usd(5));
        assert_eq!(spent.total(&tokyo, at("2026-02-28T15:00:00Z")).spent, usd(0));
    }

    #[test]
    fn a_month_ends_with_its_last_day() {
        let mut spent = Spent::default();
        spent.add(booked(5), &Window::MONTH, at("2028-02-01T00:00:00Z"));
        let last = at("2028-02-29T23:00:00Z");
        assert_eq!(
            (spent.total(&Window::MONTH, last).spent, spent.until_within(usd(0), &Window::MONTH, last)),
            (usd(5), Some(HOUR))
        );
        assert!(spent.is_nothing(&Window::MONTH, last + HOUR));
    }

    #[test]
    fn all_time_never_ends() {
        let mut spent = Spent::default();
        spent.add(booked(5), &Window::Lifetime, at("2026-01-01T00:00:00Z"));
        let later = at("2126-01-01T00:00:00Z");
        assert_eq!(
            (spent.total(&Window::Lifetime, later).spent, spent.until_within(usd(4), &Window::Lifetime, later)),
            (usd(5), None)
        );
    }

    #[test]
    fn a_rolling_window_says_when_enough_of_it_has_passed() {
        let window = Window::Rolling(HOUR);
        let begin = at("2026-01-01T00:00:00Z");
        let mut spent = Spent::default();
        spent.add(booked(3), &window, begin);
        spent.add(booked(4), &window, begin + HOUR / 2);
        let now = begin + HOUR / 2;
        let minute = HOUR / 60;
        assert_eq!(spent.until_within(usd(7), &window, now), Some(Duration::ZERO));
        assert_eq!(spent.until_within(usd(4), &window, now), Some(HOUR / 2 + minute));
        assert_eq!(spent.until_within(usd(0), &window, now), Some(HOUR + minute));
        assert_eq!(spent.total(&window, begin + HOUR + minute).spent, usd(4));
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nothing_forgotten() {
        for window in [Window::DAY, Window::MONTH, Window::Rolling(HOUR), Window::Lifetime] {
            let now = at("2026-03-01T00:00:10Z");
            let mut spent = Spent::default();
            spent.add(booked(5), &window, now);
            let before = now - Duration::from_secs(3600 * 48);
            spent.add(booked(2), &window, before);
            assert_eq!(spent.total(&window, now), Booked { spent: usd(7), estimated: usd(3) }, "{window:?}");
        }
    }

    proptest! {
        #[test]
        fn a_rolling_window_counts_what_is_in_it_and_at_most_a_sixtieth_more(
            spendings in prop::collection::vec((0_u64..7_200, 1_u64..100), 0..60),
            length in 60_u64..3_600,
        ) {
            let window = Window::Rolling(Duration::from_secs(length));
            let mut times = spendings.clone();
            times.sort();
            let (mut spent, mut known) = (Spent::default(), Vec::new());
            let begin = at("2026-01-01T00:00:00Z");
            for (time, amount) in times {
                let now = begin + Duration::from_secs(time);
                spent.add(booked(amount), &window, now);
                known.push((time, amount));
                let within = |span: u64| known.iter().filter(|(at, _)| at + span > time).map(|(_, amount)| amount).sum::<u64>();
                let total = spent.total(&window, now).spent.0;
                prop_assert!(total >= within(length) && total <= within(length + length / 60 + 1), "{total}");
            }
        }
    }
}
