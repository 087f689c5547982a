//! What a configuration file says is what the layer does, and what makes no sense is refused.

use super::*;
use crate::Per;

fn build(text: &str) -> Result<BudgetLayer, String> {
    let config: BudgetConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    BudgetLayer::try_from(config).map_err(|error| error.to_string())
}

fn refusal(text: &str) -> String {
    build(text).map(|_| ()).unwrap_err()
}

fn rule(text: &str) -> Result<CapRule, String> {
    let config: CapConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    config.build().map_err(|error| error.to_string())
}

fn cap(usd: &str, window: Window) -> Cap {
    Cap::new(usd.parse().unwrap(), window)
}

#[test]
fn a_rule_is_what_it_says() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let text = r#"
        name = "n"
        per = ["user", "model"]
        amounts = [
            { usd = "2.50", window = "1h" },
            { usd = 3, window = "day" },
            { usd = 4.25, window = "month", zone = "CET-1CEST,M3.5.0,M10.5.0/3" },
            { usd = "5", window = "lifetime" },
        ]
        strictness = "soft"
        alerts = [10, 100]
        tenants = "acme"
        users = ["bob"]
        keys = ["ci"]
        workflows = ["chat"]
        jobs = ["7"]
        models = ["o3*"]
        instead_of = "all"
    "#;
    let expected =
        CapRule::new("n", Per::USER.and(Per::MODEL), cap("2.50", Window::Rolling(Duration::from_secs(3600))))
            .cap(cap("3", Window::DAY))
            .cap(cap("4.25", Window::Month(berlin)))
            .cap(cap("5", Window::Lifetime))
            .soft()
            .alert_at([10, 100].map(|share| Percent::new(share).unwrap()))
            .tenants(["acme"])
            .users(["bob"])
            .keys(["ci"])
            .workflows(["chat"])
            .jobs(["7"])
            .models(["o3*"])
            .instead_of("all");
    assert_eq!(rule(text), Ok(expected));
    let least = CapRule::new("n", Per::GLOBAL, cap("1", Window::DAY));
    assert_eq!(rule("name = 'n'\namounts = { usd = '1', window = 'day' }"), Ok(least));
}

#[test]
fn a_zone_is_found_by_its_name_where_the_machine_knows_it() {
    let built = rule("name = 'n'\namounts = { usd = '1', window = 'day', zone = 'UTC' }").unwrap();
    assert_eq!(built.caps().len(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let of = |amount: &str| refusal(&format!("[[caps]]\nname = 'n'\namounts = {amount}"));
    assert_eq!(of("{ usd = '-1', window = 'day' }"), "`-1` is negative");
    assert_eq!(of("{ usd = -1, window = 'day' }"), "`-1` is negative");
    assert_eq!(of("{ usd = 'much', window = 'day' }"), "`much` is not a decimal number");
    assert!(of("{ usd = '1', window = 'fortnight' }").contains("`fortnight` is no window: say `day`"));
    assert_eq!(
        of("{ usd = '1', window = '59s' }"),
        "caps[0].amounts[0].window: the length must be from a minute to a year"
    );
    assert_eq!(
        of("{ usd = '1', window = 'day', zone = 'Atlantis' }"),
        "caps[0].amounts[0].zone: no time zone called `Atlantis` is known here, and it is none in POSIX form"
    );
    assert!(of("{ usd = '1', window = '1h', zone = 'UTC' }").contains("only days and months"));
    assert_eq!(of("[]"), "caps[0].amounts: the list is empty: it needs an amount");
    assert!(of("[{ usd = 1, window = 'day' }, { usd = 2, window = 'day' }]").contains("two amounts for one window"));
    assert!(of("{ usd = '1', window = 'day', per = 'x' }").contains("unknown field"));

    assert_eq!(
        of("[{ usd = 20, window = 'day' }, { usd = 10, window = 'month' }]"),
        "caps[0].amounts[0].usd: a longer window allows less than this one, which is so never reached"
    );
    assert!(
        of("[{ usd = 9, window = 'lifetime' }, { usd = 10, window = '40d' }]").starts_with("caps[0].amounts[1].usd")
    );
    assert!(of("[{ usd = 6, window = '1h' }, { usd = 5, window = '2h' }]").starts_with("caps[0].amounts[0].usd"));
    // Either may be reached first: a rolling day has parts of two days of the calendar.
    assert!(rule("name = 'n'\namounts = [{ usd = 5, window = 'day' }, { usd = 4, window = '24h' }]").is_ok());
    assert!(rule("name = 'n'\namounts = [{ usd = 5, window = 'day' }, { usd = 5, window = 'month' }]").is_ok());

    let with = |line: &str| refusal(&format!("[[caps]]\nname = 'n'\namounts = {{ usd = 1, window = 'day' }}\n{line}"));
    assert!(with("per = 'team'").contains("not by `team`"));
    assert!(with("per = ['global', 'tenant']").contains("stands alone"));
    assert_eq!(with("alerts = [0]"), "caps[0].alerts: a percentage must be from 1 to 100");
    assert_eq!(with("tenants = []"), "caps[0].tenants: the list is empty: leave it out");
    assert!(
        with("[[caps]]\nname = 'n'\namounts = { usd = 1, window = 'day' }")
            .contains("caps[1].name: `n` stands there twice")
    );

    let instead = |name: &str| {
        with(&format!("[[caps]]\nname = 'other'\namounts = {{ usd = 2, window = 'day' }}\ninstead_of = '{name}'"))
    };
    for name in ["other", "nobody"] {
        assert_eq!(instead(name), format!("caps[1].instead_of: no rule before this one is called `{name}`"));
    }

    for key in ["likely_output", "slice", "assumed_output", "fit_output", "most_tokens", "most_accounts"] {
        assert_eq!(refusal(&format!("{key} = 0")), format!("{key}: the number must be at least 1"));
    }
    let most = |more: &str| refusal(&format!("most_tokens = 4096\n{more}"));
    assert!(
        most("").starts_with("most_tokens: a call that states no ceiling is assumed to have an answer of 4096 tokens")
    );
    for reachable in ["most_tokens = 4097", "most_tokens = 10\nassumed_output = 9", "most_tokens = 10\nfit_output = 1"]
    {
        assert!(build(reachable).is_ok(), "{reachable}");
    }
    assert_eq!(refusal("most_cost = '0'"), "most_cost: the amount must be more than zero");
    assert_eq!(refusal("when_short = { finish = 0 }"), "when_short.finish: the number must be at least 1");
    assert!(refusal("streams = 'worst_case'\nslice = 5").contains("it means nothing where streams are not metered"));
    assert!(refusal("").contains("nothing would be refused"));
    assert!(refusal("cap = 1").contains("unknown field"));
}
