//! How much of a small cap a crowd of streams uses, and how many are cut, by how much is set aside for them.
//!
//! The layer is the real one, around scripted providers, on paused time.

mod crowd;

use std::{fmt::Write, num::NonZeroU64};

use llm_budget::{BudgetLayer, Metered, Streams, WhenShort};
use tokio::runtime::Builder;

use self::crowd::{Crowd, Played};

/// How often each is played, with other lengths.
const TIMES: u64 = 10;

/// Answers that a model has given before, where it is known how long they are.
const BEFORE: usize = 300;

/// How far a stream may go beyond what is left.
const OVERDRAFT: NonZeroU64 = NonZeroU64::new(1_000).expect("it is not zero");

/// A way to hold streams to a cap, by its name in the table.
struct Way {
    name: &'static str,
    crowd: fn(u64) -> Crowd,
}

fn metered(when_short: WhenShort) -> BudgetLayer {
    BudgetLayer::new(crowd::rules()).streams(Streams::Metered(Metered::default().when_short(when_short)))
}

const WAYS: [Way; 6] = [
    Way {
        name: "`worst_case`",
        crowd: |seed| Crowd::new(BudgetLayer::new(crowd::rules()).streams(Streams::WorstCase), seed),
    },
    Way { name: "`metered`, `cut` (default)", crowd: |seed| Crowd::new(metered(WhenShort::Cut), seed) },
    Way {
        name: "`metered`, `cut`, 300 answers seen",
        crowd: |seed| Crowd::new(metered(WhenShort::Cut), seed).after(BEFORE),
    },
    Way {
        name: "`metered`, `cut`, answers twice as long",
        crowd: |seed| Crowd::new(metered(WhenShort::Cut), seed).of_length(1_000, 2_150),
    },
    Way { name: "`metered`, `finish = 1000`", crowd: |seed| Crowd::new(metered(WhenShort::Finish(OVERDRAFT)), seed) },
    Way {
        name: "counting afterwards (not offered)",
        crowd: |seed| Crowd::new(BudgetLayer::new(crowd::soft_rules()), seed).counting_afterwards(),
    },
];

/// The comparison as a Markdown table.
pub fn budgets() -> String {
    let mut table = String::from(
        "| what is set aside | of the cap used | least, most | streams whole | cut | most | refused at first | at once | seconds |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for Way { name, crowd } in &WAYS {
        let played: Vec<Played> = (0..TIMES).map(|seed| play(crowd(seed))).collect();
        let mean = |of: fn(&Played) -> f64| played.iter().map(of).sum::<f64>() / TIMES as f64;
        let shares = || played.iter().map(|played| played.used);
        let (least, most) = (shares().fold(f64::MAX, f64::min), shares().fold(0.0, f64::max));
        let most_cut = played.iter().map(|played| played.cut).max().unwrap_or_default();
        let [used, least, most] = [mean(|played| played.used), least, most].map(percent);
        writeln!(
            table,
            "| {name} | {used} | {least}, {most} | {:.0} | {:.1} | {most_cut} | {:.0} | {:.0} | {:.0} |",
            mean(|played| played.whole as f64),
            mean(|played| played.cut as f64),
            mean(|played| played.refused_at_first as f64),
            mean(|played| played.at_once as f64),
            mean(|played| played.seconds),
        )
        .expect("a string takes everything");
    }
    table
}

/// Rounded to a percent, but never to a cap that is used up or crossed if it is not.
fn percent(share: f64) -> String {
    let tenths = (share * 1_000.0).floor() / 10.0;
    if share < 2.0 { format!("{tenths:.1} %") } else { format!("{:.0} %", share * 100.0) }
}

fn play(crowd: Crowd) -> Played {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets and threads needs nothing").block_on(crowd.play())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_set_aside_for_crosses_the_cap_and_what_is_counted_afterwards_does() {
        for (at, Way { name, crowd }) in WAYS.iter().enumerate().filter(|(at, _)| *at != 4) {
            let played = play(crowd(99));
            assert_eq!(played.used > 1.0, at == 5, "{name}: {played:?}");
        }
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!([0.98765, 0.99999, 1.0, 2.5].map(percent), ["98.7 %", "99.9 %", "100.0 %", "250 %"]);
    }
}
