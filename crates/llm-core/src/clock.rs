//! The time of day, in step with tokio's clock.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

static ANCHOR: LazyLock<(Instant, SystemTime)> = LazyLock::new(|| (Instant::now(), SystemTime::now()));

/// The time of day.
///
/// It is the system's clock, except where tokio's time is paused or was moved: there it stands still and moves with
/// tokio's, so that tests of days and months take no time and always see the same.
pub fn wall() -> SystemTime {
    let (anchor, anchor_wall) = *ANCHOR;
    let before = std::time::Instant::now();
    let now = Instant::now();
    let after = std::time::Instant::now();
    if (before..=after).contains(&now.into_std()) {
        return SystemTime::now();
    }
    match now.checked_duration_since(anchor) {
        Some(since) => anchor_wall + since,
        None => anchor_wall - anchor.duration_since(now),
    }
}

/// The time of day as the time since 1970.
pub fn since_epoch() -> Duration {
    wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_moves_the_time_of_day() {
        let before = wall();
        assert_eq!(wall(), before, "it stands still while time is paused");
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(wall().duration_since(before).unwrap(), Duration::from_secs(86_400));
    }

    #[test]
    fn without_a_runtime_it_is_the_systems_clock() {
        let distance = wall().duration_since(SystemTime::now()).unwrap_or_else(|error| error.duration());
        assert!(distance < Duration::from_secs(1));
    }
}
