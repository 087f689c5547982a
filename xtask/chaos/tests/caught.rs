//! Layers and ledgers that are broken on purpose: what each breaks is seen, and the world it is seen in is made small.
#![allow(clippy::unwrap_used)]

mod broken;

use std::sync::Arc;

use broken::{Fault, ledger};
use llm_budget::Ledger;
use xtask_chaos::{Around, Invariant, World, make, run_around, shrink};

/// Where the fault is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Outermost(Fault),
    Innermost(Fault),
    Ledger(fn() -> Arc<dyn Ledger>),
}
use Place::{Innermost, Outermost};

fn breaks(world: &World, place: Place, invariant: Invariant) -> bool {
    let outermost = |service| if let Outermost(fault) = place { fault.around(service) } else { service };
    let innermost = |service| if let Innermost(fault) = place { fault.around(service) } else { service };
    let ledger = if let Place::Ledger(ledger) = place { Some(ledger) } else { None };
    let around = Around { outermost: &outermost, innermost: &innermost, ledger };
    run_around(world, around).violations.iter().any(|violation| violation.invariant == invariant)
}

/// The fault is seen within a thousand worlds, and the world that it is seen in is made small.
#[track_caller]
fn is_caught(place: Place, invariant: Invariant) -> World {
    let found = (0..1_000).map(make).find(|world| breaks(world, place, invariant));
    let world = found.unwrap_or_else(|| panic!("{place:?} is not seen as {invariant:?}"));
    let small = shrink(&world, |world| breaks(world, place, invariant));
    assert!(breaks(&small, place, invariant), "the small world breaks too");
    assert!(small.layers.len() <= 2 && small.callers.len() <= 3 && small.acts.is_empty(), "it is small:\n{small}");
    small
}

#[test]
fn a_body_that_is_forgotten_leaks() {
    is_caught(Outermost(Fault::ForgetsBody), Invariant::Leaks);
    is_caught(Innermost(Fault::ForgetsBody), Invariant::OneOutcome);
}

#[test]
fn a_readied_instance_that_is_forgotten_leaks() {
    is_caught(Innermost(Fault::ForgetsReadiness), Invariant::Leaks);
}

#[test]
fn a_task_that_is_left_behind_leaks() {
    is_caught(Outermost(Fault::LeavesTask), Invariant::Leaks);
}

#[test]
fn a_call_made_again_after_content_mixes_frames() {
    is_caught(Outermost(Fault::ReplaysAfterContent), Invariant::Frames);
}

#[test]
fn frames_out_of_order_are_seen() {
    is_caught(Outermost(Fault::SwapsFrames), Invariant::Frames);
}

#[test]
fn frames_that_are_kept_waiting_are_seen() {
    is_caught(Outermost(Fault::DelaysFrames), Invariant::Delays);
}

#[test]
fn a_waker_that_is_not_renewed_is_seen() {
    is_caught(Outermost(Fault::KeepsFirstWaker), Invariant::Ends);
}

#[test]
fn a_failure_that_looks_whole_is_seen() {
    is_caught(Outermost(Fault::HidesFailure), Invariant::AfterFailure);
}

#[test]
fn retries_beyond_the_allowance_are_seen() {
    is_caught(Outermost(Fault::RetriesForFree), Invariant::Allowance);
}

#[test]
fn an_attempt_that_is_made_twice_is_seen() {
    is_caught(Innermost(Fault::CallsTwice), Invariant::OneOutcome);
}

#[test]
fn money_that_is_not_booked_is_seen() {
    is_caught(Innermost(Fault::HidesUsage), Invariant::Ledger);
}

#[test]
fn a_settlement_that_is_skipped_is_seen() {
    is_caught(Place::Ledger(ledger::forgetful), Invariant::Ledger);
}

#[test]
fn a_reservation_that_is_kept_leaks() {
    is_caught(Place::Ledger(ledger::greedy), Invariant::Leaks);
}

#[test]
fn a_ledger_that_lends_above_its_cap_is_seen() {
    is_caught(Place::Ledger(ledger::generous), Invariant::Caps);
}

#[test]
fn calls_past_a_limit_are_seen() {
    is_caught(Innermost(Fault::CallsTwice), Invariant::Limits);
}

#[test]
fn a_call_of_an_instance_that_is_not_ready_is_seen() {
    is_caught(Innermost(Fault::CallsUnready), Invariant::Readiness);
}

#[test]
fn a_prompt_in_a_log_line_is_seen() {
    is_caught(Outermost(Fault::LogsPrompt), Invariant::Secrets);
}

#[test]
fn an_answer_in_an_error_is_seen() {
    is_caught(Outermost(Fault::TellsPrompt), Invariant::Secrets);
}

#[test]
fn an_answer_for_another_tenant_is_seen() {
    is_caught(Outermost(Fault::SharesAnswers), Invariant::Tenants);
}

#[test]
fn a_sensitive_call_that_leaves_the_house_is_seen() {
    is_caught(Outermost(Fault::ForgetsSensitivity), Invariant::Sensitive);
}

#[test]
fn polling_without_end_is_seen() {
    is_caught(Outermost(Fault::Spins), Invariant::Spin);
}

#[test]
fn a_call_that_never_ends_is_seen() {
    let small = is_caught(Outermost(Fault::LosesWaker), Invariant::Ends);
    assert_eq!((small.layers.len(), small.callers.len()), (0, 1), "{small}");
}

#[test]
fn a_panic_of_a_layer_is_seen() {
    is_caught(Outermost(Fault::Panics), Invariant::Panics);
}

#[test]
fn settings_that_make_no_stack_are_seen() {
    let world = World::parse("[[layers]]\nkind = \"limit\"").unwrap();
    assert!(breaks(&world, Outermost(Fault::None), Invariant::Builds));
}
