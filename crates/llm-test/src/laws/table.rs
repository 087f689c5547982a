//! The laws by name, in the order in which they are explained.

use super::*;

/// Every law.
pub static ALL: [Law; 22] = [
    Law { name: "calls_only_ready_instance", check: |subject| Box::pin(calls_only_ready_instance(subject)) },
    Law { name: "readies_before_each_attempt", check: |subject| Box::pin(readies_before_each_attempt(subject)) },
    Law { name: "clone_is_not_ready", check: |subject| Box::pin(clone_is_not_ready(subject)) },
    Law { name: "ready_without_call_releases", check: |subject| Box::pin(ready_without_call_releases(subject)) },
    Law {
        name: "rejects_while_inner_is_never_ready",
        check: |subject| Box::pin(rejects_while_inner_is_never_ready(subject)),
    },
    Law {
        name: "rejection_is_not_a_readiness_error",
        check: |subject| Box::pin(rejection_is_not_a_readiness_error(subject)),
    },
    Law {
        name: "state_is_shared_by_clones_and_layers",
        check: |subject| Box::pin(state_is_shared_by_clones_and_layers(subject)),
    },
    Law { name: "drop_future_releases", check: |subject| Box::pin(drop_future_releases(subject)) },
    Law { name: "drop_body_reports_abandoned", check: |subject| Box::pin(drop_body_reports_abandoned(subject)) },
    Law { name: "panic_releases", check: |subject| Box::pin(panic_releases(subject)) },
    Law { name: "end_of_stream_reports_once", check: |subject| Box::pin(end_of_stream_reports_once(subject)) },
    Law { name: "error_frame_reports_failed", check: |subject| Box::pin(error_frame_reports_failed(subject)) },
    Law {
        name: "frames_pass_unchanged_without_delay",
        check: |subject| Box::pin(frames_pass_unchanged_without_delay(subject)),
    },
    Law { name: "inner_error_passes_unchanged", check: |subject| Box::pin(inner_error_passes_unchanged(subject)) },
    Law { name: "context_reaches_inner", check: |subject| Box::pin(context_reaches_inner(subject)) },
    Law { name: "pending_is_woken_not_spun", check: |subject| Box::pin(pending_is_woken_not_spun(subject)) },
    Law { name: "follows_paused_time", check: |subject| Box::pin(follows_paused_time(subject)) },
    Law { name: "keyed_state_is_bounded", check: |subject| Box::pin(keyed_state_is_bounded(subject)) },
    Law { name: "slow_listener_slows_nobody", check: |subject| Box::pin(slow_listener_slows_nobody(subject)) },
    Law {
        name: "bad_config_is_refused_at_construction",
        check: |subject| Box::pin(bad_config_is_refused_at_construction(subject)),
    },
    Law { name: "no_content_in_debug_or_logs", check: |subject| Box::pin(no_content_in_debug_or_logs(subject)) },
    Law {
        name: "types_are_clone_send_sync_debug",
        check: |subject| Box::pin(types_are_clone_send_sync_debug(subject)),
    },
];
