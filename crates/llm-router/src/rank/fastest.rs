//! The one that answers soonest.

use super::{
    Asked, Choice, Rank,
    score::{Looked, best, latency, lowest},
};

/// For streams the one with the shortest time to the first content, for whole answers that with the shortest time of an
/// output token. A target of which nothing is known yet is taken to be as good as the best. Failures count against a
/// target, and how much it has to do does not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fastest;

impl Rank for Fastest {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let best = best(choices.iter().map(|choice| latency(asked, choice))).unwrap_or(1.0);
        lowest(asked.random, choices, |choice| {
            latency(asked, choice).unwrap_or(best) * Looked::at(choice, asked.now).reluctance()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rank::testing::Bench;

    #[test]
    fn a_stream_goes_where_content_comes_first_and_a_whole_answer_where_tokens_do() {
        let bench = Bench::new(2);
        bench.first_content(0, 0.2);
        bench.per_token(0, 0.02);
        bench.first_content(1, 0.3);
        bench.per_token(1, 0.01);
        assert_eq!(bench.picks(&Fastest, 100), [0, 100]);
        assert_eq!(bench.streaming().picks(&Fastest, 100), [100, 0]);
    }

    #[test]
    fn calls_under_way_do_not_count() {
        let bench = Bench::new(2).streaming();
        bench.first_content(0, 0.2);
        bench.first_content(1, 0.3);
        let _calls = bench.under_way([50, 0]);
        assert_eq!(bench.picks(&Fastest, 100), [100, 0]);
    }

    #[test]
    fn what_is_not_known_is_as_good_as_the_best() {
        let bench = Bench::new(3).streaming();
        bench.first_content(0, 0.2);
        bench.first_content(1, 0.3);
        let [known, slower, unknown] = bench.picks(&Fastest, 1_000);
        assert!(slower == 0 && (400..600).contains(&known) && known + unknown == 1_000);
    }

    #[test]
    fn failures_count() {
        let bench = Bench::new(2).streaming();
        bench.first_content(0, 0.2);
        bench.first_content(1, 0.3);
        bench.ends(0, [true, false, true, false, true, false]);
        assert_eq!(bench.picks(&Fastest, 100), [0, 100]);
    }

    #[test]
    fn the_slower_is_tried_after_a_while_by_one_call_at_a_time() {
        let mut bench = Bench::new(2).streaming();
        bench.first_content(0, 0.2);
        bench.first_content(1, 0.6);
        bench.ends(1, [false]);
        // Three times as slow is as good when 1 + age² is 3, and the age is in minutes.
        bench.pass(Duration::from_secs(84));
        bench.ends(0, [false]);
        assert_eq!(bench.pick(&Fastest), 0);
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.pick(&Fastest), 1);
        let _call = bench.under_way([0, 1]);
        assert_eq!(bench.pick(&Fastest), 0);
    }
}
