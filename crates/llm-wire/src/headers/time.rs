//! The ways in which providers write a delay: read, and written.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed. No provider has a window longer than a month.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Numbers above these are instants since 1970, in seconds and in milliseconds.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLISECONDS: f64 = 1e12;

/// Units of Go's durations, in seconds. A unit stands before those that begin in the same way.
const UNITS: [(&str, f64); 8] =
    [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];

/// A wait of so many seconds, unless that makes no sense: not a number, not positive, or over 31 days.
pub(crate) fn wait(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().and_then(sensible)
}

/// `wait`, unless it is zero or over 31 days.
pub(crate) fn sensible(wait: Duration) -> Option<Duration> {
    (!wait.is_zero() && wait <= LONGEST).then_some(wait)
}

/// The duration at the start of `text`, as Go writes it (`1h2m3.5s`, `20ms`), and what follows it.
pub(crate) fn leading_duration(text: &str) -> Option<(Duration, &str)> {
    let mut seconds = None;
    let mut rest = text;
    while let Some((part, after)) = leading_part(rest) {
        seconds = Some(seconds.unwrap_or(0.0) + part);
        rest = after;
    }
    Some((Duration::try_from_secs_f64(seconds?).ok()?, rest))
}

/// One number with its unit, in seconds.
fn leading_part(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    UNITS.iter().find_map(|(unit, seconds)| Some((number * seconds, rest.strip_prefix(unit)?)))
}

/// How long until the instant or after the delay that a reset header names: RFC 3339, a Go duration, or a bare number
/// (seconds; epoch seconds above 10⁹; epoch milliseconds above 10¹²). An instant in the past is zero; over 31 days is
/// `None`.
pub(crate) fn until_reset(text: &str, now: SystemTime) -> Option<Duration> {
    let wait = if let Ok(number) = text.parse::<f64>() {
        match number {
            _ if number > EPOCH_MILLISECONDS => until_epoch(number / 1e3, now)?,
            _ if number > EPOCH_SECONDS => until_epoch(number, now)?,
            _ => Duration::try_from_secs_f64(number).ok()?,
        }
    } else if let Some((wait, "")) = leading_duration(text) {
        wait
    } else {
        let at = SystemTime::from(text.parse::<jiff::Timestamp>().ok()?);
        at.duration_since(now).unwrap_or_default()
    };
    (wait <= LONGEST).then_some(wait)
}

/// A delay as Go writes it, to the millisecond: `12ms`, `8.64s`, `6m0s`.
pub(crate) fn go_duration(delay: Duration) -> String {
    let millis = delay.as_nanos().div_ceil(1_000_000);
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let fraction = format!(".{:03}", millis % 1_000);
    let seconds = format!("{}{}s", millis / 1_000, fraction.trim_end_matches(['0', '.']));
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// The instant after a delay, as RFC 3339 writes it, to the second; `None` beyond the years that it can write.
pub(crate) fn instant_after(delay: Duration, now: SystemTime) -> Option<String> {
    let at = jiff::Timestamp::try_from(now.checked_add(delay)?).ok()?;
    let up = i64::from(at.subsec_nanosecond() > 0);
    Some(jiff::Timestamp::from_second(at.as_second() + up).ok()?.to_string())
}

fn until_epoch(seconds: f64, now: SystemTime) -> Option<Duration> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    Some(at.duration_since(now).unwrap_or_default())
}
