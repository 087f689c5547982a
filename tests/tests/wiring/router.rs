//! `[router]`: which calls go where.

use crate::{
    ask::{Ask, Tell, ask},
    entry::{Entry, set},
    stage::Step,
};

pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        set(
            "router.content_policy_failover",
            "router = { content_policy_failover = true, routes = { r = { targets = ['forbids', 'm'] } } }",
        )
        .tell([Tell::Went])
        .ask(ask("r"))
        .sees("ok forbids+m"),
        set("router.routes.r.targets", "router = { routes = { r = { targets = 'm' } } }")
            .rather("'n'")
            .tell([Tell::Went])
            .ask(ask("r"))
            .sees("ok m"),
        set("router.routes.r.targets[0].target", "router = { routes = { r = { targets = [{ target = 'm' }] } } }")
            .rather("'n'")
            .tell([Tell::Went])
            .ask(ask("r"))
            .sees("ok m"),
        set(
            "router.routes.r.targets[0].weight",
            "router = { routes = { r = { strategy = 'weighted', targets = [{ target = 'm', weight = 0 }, 'n'] } } }",
        )
        .then(Step::Spread(40, ask("r")))
        .sees("n"),
        set(
            "router.routes.r.strategy",
            "router = { routes = { r = { strategy = 'cheapest', targets = ['dear', 'm'] } } }",
        )
        .tell([Tell::Went])
        .ask(ask("r"))
        .sees("ok m"),
        set("router.routes.r.then", "retry = false\nrouter = { routes = { r = { targets = 'fails', then = 'm' } } }")
            .tell([Tell::Went, Tell::Served])
            .ask(ask("r"))
            .sees("ok fails+m substitute"),
        set("router.rules[0].name", "router = { rules = [{ name = 'first', refuse = 'closed' }] }")
            .ask(ask("m"))
            .then(Step::Rules)
            .sees("forbidden | first"),
        set("router.rules[0].use", "router = { rules = [{ use = 'n' }] }")
            .rather("'m'")
            .tell([Tell::Went])
            .ask(ask("m"))
            .sees("ok n"),
        set("router.rules[0].use[0].target", "router = { rules = [{ use = [{ target = 'n' }] }] }")
            .rather("'m'")
            .tell([Tell::Went])
            .ask(ask("m"))
            .sees("ok n"),
        set(
            "router.rules[0].use[0].weight",
            "router = { strategy = 'weighted', rules = [{ use = [{ target = 'm', weight = 0 }, 'n'] }] }",
        )
        .then(Step::Spread(40, ask("m")))
        .sees("n"),
        set(
            "router.rules[0].require_tags",
            "router = { rules = [{ when = { model = 'm' }, require_tags = 'eu', use = 'm' }] }",
        )
        .ask(ask("m"))
        .sees("no_route"),
        set("router.rules[0].refuse", "router = { rules = [{ refuse = 'closed' }] }")
            .rather("'shut'")
            .tell([Tell::Text])
            .ask(ask("m"))
            .sees("forbidden closed"),
    ];
    // Which of them are asked in forty calls about different things. In their order it is the first alone.
    let strategies = [
        ("'weighted'", ["m", "n"], "m, n"),
        ("'cheapest'", ["dear", "m"], "m"),
        ("'fastest'", ["late", "m"], "late, m"),
        ("'least_loaded'", ["m", "n"], "m, n"),
        ("'power_of_two'", ["m", "n"], "m, n"),
        ("'affinity'", ["m", "n"], "m, n"),
        ("{ blend = 1.0 }", ["dear", "m"], "m"),
    ];
    for (strategy, [first, second], seen) in strategies {
        let (strategy, targets) = (format!("strategy = {strategy}"), format!("targets = ['{first}', '{second}']"));
        for entry in [
            set("router.strategy", &format!("router = {{ {strategy}, routes = {{ r = {{ {targets} }} }} }}")),
            set("router.routes.r.strategy", &format!("router = {{ routes = {{ r = {{ {strategy}, {targets} }} }} }}")),
        ] {
            entries.push(entry.or("'ordered'").then(Step::Spread(40, ask("r"))).sees(seen));
        }
    }
    let blend = "strategy = { blend = 1.0 }";
    for (place, config) in [
        (
            "router.strategy.blend",
            format!("router = {{ {blend}, routes = {{ r = {{ targets = ['late', 'dear'] }} }} }}"),
        ),
        (
            "router.routes.r.strategy.blend",
            format!("router = {{ routes = {{ r = {{ {blend}, targets = ['late', 'dear'] }} }} }}"),
        ),
    ] {
        entries.push(set(place, &config).rather("0.0").then(Step::Spread(40, ask("r"))).sees("late"));
    }
    let m = || ask("m");
    let conditions: [(&str, &str, Ask, Ask); 10] = [
        ("model", "model = 'n'", ask("n"), m()),
        ("intent", "intent = 'code'", m().intent("code"), m()),
        ("sensitivity", "sensitivity = 'sensitive'", m().sensitive(), m()),
        ("tenant", "tenant = 'a'", m().of("a"), m()),
        ("user", "user = 'a'", m().user("a"), m()),
        ("workflow", "workflow = 'w'", m().workflow("w"), m()),
        ("tags", "tags = 't'", m().tag("t"), m()),
        (
            "input_tokens.at_least",
            "input_tokens = { at_least = 100, at_most = 1000 }",
            m().says("sky ".repeat(400)),
            m(),
        ),
        ("input_tokens.at_most", "input_tokens = { at_least = 0, at_most = 100 }", m(), m().says("sky ".repeat(400))),
        ("needs", "needs = 'tools'", m().with_tool(), m()),
    ];
    entries.extend(conditions.map(|(option, when, held, other)| {
        let config = format!("router = {{ rules = [{{ when = {{ {when} }}, refuse = 'no' }}] }}");
        let entry = set(&format!("router.rules[0].when.{option}"), &config);
        let entry = if option == "sensitivity" { entry.or("'normal'") } else { entry };
        entry.ask(held).ask(other).sees("forbidden | ok")
    }));
    entries.push(
        set("router.rules[0].when.stream", "router = { rules = [{ when = { stream = true }, refuse = 'no' }] }")
            .ask(m())
            .whole("ok")
            .stream_alike("a rule that holds for all calls holds for streams"),
    );
    entries.push(
        set("router.rules[0].when.stream", "router = { rules = [{ when = { stream = false }, refuse = 'no' }] }")
            .ask(m())
            .stream("ok")
            .whole_alike("a rule that holds for all calls holds for whole answers"),
    );
    entries
}
