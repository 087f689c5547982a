//! `[cache]`: what is kept, for whom and how long.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    let m = || ask("m");
    let mut entries = vec![
        kept("scope", "cache = { scope = 'user' }")
            .or("'tenant'")
            .quietly(1, m().user("a"))
            .ask(m().user("b"))
            .sees("ok miss"),
        kept("scope", "cache = { scope = 'everyone' }").quietly(1, m().of("a")).ask(m().of("b")).sees("ok hit"),
        kept("irrelevant_fields", "cache = { irrelevant_fields = 'x_trace' }")
            .quietly(1, m().field("x_trace", "1"))
            .ask(m().field("x_trace", "2"))
            .sees("ok hit"),
        set("cache.capacity", "cache = { capacity = 4096 }")
            .quietly(1, m().says("a"))
            .quietly(1, m().says("b"))
            .quietly(1, m().says("c"))
            .quietly(1, m().says("d"))
            .quietly(1, m().says("e"))
            .measure("llm.cache.entries")
            .whole("llm.cache.entries 3")
            .stream("llm.cache.entries 2"),
        kept("entry_limit", "cache = { entry_limit = 10 }").quietly(1, m()).ask(m()).sees("ok miss"),
        kept("local", "cache = { local = true }").quietly(1, m().sensitive()).ask(m().sensitive()).sees("ok hit"),
        kept("ttl", "cache = { ttl = '1m' }").quietly(1, m()).wait("2m").ask(m()).sees("ok miss"),
        kept("stale_while_revalidate", "cache = { ttl = '1m', stale_while_revalidate = '1h' }")
            .quietly(1, m())
            .wait("2m")
            .ask(m())
            .sees("ok stale"),
        kept("stale_if_error", "retry = false\ncache = { ttl = '1m', stale_if_error = '0s' }")
            .quietly(1, ask("wears"))
            .wait("2m")
            .ask(ask("wears"))
            .sees("server no head"),
        set("cache.keep_failures", "cache = { keep_failures = '1m' }")
            .tell([Tell::Attempts])
            .ask(ask("refuses"))
            .ask(ask("refuses"))
            .sees("invalid_request x1 | invalid_request x0"),
        kept("renewals", "cache = { ttl = '1m', stale_while_revalidate = '1h', renewals = 0 }")
            .quietly(1, m())
            .wait("2m")
            .ask(m())
            .wait("1s")
            .ask(m())
            .sees("ok stale | ok stale"),
        set("cache.replay", "cache = { replay = '20ms' }")
            .tell([Tell::Took])
            .quietly(1, m())
            .ask(m())
            .stream("ok 0.18s")
            .whole_alike("a whole answer is handed on at once"),
        kept("rules[0].use_for", "cache = { rules = [{ use_for = 'all', ttl = '1h' }] }")
            .or("'deterministic'")
            .quietly(1, m().warm())
            .ask(m().warm())
            .sees("ok hit"),
        kept("rules[0].use_for", "cache = { rules = [{ use_for = 'never', ttl = '1h' }] }")
            .quietly(1, m())
            .ask(m())
            .sees("ok uncached"),
        kept("rules[0].ttl", "cache = { rules = [{ use_for = 'deterministic', ttl = '1m' }] }")
            .quietly(1, m())
            .wait("2m")
            .ask(m())
            .sees("ok miss"),
    ];
    let lists = [("models", "n", ask("n"), m()), ("workflows", "w", m().workflow("w"), m())];
    entries.extend(lists.map(|(list, name, about, other)| {
        kept(
            &format!("rules[0].{list}"),
            &format!("cache = {{ rules = [{{ {list} = '{name}', use_for = 'never' }}] }}"),
        )
        .quietly(1, about.clone())
        .ask(about)
        .quietly(1, other.clone())
        .ask(other)
        .sees("ok uncached | ok hit")
    }));
    entries
}

fn kept(option: &str, config: &str) -> Entry {
    set(&format!("cache.{option}"), config).tell([Tell::Cache])
}
