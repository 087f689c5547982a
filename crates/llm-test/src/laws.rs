//! The laws that every layer keeps, as functions.
//!
//! Each takes a function that builds a [`Subject`] with fresh state, and panics with a sentence that says what the
//! layer broke. All of them are meant for paused time: [`contract!`](crate::contract) and [`Law::hold`] see to it,
//! whoever calls a law directly does so from `#[tokio::test(start_paused = true)]`.

mod context;
mod ending;
mod operation;
mod readiness;
mod rejection;
mod release;
mod secrecy;
mod stage;
mod stream;
mod table;
mod time;

use std::{borrow::Cow, fmt, pin::Pin};

pub use context::{context_reaches_inner, inner_error_passes_unchanged};
pub use ending::{drop_body_reports_abandoned, end_of_stream_reports_once, error_frame_reports_failed};
pub use operation::{
    bad_config_is_refused_at_construction, keyed_state_is_bounded, slow_listener_slows_nobody,
    state_is_shared_by_clones_and_layers, types_are_clone_send_sync_debug,
};
pub use readiness::{
    calls_only_ready_instance, clone_is_not_ready, readies_before_each_attempt, ready_without_call_releases,
};
pub use rejection::{rejection_is_not_a_readiness_error, rejects_while_inner_is_never_ready};
pub use release::{drop_future_releases, panic_releases};
pub use secrecy::no_content_in_debug_or_logs;
pub use stream::frames_pass_unchanged_without_delay;
pub use table::ALL;
pub use time::{follows_paused_time, pending_is_woken_not_spun};

use crate::Subject;

/// What a law found. A layer that breaks it makes it panic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a law that does not apply has shown nothing"]
pub enum Ruling {
    /// The layer keeps the law.
    Kept,
    /// There was nothing to test, for this reason.
    NotApplicable(Cow<'static, str>),
}

impl Ruling {
    fn not_applicable(reason: &'static str) -> Self {
        Self::NotApplicable(Cow::Borrowed(reason))
    }
}

/// The future of a law.
pub type Check<'a> = Pin<Box<dyn Future<Output = Ruling> + 'a>>;

/// A law by name, for those who run many on many layers.
#[derive(Clone, Copy)]
pub struct Law {
    name: &'static str,
    check: for<'a> fn(&'a dyn Fn() -> Subject) -> Check<'a>,
}

impl Law {
    /// The law of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> &'static Self {
        ALL.iter().find(|law| law.name == name).unwrap_or_else(|| panic!("there is no law of the name {name}"))
    }

    /// The law's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Checks the law, on whatever runtime the future is polled.
    pub fn check<'a>(&self, subject: &'a dyn Fn() -> Subject) -> Check<'a> {
        (self.check)(subject)
    }

    /// Checks the law on a runtime of its own with paused time, and prints why if it does not apply.
    ///
    /// # Panics
    /// When the layer breaks the law.
    pub fn hold(&self, subject: impl Fn() -> Subject) -> Ruling {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime for one thread can be built");
        let ruling = runtime.block_on(self.check(&subject));
        if let Ruling::NotApplicable(reason) = &ruling {
            println!("{} does not apply to {}: {reason}", self.name, subject().name());
        }
        ruling
    }
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Law({})", self.name)
    }
}
