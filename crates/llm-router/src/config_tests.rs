//! Each key does something, and each mistake is told with its place.

use std::sync::Arc;

use llm_core::{Caller, Image, LlmRequest, Message, PartContent, Role, Sensitivity, Source, catalog::Catalog};

use super::*;
use crate::{Facts, ProviderEntry, Route, Rule};

const INTENTS: [&str; 2] = ["code", "math"];

fn targets() -> Targets {
    let catalog = Catalog::from_toml("[[models]]\nname = 'o3'\ntags = ['eu', 'big']\n").unwrap();
    Targets::new(Arc::new(catalog))
        .provider(ProviderEntry::new("openai").models(["gpt-5", "o3", "ft:*"]).keys(["first", "second"]))
        .provider(ProviderEntry::new("azure").models(["gpt-5"]))
        .provider(ProviderEntry::new("ollama").models(["llama3"]).local())
}

fn read(text: &str) -> Result<Plan, String> {
    let config: RouterConfig = toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())?;
    config.plan(targets(), Some(&INTENTS)).map_err(|error| error.to_string())
}

fn plan(text: &str) -> Plan {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The targets of a route, by tier.
fn tiers(route: &Route) -> Vec<Vec<String>> {
    let own = route.entries.iter().flat_map(|entry| &entry.targets).map(ToString::to_string).collect();
    [own].into_iter().chain(route.then.iter().flat_map(tiers)).collect()
}

fn weights(route: &Route) -> Vec<f64> {
    route.entries.iter().map(|entry| entry.weight).collect()
}

#[test]
fn nothing_stated_is_a_plan() {
    let plan = plan("");
    assert!(plan.routes.is_empty() && plan.rules.is_empty() && !plan.content_policy_failover);
}

#[test]
fn each_key_of_a_route_does_something() {
    let plan = plan(
        r#"
        content_policy_failover = true
        [routes.one]
        targets = "gpt-5"
        [routes.key]
        targets = ["openai/o3#second", "azure/gpt-5"]
        then = ["ollama/llama3", "openai/ft:mine#first"]
        [routes.heavy]
        strategy = "weighted"
        targets = [{ target = "openai/gpt-5", weight = 90 }, { target = "azure/gpt-5", weight = 0.5 }, "llama3"]
        "#,
    );
    assert!(plan.content_policy_failover);
    let route = |name: &str| &plan.routes[name];
    assert_eq!(tiers(route("one")), [["openai/gpt-5#first", "openai/gpt-5#second", "azure/gpt-5"]]);
    assert_eq!(
        tiers(route("key")),
        [&["openai/o3#second", "azure/gpt-5"][..], &["ollama/llama3"], &["openai/ft:mine#first"]]
    );
    assert_eq!(weights(route("heavy")), [90.0, 0.5, 1.0]);
    assert!(format!("{:?}", route("heavy")).contains("Weighted"));
    assert!(!format!("{:?}", route("key").entries).contains("Weighted"));
    assert!(format!("{:?}", route("key").then).contains("LeastLoaded"), "what stands in goes by load");
}

#[test]
fn the_strategy_holds_for_what_states_none() {
    let text = "[routes.one]\ntargets = 'gpt-5'\n[routes.two]\ntargets = 'gpt-5'\nstrategy = 'fastest'\n";
    let shown = format!("{:?}", plan(&format!("strategy = 'cheapest'\n{text}")));
    assert!(shown.contains("Cheapest") && shown.contains("Fastest"), "{shown}");
    assert!(!format!("{:?}", plan(text)).contains("Cheapest"));
    let weighted = "strategy = 'weighted'\n[routes.one]\ntargets = [{ target = 'gpt-5', weight = 2 }, 'llama3']";
    assert_eq!(weights(&plan(weighted).routes["one"]), [2.0, 1.0], "weights are held against the router's strategy");
}

#[test]
fn each_key_of_a_rule_does_something() {
    let plan = plan(
        r#"
        [routes.fast]
        targets = "llama3"
        [[rules]]
        when = { intent = "code" }
        name = "code"
        use = "fast"
        [[rules]]
        when = { intent = "math" }
        use = ["o3", "gpt-5"]
        require_tags = ["eu", "big"]
        [[rules]]
        when = { user = "ann" }
        use = ["openai/gpt-5#first", "llama3"]
        [[rules]]
        when = { user = "bob" }
        use = { target = "azure/gpt-5" }
        [[rules]]
        when = { user = "eve" }
        require_tags = "eu"
        [[rules]]
        when = { user = "joe" }
        refuse = "not today"
        [[rules]]
        use = "openai/gpt-5#second"
        "#,
    );
    let rules: Vec<&Rule> = plan.rules.iter().collect();
    let own = |at: usize| rules[at].own_route().map(tiers);
    assert_eq!((rules[0].name(), rules[0].route()), (Some("code"), Some("fast")));
    let all = ["openai/o3#first", "openai/o3#second", "openai/gpt-5#first", "openai/gpt-5#second", "azure/gpt-5"];
    assert_eq!(own(1).unwrap(), [all]);
    assert_eq!(rules[1].required_tags(), ["eu".into(), "big".into()]);
    assert_eq!(own(2).unwrap(), [["openai/gpt-5#first", "ollama/llama3"]]);
    assert_eq!((rules[3].route(), own(3)), (Some("azure/gpt-5"), None));
    assert_eq!(own(6).unwrap(), [["openai/gpt-5#second"]]);
    assert_eq!((rules[4].required_tags(), rules[4].route(), own(4)), (&["eu".into()][..], None, None));
    assert_eq!((rules[5].refusal(), rules[5].name()), (Some("not today"), None));
}

#[test]
fn each_key_of_a_condition_does_something() {
    let plain = || LlmRequest::chat("gpt-5").user("Why is the sky blue?").build();
    let changed = |change: &dyn Fn(&mut LlmRequest)| {
        let mut request = plain();
        change(&mut request);
        request
    };
    let caller = |caller: Caller| changed(&|request| request.context_mut().set_caller(caller.clone()));
    let picture = PartContent::Image(Image { source: Source::Url("http://x".into()), detail: None });
    let sees = LlmRequest::chat("gpt-5").message(Message::new(Role::User, vec![picture.into()])).build();
    let sensitive = changed(&|request| request.context_mut().raise_sensitivity(Sensitivity::Sensitive));
    let long = LlmRequest::chat("gpt-5").user("word ".repeat(50)).build();
    let table = [
        ("model = 'o*'", LlmRequest::chat("o3").build(), plain()),
        ("model = ['o1', 'o3']", LlmRequest::chat("o3").build(), plain()),
        ("intent = ['code', 'math']", changed(&|request| request.context_mut().set_intent("math")), plain()),
        ("sensitivity = 'sensitive'", sensitive.clone(), plain()),
        ("sensitivity = 'normal'", plain(), sensitive),
        ("tenant = 'acme'", caller(Caller::tenant("acme")), plain()),
        ("user = 'ann'", caller(Caller { user: Some("ann".into()), ..Caller::default() }), plain()),
        ("workflow = 'chat'", caller(Caller { workflow: Some("chat".into()), ..Caller::default() }), plain()),
        ("tags = ['eu', 'x']", changed(&|request| request.context_mut().set_tags(["x", "eu"])), plain()),
        ("input_tokens = { at_least = 40 }", long.clone(), plain()),
        ("input_tokens = { at_most = 40 }", plain(), long.clone()),
        ("input_tokens = { at_least = 5, at_most = 40 }", plain(), long),
        ("needs = 'vision'", sees, plain()),
        ("stream = true", LlmRequest::chat("gpt-5").stream().build(), plain()),
        ("stream = false", plain(), LlmRequest::chat("gpt-5").stream().build()),
    ];
    for (when, yes, no) in table {
        let plan = plan(&format!("[[rules]]\nwhen = {{ {when} }}\nuse = 'llama3'"));
        assert!(plan.rules.choose(&mut Facts::of(&yes)).is_some(), "{when}");
        assert!(plan.rules.choose(&mut Facts::of(&no)).is_none(), "{when}");
    }
}

#[test]
fn sensitive_calls_are_sent_to_somebody_local() {
    let rule = |to: &str| {
        let routes = "[routes.away]\ntargets = 'gpt-5'\n[routes.home]\ntargets = 'gpt-5'\nthen = 'llama3'\n";
        read(&format!("{routes}[[rules]]\nwhen = {{ sensitivity = 'sensitive' }}\n{to}")).map(drop)
    };
    let sentence =
        "rules[0].use: it is for sensitive calls, and none of these is `local`: such a call could go to nobody";
    for to in ["use = 'gpt-5'", "use = 'away'", "use = ['openai/o3', 'azure/gpt-5']"] {
        assert_eq!(rule(to), Err(sentence.to_owned()), "{to}");
    }
    for to in ["use = 'llama3'", "use = 'home'", "use = ['openai/o3', 'ollama/llama3']", "refuse = 'not that'"] {
        assert_eq!(rule(to), Ok(()), "{to}");
    }
}

#[test]
fn any_intent_will_do_where_nobody_says_which_there_are() {
    let config: RouterConfig = toml::from_str("[[rules]]\nwhen = { intent = 'cooking' }\nuse = 'gpt-5'").unwrap();
    assert!(config.plan(targets(), None).is_ok());
    let error = config.plan(targets(), Some(&INTENTS)).unwrap_err();
    assert_eq!(error.to_string(), "rules[0].when.intent: there is no intent `cooking`; known are `code`, `math`");
}

#[test]
fn a_wrong_route_is_told_with_its_place() {
    let route = |route: &str| format!("[routes.other]\ntargets = 'o3'\n[routes.r]\n{route}");
    for (text, sentence) in [
        (route("targets = []"), "routes.r.targets: there must be at least one"),
        (route("targets = ['o3', 'o4']"), "routes.r.targets[1]: nobody serves `o4`"),
        (route("targets = 'openai/llama3'"), "routes.r.targets[0]: `openai` does not serve `llama3`"),
        (route("targets = 'openai/o3#third'"), "routes.r.targets[0]: nobody who serves `openai/o3` has a key `third`"),
        (
            route("targets = 'opnai/o3'"),
            "routes.r.targets[0]: there is no provider `opnai`, and nobody serves `opnai/o3`; providers are `openai`, \
             `azure`, `ollama`",
        ),
        (
            route("targets = 'openai/ft:*'"),
            "routes.r.targets[0]: a target is one model: a name that ends in `*` stands for many",
        ),
        (route("targets = 'r'"), "routes.r.targets[0]: a route cannot name itself"),
        (route("targets = 'other'"), "routes.r.targets[0]: `other` is a route, and targets are models"),
        (
            route("targets = ['gpt-5', 'azure/gpt-5']"),
            "routes.r.targets[1]: everything that `azure/gpt-5` stands for is in the route already",
        ),
        (
            route("targets = 'azure/gpt-5'\nthen = ['o3', 'azure/gpt-5']"),
            "routes.r.then[1]: everything that `azure/gpt-5` stands for is in the route already",
        ),
        (route("targets = 'o3'\nthen = 'other'"), "routes.r.then[0]: `other` is a route, and targets are models"),
        (
            route(
                "strategy = 'weighted'\ntargets = [{ target = 'o3', weight = 0 }, { target = 'gpt-5', weight = 0.0 }]",
            ),
            "routes.r.targets: one weight at least must be above zero",
        ),
        (
            route("targets = ['gpt-5', { target = 'o3', weight = 2 }]"),
            "routes.r.targets[1].weight: ordered targets come one after the other whatever their weights: leave it out",
        ),
        (
            route("strategy = { blend = 0.5 }\ntargets = ['gpt-5', { target = 'o3', weight = 2 }]"),
            "routes.r.targets[1].weight: the strategy knows no weight but 0, for a target that gets calls only when no \
             other is left",
        ),
        ("[routes.\"\"]\ntargets = 'o3'".to_owned(), "routes.: a route needs a name to be asked for by"),
        (
            "[routes.\"gpt*\"]\ntargets = 'o3'".to_owned(),
            "routes.gpt*: callers ask for a route by its whole name: leave out the `*`",
        ),
        (
            "[routes.\"azure/o3\"]\ntargets = 'o3'".to_owned(),
            "routes.azure/o3: this is how a target is named: leave out the provider",
        ),
    ] {
        assert_eq!(read(&text).map(drop), Err(sentence.to_owned()), "{text}");
    }
    for weight in ["-1", "nan", "inf", "-inf"] {
        let text =
            route(&format!("strategy = 'weighted'\ntargets = ['gpt-5', {{ target = 'o3', weight = {weight} }}]"));
        assert_eq!(
            read(&text).map(drop),
            Err("routes.r.targets[1].weight: it must be a number from zero to a billion".to_owned()),
            "{weight}"
        );
    }
    let spare = "strategy = 'cheapest'\ntargets = ['gpt-5', { target = 'o3', weight = 0 }]";
    assert_eq!(weights(&plan(&route(spare)).routes["r"]), [1.0, 0.0]);
    assert_eq!(
        tiers(&plan("[routes.gpt-5]\ntargets = 'gpt-5'").routes["gpt-5"])[0].len(),
        3,
        "a model of its own name"
    );
}

#[test]
fn a_wrong_rule_is_told_with_its_place() {
    let first =
        "[routes.fast]\ntargets = 'llama3'\n[[rules]]\nname = 'first'\nwhen = { tenant = 'acme' }\nuse = 'fast'\n";
    let rule = |rule: &str| format!("{first}[[rules]]\n{rule}");
    for (text, sentence) in [
        ("when = { stream = true }", "use: the rule does nothing: it needs `use`, `refuse` or `require_tags`"),
        ("use = 'fast'\nrefuse = 'no'", "refuse: what is refused goes nowhere: leave out `use`"),
        ("require_tags = 'eu'\nrefuse = 'no'", "refuse: what is refused goes nowhere: leave out `require_tags`"),
        ("refuse = ''", "refuse: the caller should be told something"),
        ("require_tags = []", "require_tags: the list is empty: leave it out"),
        ("use = 'fast'\nrequire_tags = 'eu'", "require_tags: no target that it sends calls to bears all of them"),
        (
            "use = ['o3', 'llama3']\nrequire_tags = ['eu', 'small']",
            "require_tags: no target that it sends calls to bears all of them",
        ),
        ("require_tags = ['eu', '']", "require_tags: an entry must not be empty"),
        ("name = ''\nuse = 'fast'", "name: a name must not be empty: leave it out"),
        ("name = 'first'\nuse = 'fast'", "name: rules[0] has that name already"),
        ("use = 'fats'", "use: there is no route `fats`, and nobody serves such a model; routes are `fast`"),
        ("use = 'openai/llama3'", "use[0]: `openai` does not serve `llama3`"),
        ("use = []", "use: there must be at least one"),
        ("use = ['o3', 'fast']", "use[1]: `fast` is a route, and targets are models"),
        (
            "use = ['o3', { target = 'gpt-5', weight = 2 }]",
            "use[1].weight: ordered targets come one after the other whatever their weights: leave it out",
        ),
        ("use = 'o3'\nwhen = { intent = [] }", "when.intent: the list is empty: leave it out"),
        ("use = 'o3'\nwhen = { workflow = ['a', ''] }", "when.workflow: an entry must not be empty"),
        ("use = 'o3'\nwhen = { model = 'g*t' }", "when.model: a `*` can only be the last character of a name"),
        ("use = 'o3'\nwhen = { intent = 'cod' }", "when.intent: there is no intent `cod`; known are `code`, `math`"),
        (
            "use = 'o3'\nwhen = { needs = ['tools', 'visoin'] }",
            "when.needs: there is no capability `visoin` that a request could need; known are `chat`, `embeddings`, \
             `tools`, `vision`, `audio`, `files`, `json_schema`",
        ),
        ("use = 'o3'\nwhen = { input_tokens = {} }", "when.input_tokens: it needs `at_least` or `at_most`"),
        (
            "use = 'o3'\nwhen = { input_tokens = { at_least = 5, at_most = 4 } }",
            "when.input_tokens: `at_least` must not be above `at_most`",
        ),
    ] {
        assert_eq!(read(&rule(text)).map(drop), Err(format!("rules[1].{sentence}")), "{text}");
    }
    for (text, sentence) in [
        (
            "use = 'o3'\nwhen = { needs = 'embeddings', stream = true }",
            "it is never reached: embeddings are never streamed",
        ),
        (
            "use = 'o3'\nwhen = { tenant = 'acme', stream = true }",
            "it is never reached: rules[0] holds whenever it would",
        ),
    ] {
        assert_eq!(read(&rule(text)).map(drop), Err(format!("rules[1]: {sentence}")), "{text}");
    }
}

#[test]
fn what_is_unknown_or_of_another_kind_is_refused() {
    for text in [
        "strategi = 'ordered'",
        "strategy = 'random'",
        "strategy = { blend = 2 }",
        "content_policy_failover = 'yes'",
        "[routes.r]\nstrategy = 'ordered'",
        "[routes.r]\ntarget = 'o3'",
        "[routes.r]\ntargets = 3",
        "[routes.r]\ntargets = { target = 'o3', wait = 1 }",
        "[routes.r]\ntargets = { weight = 1 }",
        "[routes.r]\ntargets = 'o3'\nthen = [{ target = 'gpt-5' }]",
        "[[rules]]\nusing = 'o3'",
        "[[rules]]\nuse = 'o3'\nwhen = { models = 'o3' }",
        "[[rules]]\nuse = 'o3'\nwhen = { sensitivity = 'secret' }",
        "[[rules]]\nuse = 'o3'\nwhen = { input_tokens = 5 }",
        "[[rules]]\nuse = 'o3'\nwhen = { input_tokens = { at_least = -5 } }",
        "[[rules]]\nuse = 'o3'\nwhen = { input_tokens = { above = 5 } }",
        "[[rules]]\nuse = 'o3'\nwhen = { stream = 'yes' }",
    ] {
        assert!(toml::from_str::<RouterConfig>(text).is_err(), "{text}");
    }
}
