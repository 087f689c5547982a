//! What operators are told.

use llm_core::{NanoUsd, Notice, Severity};

use crate::{AccountKey, Change, cell::News};

/// Amounts in notices are dollars: they are for people and their charts.
pub(crate) fn dollars(amount: NanoUsd) -> f64 {
    amount.0 as f64 / 1e9
}

pub(crate) fn of(key: &AccountKey, news: News) -> Notice {
    let (kind, severity, numbers) = match news {
        News::Reached(alert) => {
            let severity = match alert.share.get() {
                0..80 => Severity::Info,
                80..100 => Severity::Warning,
                _ => Severity::Critical,
            };
            let numbers = vec![
                ("percent", f64::from(alert.share.get())),
                ("spent_usd", dollars(alert.spent)),
                ("cap_usd", dollars(alert.cap)),
            ];
            ("reached", severity, numbers)
        }
        News::Refused { left } => ("refused", Severity::Warning, vec![("left_usd", dollars(left))]),
    };
    notice(key, kind, severity, numbers)
}

pub(crate) fn of_change(key: &AccountKey, change: Change) -> Notice {
    let (kind, severity, numbers) = match change {
        Change::TopUp(amount) => ("topped_up", Severity::Info, vec![("added_usd", dollars(amount))]),
        Change::Reset => ("reset", Severity::Info, Vec::new()),
        Change::Freeze => ("frozen", Severity::Warning, Vec::new()),
        Change::Unfreeze => ("unfrozen", Severity::Info, Vec::new()),
    };
    notice(key, kind, severity, numbers)
}

pub(crate) fn of_crowd(rule: &str, accounts: usize) -> Notice {
    notice(rule, "crowded", Severity::Warning, vec![("accounts", accounts as f64)])
}

fn notice(key: impl ToString, kind: &'static str, severity: Severity, numbers: Vec<(&'static str, f64)>) -> Notice {
    Notice { source: "budget", key: key.to_string(), kind, severity, numbers }
}
