//! `[fallback]`: what is answered when all has failed, and when.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    let case = |case: &str| format!("retry = false\nfallback = {{ cases = [{{ {case} }}] }}");
    vec![
        set(
            "fallback.message",
            &case("when = { workflow = 'w' }, message = 'Later.'").replace("cases", "message = 'Away.', cases"),
        )
        .tell([Tell::Served, Tell::Text])
        .ask(ask("fails"))
        .sees("ok degraded Away."),
        set("fallback.cases[0].message", &case("message = 'Away.'"))
            .rather("'Later.'")
            .tell([Tell::Served, Tell::Text])
            .ask(ask("fails"))
            .sees("ok degraded Away."),
        set("fallback.cases[0].target", &case("target = 'simulated/n'"))
            .rather("'simulated/m'")
            .tell([Tell::Served, Tell::Went])
            .ask(ask("fails"))
            .sees("ok degraded fails+n"),
        set("fallback.cases[0].when.kinds", &case("when = { kinds = 'overloaded' }, message = 'Away.'"))
            .ask(ask("fails"))
            .ask(ask("busy"))
            .sees("server | ok"),
        set("fallback.cases[0].when.workflow", &case("when = { workflow = 'w' }, message = 'Away.'"))
            .ask(ask("fails"))
            .ask(ask("fails").workflow("w"))
            .sees("server | ok"),
        set("fallback.cases[0].when.intent", &case("when = { intent = 'code' }, message = 'Away.'"))
            .ask(ask("fails"))
            .ask(ask("fails").intent("code"))
            .sees("server | ok"),
    ]
}
