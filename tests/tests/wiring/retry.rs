//! `[retry]`: how often, after how long, and how many in all.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        set("retry.preset", "retry = { preset = 'batch', jitter = 'none' }")
            .tell([Tell::Attempts, Tell::Took])
            .ask(ask("waits"))
            .or("'interactive'")
            .sees("rate_limited x3 180s"),
        set("retry.base", "retry = { jitter = 'none', base = '3s' }")
            .tell([Tell::Took])
            .ask(ask("fails"))
            .sees("server 9s"),
        set("retry.throttled_base", "retry = { jitter = 'none', throttled_base = '3s' }")
            .tell([Tell::Took])
            .ask(ask("busy"))
            .sees("overloaded 9s"),
        set("retry.cap", "retry = { jitter = 'none', base = '3s', cap = '4s' }")
            .tell([Tell::Took])
            .ask(ask("fails"))
            .sees("server 7s"),
        set("retry.longest_advice", "retry = { jitter = 'none', longest_advice = '2m' }")
            .tell([Tell::Attempts])
            .ask(ask("waits"))
            .sees("rate_limited x3"),
        set("retry.most_retries", "retry = { most_retries = 1 }")
            .tell([Tell::Attempts])
            .ask(ask("fails"))
            .sees("server x2"),
        set("retry.jitter", "retry = { jitter = 'none', base = '4s' }")
            .tell([Tell::Took])
            .ask(ask("fails"))
            .or("'full'")
            .sees("server 12s")
            .of_all_targets(),
        set("retry.targets", "retry = { targets = 1 }")
            .ask(ask("m"))
            .ask(ask("n"))
            .measure("llm.retry.targets")
            .sees("ok | ok | llm.retry.targets 1")
            .of_all_targets(),
    ];
    // Of twenty calls that fail at once, none of which the breaker stops, each would be tried again twice.
    let quota = [
        ("enabled", "false", "llm.retry.decisions retried 40"),
        ("percent", "100", "llm.retry.decisions retried 30"),
        ("per_second", "2", "llm.retry.decisions retried 24"),
        ("seconds", "5", "llm.retry.decisions retried 9"),
    ];
    entries.extend(quota.map(|(option, value, seen)| {
        let config =
            format!("breaker = false\nretry = {{ jitter = 'none', base = '1ms', quota = {{ {option} = {value} }} }}");
        set(&format!("retry.quota.{option}"), &config)
            .quietly(20, ask("fails"))
            .measure("llm.retry.decisions retried")
            .sees(seen)
            .of_all_targets()
    }));
    entries
}
