//! `[hedge]`: when a second attempt is made beside the first, and how many of those there may be.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        set("hedge.fixed", "retry = false\nhedge = { fixed = '1s', percent = 100 }")
            .tell([Tell::Attempts])
            .ask(ask("slow"))
            .sees("ok x2"),
        set("hedge.floor", "retry = false\nhedge = { floor = '1s', samples = 20, percent = 100 }")
            .tell([Tell::Took])
            .quietly(20, ask("slow-once"))
            .ask(ask("slow-once"))
            .sees("ok 1.19s"),
        set("hedge.samples", "retry = false\nhedge = { samples = 20, percent = 100 }")
            .tell([Tell::Attempts])
            .quietly(20, ask("slow-once"))
            .ask(ask("slow-once"))
            .sees("ok x2"),
        set("hedge.percent", "retry = false\nhedge = { fixed = '1s', percent = 100 }")
            .tell([Tell::Attempts])
            .ask(ask("slow"))
            .sees("ok x2")
            .of_all_targets(),
        set("hedge.burst", "retry = false\nhedge = { fixed = '1s', percent = 50, burst = 1 }")
            .tell([Tell::Attempts])
            .quietly(4, ask("slows"))
            .together([ask("slows"), ask("slows"), ask("slows")])
            .sees("ok x2 | ok x1 | ok x1")
            .of_all_targets(),
        set("hedge.targets", "hedge = { targets = 1 }")
            .ask(ask("m"))
            .ask(ask("n"))
            .measure("llm.hedge.targets")
            .sees("ok | ok | llm.hedge.targets 1")
            .of_all_targets(),
    ]
}
