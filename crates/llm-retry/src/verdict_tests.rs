//! Every rule by itself, each at its edge.

use std::collections::HashSet;

use llm_core::{ErrorKind, Stage};
use proptest::prelude::*;

use super::*;

const ROOMY: Facts = Facts { retries: 0, calls_left: 2, untried: 0, remaining: None, is_probe: false, random: None };

fn of(kind: ErrorKind) -> Error {
    Error::new(kind, "the failure")
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stop(reason: Reason) -> Verdict {
    Verdict::Stop(reason)
}

#[track_caller]
fn decides(error: &Error, facts: Facts, expected: Verdict) {
    assert_eq!(judge(error, &RetryRules::INTERACTIVE, &facts), expected);
}

#[test]
fn words_are_all_different() {
    let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    assert!(!words.contains(Verdict::Retry { after: secs(1) }.as_str()));
}

#[test]
fn only_what_the_table_allows_is_retried() {
    for kind in ErrorKind::ALL {
        let is_retried = matches!(judge(&of(kind), &RetryRules::INTERACTIVE, &ROOMY), Verdict::Retry { .. });
        assert_eq!(is_retried, kind.class().retry.is_allowed(), "{kind}");
    }
}

#[test]
fn the_providers_word_beats_the_table_but_not_content_nor_our_own_refusals() {
    decides(&of(ErrorKind::Server).with_should_retry(false), ROOMY, stop(Reason::NotRetryable));
    let asked = of(ErrorKind::InvalidRequest).with_should_retry(true);
    decides(&asked, ROOMY, Verdict::Retry { after: Duration::from_millis(250) });
    decides(&asked.with_stage(Stage::AfterContent), ROOMY, stop(Reason::NotRetryable));
    for kind in ErrorKind::ALL.into_iter().filter(|kind| kind.class().is_own) {
        decides(&of(kind).with_should_retry(true), ROOMY, stop(Reason::NotRetryable));
    }
}

#[test]
fn the_layers_own_bound_counts_its_own_retries() {
    let rules = RetryRules::INTERACTIVE.most_retries(1);
    let after_one = Facts { retries: 1, ..ROOMY };
    assert_eq!(judge(&of(ErrorKind::Server), &rules, &after_one), stop(Reason::RetriesSpent));
    assert!(matches!(judge(&of(ErrorKind::Server), &rules, &ROOMY), Verdict::Retry { .. }));
}

#[test]
fn calls_are_left_for_candidates() {
    decides(&of(ErrorKind::Server), Facts { calls_left: 0, ..ROOMY }, stop(Reason::AllowanceSpent));
    decides(&of(ErrorKind::Server), Facts { calls_left: 0, untried: 1, ..ROOMY }, stop(Reason::AllowanceSpent));
    decides(&of(ErrorKind::Server), Facts { calls_left: 2, untried: 2, ..ROOMY }, stop(Reason::LeftToRouter));
    let one_over = Facts { calls_left: 2, untried: 1, ..ROOMY };
    decides(&of(ErrorKind::Server), one_over, Verdict::Retry { after: Duration::from_millis(250) });
}

#[test]
fn while_there_are_candidates_nobody_waits_for_more_than_a_second() {
    let beside = Facts { untried: 1, ..ROOMY };
    let advised = |wait| of(ErrorKind::RateLimited).with_retry_after(wait);
    decides(&advised(secs(1)), beside, Verdict::Retry { after: secs(1) });
    decides(&advised(Duration::from_millis(1_001)), beside, stop(Reason::LeftToRouter));
}

#[test]
fn advice_is_kept_to_the_end_and_given_up_beyond_the_longest() {
    let advised = |wait| of(ErrorKind::RateLimited).with_retry_after(wait);
    decides(&advised(secs(60)), ROOMY, Verdict::Retry { after: secs(60) });
    decides(&advised(secs(60) + Duration::from_nanos(1)), ROOMY, stop(Reason::AdviceTooLong));
    // The cap of 20 seconds bounds the backoff, not the advice.
    let late = Facts { retries: 10, random: Some(0.5), ..ROOMY };
    decides(&advised(secs(30)), late, Verdict::Retry { after: secs(40) });
}

#[test]
fn jitter_spreads_all_of_a_backoff_and_what_comes_after_advice() {
    let half = Facts { random: Some(0.5), ..ROOMY };
    decides(&of(ErrorKind::Server), half, Verdict::Retry { after: Duration::from_millis(125) });
    decides(&of(ErrorKind::Overloaded), half, Verdict::Retry { after: Duration::from_millis(500) });
    let advised = of(ErrorKind::RateLimited).with_retry_after(secs(3));
    decides(&advised, half, Verdict::Retry { after: Duration::from_millis(3_500) });
    decides(&advised, Facts { retries: 2, ..half }, Verdict::Retry { after: secs(5) });
    decides(&of(ErrorKind::Server), Facts { random: Some(0.0), ..ROOMY }, Verdict::Retry { after: Duration::ZERO });
}

#[test]
fn a_wait_must_end_before_the_deadline() {
    let advised = of(ErrorKind::RateLimited).with_retry_after(secs(5));
    let within = |remaining| Facts { remaining: Some(remaining), ..ROOMY };
    decides(&advised, within(secs(5)), stop(Reason::DeadlineTooNear));
    decides(&advised, within(secs(5) + Duration::from_nanos(1)), Verdict::Retry { after: secs(5) });
    decides(&of(ErrorKind::Server), within(Duration::ZERO), stop(Reason::DeadlineTooNear));
}

proptest! {
    #[test]
    fn no_input_makes_it_panic_or_wait_for_longer_than_it_may(
        kind in prop::sample::select(ErrorKind::ALL.to_vec()),
        advice in prop::option::of(any::<Duration>()),
        rules in any::<[Duration; 4]>(),
        retries in any::<u32>(),
        calls_left in 0..4_u32,
        untried in 0..4_u32,
        remaining in prop::option::of(any::<Duration>()),
        random in prop::option::of(0.0..1.0_f64),
    ) {
        let [base, throttled_base, cap, longest] = rules;
        let rules =
            RetryRules::INTERACTIVE.base(base).throttled_base(throttled_base).cap(cap).longest_advice(longest);
        let error = advice.map_or(of(kind), |wait| of(kind).with_retry_after(wait));
        let facts = Facts { retries, calls_left, untried, remaining, random, ..ROOMY };
        if let Verdict::Retry { after } = judge(&error, &rules, &facts) {
            prop_assert!(kind.class().retry.is_allowed() && !kind.class().is_own);
            prop_assert!(calls_left > untried);
            prop_assert!(after >= advice.unwrap_or_default());
            prop_assert!(after <= advice.unwrap_or_default().saturating_add(cap));
            prop_assert!(advice.is_none_or(|advice| advice <= longest));
            prop_assert!(remaining.is_none_or(|remaining| after < remaining));
            prop_assert!(untried == 0 || after <= secs(1));
        }
    }
}
