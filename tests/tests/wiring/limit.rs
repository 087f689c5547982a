//! `[limit]`: what each caller may ask for.

use crate::{
    ask::{Ask, Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        set("limit.rules[0].name", &rules("{ name = 'all', requests_per_minute = 1 }"))
            .rather("'others'")
            .tell([Tell::Text])
            .quietly(1, ask("m"))
            .ask(ask("m"))
            .sees("limit_exceeded the limit `all` is reached (requests a minute: 1)"),
        set("limit.rules[0].requests_per_minute", &rules("{ name = 'all', requests_per_minute = 1 }"))
            .rather("2")
            .tell([Tell::Again])
            .quietly(1, ask("m"))
            .ask(ask("m"))
            .sees("limit_exceeded again in 59.81s"),
        set("limit.rules[0].tokens_per_minute", &rules("{ name = 'all', tokens_per_minute = 10 }"))
            .rather("1000")
            .ask(ask("m"))
            .ask(ask("m"))
            .sees("ok | limit_exceeded"),
        set("limit.rules[0].at_once", &rules("{ name = 'all', at_once = 1 }"))
            .rather("2")
            .together([ask("m"), ask("m")])
            .sees("ok | limit_exceeded"),
        set(
            "limit.rules[1].instead_of",
            &rules(
                "{ name = 'all', requests_per_minute = 1 }, \
                 { name = 'a', tenants = 'a', requests_per_minute = 2, instead_of = 'all' }",
            ),
        )
        .ask(ask("m").of("a"))
        .ask(ask("m").of("a"))
        .sees("ok | ok"),
        set(
            "limit.most_callers",
            "limit = { most_callers = 1, rules = [{ name = 'all', per = 'tenant', requests_per_minute = 1 }] }",
        )
        .ask(ask("m").of("a"))
        .ask(ask("m").of("b"))
        .ask(ask("m").of("c"))
        .sees("ok | ok | limit_exceeded"),
        set(
            "limit.expected_output",
            "limit = { expected_output = 900, rules = [{ name = 'all', tokens_per_minute = 1200 }] }",
        )
        .together([ask("m"), ask("m")])
        .sees("ok | limit_exceeded"),
    ];
    entries.extend(lists().map(|(list, concerned, other)| {
        let config = rules(
            &format!("{{ name = 'some', requests_per_minute = 1, {list} = 'a' }}")
                .replace("models = 'a'", "models = 'n'"),
        );
        set(&format!("limit.rules[0].{list}"), &config)
            .ask(other.clone())
            .ask(other)
            .ask(concerned.clone())
            .ask(concerned)
            .sees("ok | ok | ok | limit_exceeded")
    }));
    entries.extend(lists().map(|(list, one, other)| {
        let config = format!("{{ name = 'all', requests_per_minute = 1, per = '{}' }}", list.trim_end_matches('s'));
        set("limit.rules[0].per", &rules(&config)).or("'global'").ask(one).ask(other).sees("ok | ok")
    }));
    entries
}

fn rules(rules: &str) -> String {
    format!("limit = {{ rules = [{rules}] }}")
}

/// The lists of whom a rule is about, with a call of one who is on it (as `a`, or the model n) and of one who is not.
pub(crate) fn lists() -> [(&'static str, Ask, Ask); 6] {
    let m = || ask("m").most(10);
    [
        ("tenants", m().of("a"), m().of("b")),
        ("users", m().of("a").user("a"), m().of("a").user("b")),
        ("keys", m().key("a"), m().key("b")),
        ("workflows", m().workflow("a"), m().workflow("b")),
        ("jobs", m().job("a"), m().job("b")),
        ("models", ask("n").most(10), m()),
    ]
}
