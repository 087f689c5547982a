//! What operators are told.

use llm_core::{Notice, Severity};

use crate::{circuit::Change, state::Millis};

pub(crate) fn notice(key: String, change: Change) -> Notice {
    let seconds = |wait: Millis| ("wait_seconds", wait as f64 / 1_000.0);
    let (kind, severity, numbers) = match change {
        Change::Opened { openings, wait } => {
            ("opened", Severity::Warning, vec![("openings", f64::from(openings)), seconds(wait)])
        }
        Change::Probing => ("probing", Severity::Info, Vec::new()),
        Change::Closed => ("closed", Severity::Info, Vec::new()),
        Change::Cooling { wait } => ("cooling", Severity::Info, vec![seconds(wait)]),
        Change::ForcedOpen => ("forced_open", Severity::Warning, Vec::new()),
        Change::ForcedClosed => ("forced_closed", Severity::Warning, Vec::new()),
        Change::Reset => ("reset", Severity::Info, Vec::new()),
    };
    Notice { source: "breaker", key, kind, severity, numbers }
}
