//! The one macro of the workspace: a test for each law.

/// Writes one test for each law, named after it, that holds it against the subject.
///
/// The argument is the path of a function without parameters that returns a [`Subject`](crate::Subject). Put several
/// subjects of one crate into modules of their own:
///
/// ```
/// # fn main() {}
/// # #[cfg(test)]
/// mod streamed {
///     use llm_test::{PassThroughLayer, Subject};
///
///     fn subject() -> Subject {
///         Subject::new("pass-through", PassThroughLayer)
///     }
///
///     llm_test::contract!(subject);
/// }
/// ```
///
/// The tests bring a runtime with paused time along, so the crate under test needs no tokio for them. A law that does
/// not apply passes, and prints why (`cargo test -- --show-output`).
#[macro_export]
macro_rules! contract {
    ($subject:path) => {
        $crate::contract! { @each $subject,
            calls_only_ready_instance
            readies_before_each_attempt
            clone_is_not_ready
            ready_without_call_releases
            rejects_while_inner_is_never_ready
            rejection_is_not_a_readiness_error
            state_is_shared_by_clones_and_layers
            drop_future_releases
            drop_body_reports_abandoned
            panic_releases
            end_of_stream_reports_once
            error_frame_reports_failed
            frames_pass_unchanged_without_delay
            inner_error_passes_unchanged
            context_reaches_inner
            pending_is_woken_not_spun
            follows_paused_time
            keyed_state_is_bounded
            slow_listener_slows_nobody
            bad_config_is_refused_at_construction
            no_content_in_debug_or_logs
            types_are_clone_send_sync_debug
        }
    };
    (@each $subject:path, $($law:ident)+) => {
        $(
            #[test]
            fn $law() {
                let _ = $crate::Law::named(stringify!($law)).hold($subject);
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_contract_has_every_law() {
        let source = include_str!("contract.rs");
        for law in &crate::laws::ALL {
            assert!(source.contains(law.name()), "`contract!` leaves out {}", law.name());
        }
    }
}
