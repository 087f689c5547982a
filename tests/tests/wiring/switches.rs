//! The layers themselves, which are there or not.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
    stage::Step,
};

pub(crate) fn entries() -> Vec<Entry> {
    let m = || ask("m");
    vec![
        set(
            "classify",
            "classify = { tenants = ['clinic'] }\n\
             router = { rules = [{ when = { sensitivity = 'sensitive' }, refuse = 'no' }] }",
        )
        .ask(m().of("clinic"))
        .sees("forbidden"),
        set("fallback", "retry = false\nfallback = { message = 'Away.' }").ask(ask("fails")).sees("ok"),
        set("limit", "limit = { rules = [{ name = 'all', requests_per_minute = 1 }] }")
            .quietly(1, m())
            .ask(m())
            .sees("limit_exceeded"),
        set("cache", "cache = true").tell([Tell::Cache]).quietly(1, m()).ask(m()).sees("ok hit"),
        set("prompt_cache", "prompt_cache = true")
            .ask(m().says("Why? ".repeat(2_000)))
            .measure("llm.prompt_cache.asked")
            .sees("ok | llm.prompt_cache.asked 1"),
        set("hedge", "hedge = true").ask(m()).measure("llm.hedge.targets").sees("ok | llm.hedge.targets 1"),
        set("retry", "retry = false").tell([Tell::Attempts]).ask(ask("fails")).sees("server x1"),
        set("budget", "budget = { caps = [{ name = 'all', amounts = { usd = '1', window = 'day' } }] }")
            .ask(m().most(10))
            .then(Step::Accounts)
            .sees("ok | all: $0.000113"),
        set("breaker", "retry = false\nbreaker = false").until_open(ask("fails")).sees("stays closed"),
        set("timeout", "retry = false\ntimeout = false").tell([Tell::Took]).ask(ask("hangs")).sees("left 36000s"),
    ]
}
