//! Each law has a layer that breaks it, and only it: the law says so in a sentence, and no other law minds.

mod calls;
mod operation;
mod readiness;
mod streams;

use std::panic::AssertUnwindSafe;

use llm_test::{Law, Ruling, Subject, laws};

/// A law, a layer that breaks it, and part of the sentence that the law says.
struct Broken {
    law: &'static str,
    subject: fn() -> Subject,
    sentence: &'static str,
}

#[rustfmt::skip] // One row a law reads best as a table.
const BROKEN: [Broken; 24] = [
    Broken { law: "calls_only_ready_instance", subject: readiness::calls_an_unready_clone, sentence: "an inner instance was called that had not been readied" },
    Broken { law: "readies_before_each_attempt", subject: readiness::retries_without_readying, sentence: "another attempt was made on an inner instance that was not readied" },
    Broken { law: "clone_is_not_ready", subject: readiness::clones_its_readiness, sentence: "the clone of a ready service was ready" },
    Broken { law: "ready_without_call_releases", subject: readiness::rejects_and_stays_ready, sentence: "after a rejection an inner instance was still kept ready" },
    Broken { law: "rejects_while_inner_is_never_ready", subject: readiness::readies_before_it_rejects, sentence: "a rejection waited for the inner service" },
    Broken { law: "rejection_is_not_a_readiness_error", subject: readiness::rejects_in_poll_ready, sentence: "the rejection came out of `poll_ready`" },
    Broken { law: "state_is_shared_by_clones_and_layers", subject: operation::clones_count_for_themselves, sentence: "a call through a clone did not change the state" },
    Broken { law: "state_is_shared_by_clones_and_layers", subject: operation::layers_count_for_themselves, sentence: "a call through a second service did not change the state" },
    Broken { law: "drop_future_releases", subject: calls::calls_in_a_task, sentence: "after its future was dropped the inner call was still under way" },
    Broken { law: "drop_body_reports_abandoned", subject: streams::reads_in_a_task, sentence: "after the body was dropped half-way the inner call was still under way" },
    Broken { law: "panic_releases", subject: calls::takes_a_place_before_its_guard, sentence: "after a panic in the inner service's `call` the layer still held some of its places" },
    Broken { law: "end_of_stream_reports_once", subject: streams::counts_complete_twice, sentence: "after two complete answers the layer had not counted exactly that" },
    Broken { law: "error_frame_reports_failed", subject: streams::swallows_errors, sentence: "a stream that failed half-way came out with another error" },
    Broken { law: "frames_pass_unchanged_without_delay", subject: streams::hands_on_in_pairs, sentence: "was due after" },
    Broken { law: "frames_pass_unchanged_without_delay", subject: streams::drops_wire_bytes, sentence: "the frames came out of the layer changed" },
    Broken { law: "inner_error_passes_unchanged", subject: calls::wraps_errors, sentence: "came out as one of another kind" },
    Broken { law: "context_reaches_inner", subject: calls::asks_anew, sentence: "the caller's own bytes did not reach the inner service" },
    Broken { law: "pending_is_woken_not_spun", subject: calls::wakes_itself, sentence: "the layer woke itself while nothing had changed" },
    Broken { law: "follows_paused_time", subject: calls::reads_the_std_clock, sentence: "a call through the layer never came back" },
    Broken { law: "keyed_state_is_bounded", subject: operation::never_forgets, sentence: "made more than the stated 8 entries" },
    Broken { law: "slow_listener_slows_nobody", subject: operation::waits_for_listeners, sentence: "a call waited for a listener who never listens" },
    Broken { law: "bad_config_is_refused_at_construction", subject: operation::accepts_anything, sentence: "a bad configuration (a share above one) was accepted" },
    Broken { law: "no_content_in_debug_or_logs", subject: calls::logs_the_prompt, sentence: "a prompt was written into the logs" },
    Broken { law: "types_are_clone_send_sync_debug", subject: operation::says_nothing, sentence: "`Debug` of the layer said nothing" },
];

/// What the law finds, or the sentence with which it panics.
fn hold(law: &Law, subject: fn() -> Subject) -> Result<Ruling, String> {
    std::panic::catch_unwind(AssertUnwindSafe(|| law.hold(subject))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).expect("laws panic with a sentence")
    })
}

#[test]
fn each_law_catches_the_layer_that_breaks_it() {
    for Broken { law, subject, sentence } in BROKEN {
        let said = hold(Law::named(law), subject).expect_err(law);
        assert!(said.contains(sentence), "{law} said: {said}");
    }
}

#[test]
fn no_other_law_minds() {
    for Broken { law: broken, subject, .. } in BROKEN {
        for law in laws::ALL.iter().filter(|law| law.name() != broken) {
            if let Err(said) = hold(law, subject) {
                panic!("{} caught {}, which breaks {broken} alone: {said}", law.name(), subject().name());
            }
        }
    }
}

#[test]
fn each_law_has_a_layer_that_breaks_it() {
    for law in &laws::ALL {
        assert!(BROKEN.iter().any(|broken| broken.law == law.name()), "nothing breaks {}", law.name());
    }
}
