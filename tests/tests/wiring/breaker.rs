//! `[breaker]`: when a circuit opens, for how long, and how it closes.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

/// One failure opens a circuit, for a second.
const ONE: &str = "trip = { rule = 'consecutive', failures = 1 }";

pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        set("breaker.open_for", &config(&format!("{ONE}, jitter = 0.0, open_for = '1s'")))
            .tell([Tell::Again])
            .quietly(1, ask("fails"))
            .ask(ask("fails"))
            .sees("circuit_open again in 1s"),
        set("breaker.open_at_most", &config(&format!("{ONE}, jitter = 0.0, open_at_most = '6s'")))
            .tell([Tell::Again])
            .quietly(1, ask("fails"))
            .wait("5s")
            .quietly(1, ask("fails"))
            .ask(ask("fails"))
            .sees("circuit_open again in 6s"),
        set("breaker.jitter", &config(&format!("{ONE}, jitter = 0.0, open_for = '1h'")))
            .tell([Tell::Again])
            .quietly(1, ask("fails"))
            .ask(ask("fails"))
            .sees("circuit_open again in 3600s"),
        set("breaker.probes", &config(&format!("{ONE}, jitter = 0.0, probes = 2")))
            .quietly(1, ask("mends"))
            .wait("5s")
            .together([ask("mends"), ask("mends")])
            .sees("ok | ok"),
        set("breaker.successes", &config(&format!("{ONE}, jitter = 0.0, successes = 2")))
            .quietly(1, ask("mends"))
            .wait("5s")
            .ask(ask("mends"))
            .together([ask("mends"), ask("mends")])
            .sees("ok | ok | circuit_open"),
        set("breaker.lease", &config(&format!("{ONE}, jitter = 0.0, lease = '10s'")))
            .quietly(1, ask("mends-late"))
            .wait("5s")
            .together([ask("mends-late").leaves_after("25s"), ask("mends-late").after("20s")])
            .sees("left | ok"),
        set("breaker.longest_advice", &config("longest_advice = '10s'"))
            .tell([Tell::Again])
            .ask(ask("waits"))
            .ask(ask("waits"))
            .sees("rate_limited again in 90s | circuit_open again in 10s"),
        set("breaker.slow_after", &config("slow_after = '1s'")).until_open(ask("slow")).sees("open after 16"),
        set("breaker.per", &config(&format!("{ONE}, per = 'provider'")))
            .quietly(1, ask("fails"))
            .ask(ask("m"))
            .sees("circuit_open")
            .or("'target'")
            .of_all_targets(),
        set("breaker.most_circuits", &config(&format!("{ONE}, most_circuits = 1")))
            .quietly(1, ask("fails"))
            .quietly(1, ask("busy"))
            .ask(ask("wears"))
            .sees("circuit_open")
            .of_all_targets(),
    ];
    // After how many failures it opens.
    let rules = [
        ("trip", "trip = 'consecutive'", "open after 5"),
        ("trip.failures", "trip = { rule = 'consecutive', failures = 3 }", "open after 3"),
        ("trip.usual", "trip = { rule = 'cusum', usual = 0.01 }", "open after 2"),
        ("trip.broken", "trip = { rule = 'cusum', broken = 0.9 }", "open after 6"),
        ("trip.threshold", "trip = { rule = 'cusum', threshold = 4.0 }", "open after 4"),
        ("trip.min_calls", "trip = { rule = 'rate', min_calls = 10 }", "open after 10"),
    ];
    entries.extend(rules.map(|(option, text, seen)| {
        set(&format!("breaker.{option}"), &config(text)).until_open(ask("fails")).sees(seen)
    }));
    entries.push(
        set("breaker.preset", &config("preset = 'batch'"))
            .or("'interactive'")
            .until_open(ask("fails"))
            .sees("open after 11"),
    );
    entries.push(
        set("breaker.trip.rule", &config("trip = { rule = 'consecutive' }"))
            .rather("'rate'")
            .or("'cusum'")
            .until_open(ask("fails"))
            .sees("open after 5"),
    );
    entries.push(
        set("breaker.trip.share", &config("trip = { rule = 'rate', min_calls = 10, share = 0.9 }"))
            .until_open(ask("tires"))
            .sees("stays closed"),
    );
    entries.push(
        set("breaker.trip.window", &config("trip = { rule = 'rate', min_calls = 10, window = '20s' }"))
            .quietly(9, ask("fails"))
            .wait("30s")
            .until_open(ask("fails"))
            .sees("open after 10"),
    );
    entries
}

fn config(breaker: &str) -> String {
    format!("retry = false\nbreaker = {{ {breaker} }}")
}
