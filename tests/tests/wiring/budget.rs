//! `[budget]`: what may be spent, by whom, and what is set aside for a call.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
    limit::lists,
    stage::Step,
};

const WHOLE_ALIKE: &str = "for a whole answer all that it may come to is set aside, since nobody sees it grow";

/// An answer of ten tokens costs about 0.0001 dollars.
const ONE_CALL: &str = "amounts = { usd = '0.00015', window = 'lifetime' }";

const ENOUGH: &str = "amounts = { usd = '1', window = 'day' }";

const NO_CALL: &str = "refused: budget.covers: each attempt goes through the budget here, so covering calls would pay for \
                       some of them twice";

pub(crate) fn entries() -> Vec<Entry> {
    let m = || ask("m").most(10);
    let mut entries = vec![
        set("budget.caps[0].name", &caps(&format!("{{ name = 'all', {ENOUGH} }}")))
            .rather("'others'")
            .ask(m())
            .then(Step::Accounts)
            .sees("ok | all: $0.000113"),
        set("budget.caps[0].per", &caps(&format!("{{ name = 'all', per = ['tenant', 'model'], {ENOUGH} }}")))
            .quietly(1, m().of("a"))
            .quietly(1, m().of("b"))
            .then(Step::Accounts)
            .sees("all (tenant a, model simulated/m): $0.000113 | all (tenant b, model simulated/m): $0.000113"),
        set("budget.caps[0].amounts.usd", &caps(&format!("{{ name = 'all', {ONE_CALL} }}")))
            .rather("'1'")
            .ask(m())
            .ask(m())
            .sees("ok | budget_exceeded"),
        set(
            "budget.caps[0].amounts.zone",
            &caps("{ name = 'all', amounts = { usd = '0.00015', window = 'day', zone = '<+05>-5' } }"),
        )
        .tell([Tell::AgainAt])
        .quietly(1, m())
        .ask(m())
        .sees("budget_exceeded again at 19:00"),
        set("budget.caps[0].strictness", &caps(&format!("{{ name = 'all', strictness = 'soft', {ONE_CALL} }}")))
            .ask(m())
            .or("'hard'")
            .ask(m())
            .sees("ok | ok"),
        set(
            "budget.caps[0].alerts",
            &caps("{ name = 'all', alerts = [10], amounts = { usd = '0.0005', window = 'day' } }"),
        )
        .ask(m())
        .then(Step::Notices)
        .sees("ok | reached of all"),
        set(
            "budget.caps[1].instead_of",
            &caps(&format!(
                "{{ name = 'all', {ONE_CALL} }}, \
                            {{ name = 'a', tenants = 'a', instead_of = 'all', {ENOUGH} }}"
            )),
        )
        .ask(m().of("a"))
        .ask(m().of("a"))
        .sees("ok | ok"),
        set("budget.streams", &tight("streams = 'worst_case'", "0.02"))
            .ask(ask("m"))
            .or("'metered'")
            .stream("budget_exceeded")
            .whole_alike(WHOLE_ALIKE),
        set("budget.likely_output", &tight("likely_output = 10", "0.005"))
            .ask(ask("m"))
            .stream("ok")
            .whole_alike(WHOLE_ALIKE),
        set("budget.slice", &tight("slice = 10_000, likely_output = 4", "0.002"))
            .tell([Tell::Output])
            .ask(ask("m"))
            .stream("budget_exceeded 0")
            .whole_alike(WHOLE_ALIKE),
        set("budget.when_short", &tight("when_short = { finish = 1000 }, likely_output = 4", "0.00008"))
            .or("'cut'")
            .ask(ask("m"))
            .stream("ok")
            .whole_alike(WHOLE_ALIKE),
        set("budget.when_short.finish", &tight("when_short = { finish = 1000 }, likely_output = 4", "0.00008"))
            .rather("1")
            .ask(ask("m"))
            .stream("ok")
            .whole_alike(WHOLE_ALIKE),
        set("budget.assumed_output", &tight("assumed_output = 5", "1")).tell([Tell::Output]).ask(ask("m")).sees("ok 5"),
        set("budget.fit_output", &tight("fit_output = 2", "0.0001"))
            .tell([Tell::Output])
            .ask(ask("m").most(20))
            .sees("ok 8"),
        set("budget.most_tokens", "budget = { assumed_output = 50, most_tokens = 100, most_cost = '1' }")
            .ask(ask("m").most(200))
            .sees("budget_exceeded"),
        set("budget.most_cost", "budget = { assumed_output = 50, most_tokens = 1000, most_cost = '0.001' }")
            .ask(ask("m").most(200))
            .sees("budget_exceeded"),
        set(
            "budget.most_accounts",
            &format!("budget = {{ most_accounts = 1, caps = [{{ name = 'all', per = 'tenant', {ENOUGH} }}] }}"),
        )
        .ask(m().of("a"))
        .ask(m().of("b"))
        .sees("ok | budget_exceeded"),
        set("budget.covers", &tight("covers = 'call'", "1")).or("'attempt'").ask(m()).sees(NO_CALL),
    ];
    let windows = [
        ("lifetime", "day", "25h", "budget_exceeded"),
        ("day", "lifetime", "25h", "ok"),
        ("month", "lifetime", "32days", "ok"),
        ("1h", "lifetime", "62m", "ok"),
    ];
    entries.extend(windows.map(|(window, other, time, seen)| {
        let config = caps(&format!("{{ name = 'all', amounts = {{ usd = '0.00015', window = '{window}' }} }}"));
        set("budget.caps[0].amounts.window", &config)
            .rather(&format!("'{other}'"))
            .quietly(1, m())
            .wait(time)
            .ask(m())
            .sees(seen)
    }));
    entries.extend(lists().map(|(list, concerned, other)| {
        let config = format!("{{ name = 'some', {list} = 'a', amounts = {{ usd = '0.00015', window = 'day' }} }}");
        set(&format!("budget.caps[0].{list}"), &caps(&config.replace("models = 'a'", "models = 'n'")))
            .ask(other.clone())
            .ask(other)
            .ask(concerned.clone())
            .ask(concerned)
            .sees("ok | ok | ok | budget_exceeded")
    }));
    entries.extend(lists().map(|(list, one, other)| {
        let per = list.trim_end_matches('s');
        set("budget.caps[0].per", &caps(&format!("{{ name = 'all', per = '{per}', {ONE_CALL} }}")))
            .or("'global'")
            .ask(one)
            .ask(other)
            .sees("ok | ok")
    }));
    entries
}

fn caps(caps: &str) -> String {
    format!("budget = {{ caps = [{caps}] }}")
}

/// A budget of so many dollars, with this setting.
fn tight(setting: &str, usd: &str) -> String {
    format!("budget = {{ {setting}, caps = [{{ name = 'all', amounts = {{ usd = '{usd}', window = 'day' }} }}] }}")
}
