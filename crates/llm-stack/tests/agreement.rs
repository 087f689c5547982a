//! Tables that contradict each other are refused with a sentence, and those that agree are not.

#![allow(clippy::unwrap_used)]

use llm_stack::{Stack, StackConfig};

const MODELS: &str = "\n[[providers]]\nname = \"ollama\"\nmodels = [\"gpt-*\"]\n\
    [simulated]\nmodels = [{ name = \"small\" }]\n[router.routes.smart]\ntargets = \"small\"\n";

fn refusal(tables: &str) -> String {
    match Stack::try_from(toml::from_str::<StackConfig>(&format!("{tables}{MODELS}")).unwrap()) {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_override_is_for_somebody_who_is_there() {
    for layer in ["timeout", "retry", "breaker", "hedge", "prompt_cache"] {
        let table = |name: &str| refusal(&format!("[{layer}]\n[{layer}.{name}]"));
        assert_eq!(table("providers.olama"), format!("{layer}.providers.olama: there is no provider `olama`"));
        assert_eq!(table("models.smal"), format!("{layer}.models.smal: there is no route or model `smal`"));
        assert_eq!(
            table("models.smart"),
            format!("{layer}.models.smart: `smart` is a route: this is about the models that calls are made to")
        );
        for name in ["providers.ollama", "providers.simulated", "models.small", "models.gpt-new"] {
            assert_eq!(table(name), "none", "{layer}.{name}");
        }
    }
}

#[test]
fn a_rule_is_about_models_that_somebody_can_ask_for() {
    let rules = [
        ("limit.rules", "[[limit.rules]]\nname = \"a\"\nrequests_per_minute = 1\n", true),
        ("cache.rules", "[[cache.rules]]\nuse_for = \"never\"\n", true),
        ("budget.caps", "[[budget.caps]]\nname = \"a\"\namounts = { usd = 1, window = \"day\" }\n", false),
    ];
    for (list, rule, may_be_route) in rules {
        let about = |name: &str| refusal(&format!("{rule}models = [\"small\", \"{name}\"]\n"));
        assert_eq!(about("smal"), format!("{list}[0].models: there is no route or model `smal`"));
        let of_route = about("smart");
        if may_be_route {
            assert_eq!(of_route, "none", "{list}");
        } else {
            assert!(of_route.starts_with("budget.caps[0].models: `smart` is a route"), "{of_route}");
        }
        for name in ["sm*", "gpt-4o", "simulated/small"] {
            assert_eq!(about(name), "none", "{list}: {name}");
        }
    }
}

#[test]
fn a_hedge_begins_before_the_attempt_is_over() {
    let late = |tables: &str| refusal(&format!("retry = false\n{tables}"));
    assert_eq!(
        late("[hedge]\nfixed = \"120s\"\n"),
        "hedge.fixed: no second attempt is ever made, as retry is off: the timeout ends an attempt without content after 120s"
    );
    assert!(late("[hedge]\nfloor = \"5m\"\n").starts_with("hedge.floor: no second attempt"));
    let one = "[hedge.models.small]\nfixed = \"50s\"\n[timeout.models.small]\ntotal = \"9s\"\nwhole_answer = \"50s\"\n";
    assert!(late(one).starts_with("hedge.models.small.fixed: no second attempt"), "{}", late(one));

    for agreed in [
        "[hedge]\nfixed = \"119s\"\n",
        "[hedge]\nfixed = \"10m\"\n[timeout]\nwhole_answer = \"off\"\n",
        "[hedge]\nfixed = \"121s\"\n[timeout.providers.ollama]\nwhole_answer = \"10m\"\n",
        "timeout = false\n[hedge]\nfixed = \"10m\"\n",
    ] {
        assert_eq!(late(agreed), "none", "{agreed}");
    }
    assert_eq!(refusal("[hedge]\nfixed = \"10m\"\n"), "none", "it begins while a retry waits or is under way");
}

#[test]
fn nothing_is_slow_later_than_it_is_over() {
    assert_eq!(
        refusal("[breaker]\nslow_after = \"2m\"\n"),
        "breaker.slow_after: nothing is ever that slow: the timeout ends an attempt without content after 120s"
    );
    assert!(refusal("[breaker.models.small]\nslow_after = \"3m\"\n").starts_with("breaker.models.small.slow_after"));
    assert_eq!(refusal("[breaker]\nslow_after = \"119s\"\n"), "none");
    assert_eq!(refusal("timeout = false\n[breaker]\nslow_after = \"2m\"\n"), "none");
    assert_eq!(refusal("[breaker]\nslow_after = \"off\"\n"), "none");
}

#[test]
fn a_fallback_is_for_what_can_happen() {
    let case = |tables: &str, kinds: &str| {
        refusal(&format!("{tables}\n[[fallback.cases]]\nmessage = \"Later.\"\nwhen = {{ kinds = {kinds} }}\n"))
    };
    assert_eq!(
        case("", "\"budget_exceeded\""),
        "fallback.cases[0].when.kinds: nothing ever fails so: there is no [budget]"
    );
    assert!(case("", "\"limit_exceeded\"").ends_with("there is no [limit]"));
    assert!(case("breaker = false", "[\"circuit_open\"]").ends_with("there is no [breaker]"));
    assert_eq!(case("", "\"circuit_open\""), "none");
    assert_eq!(case("", "[\"budget_exceeded\", \"overloaded\"]"), "none");
    let limit = "[[limit.rules]]\nname = \"a\"\nrequests_per_minute = 1";
    assert_eq!(case(limit, "\"limit_exceeded\""), "none");
}
