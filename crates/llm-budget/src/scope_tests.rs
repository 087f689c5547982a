//! Whom rules tell apart and what they are about.

use llm_core::{NanoUsd, TargetRef};

use super::*;
use crate::{Cap, CapRule, Window};

const GPT: TargetRef<'_> = TargetRef { provider: "openai", model: "gpt-4o", key: None };

fn rule(per: Per) -> CapRule {
    CapRule::new("rule", per, Cap::new(NanoUsd(1), Window::Lifetime))
}

fn caller(names: [&str; 5]) -> Caller {
    let [tenant, user, key, workflow, job] = names.map(|name| (!name.is_empty()).then(|| Arc::<str>::from(name)));
    Caller { tenant, user, key, workflow, job }
}

fn whose(caller: &Caller) -> Whose<'_> {
    Whose::new(caller, GPT, None)
}

#[test]
fn an_account_is_of_whom_it_is_kept_by_and_users_keys_and_jobs_are_somebodys() {
    let caller = caller(["acme", "bob", "ci", "chat", "7"]);
    let names = |per| rule(per).scope().account(&whose(&caller)).to_key().to_string();
    assert_eq!(names(Per::GLOBAL), "rule");
    assert_eq!(names(Per::TENANT), "rule (tenant acme)");
    assert_eq!(names(Per::USER), "rule (tenant acme, user bob)");
    assert_eq!(names(Per::KEY), "rule (tenant acme, key ci)");
    assert_eq!(names(Per::WORKFLOW), "rule (workflow chat)");
    assert_eq!(names(Per::JOB), "rule (tenant acme, workflow chat, job 7)");
    assert_eq!(names(Per::WORKFLOW.and(Per::MODEL)), "rule (workflow chat, model openai/gpt-4o)");
}

#[test]
fn a_call_that_lacks_the_name_is_nobodys() {
    let names = |names| rule(Per::USER).scope().account(&whose(&caller(names))).to_key().to_string();
    assert_eq!(names(["", "", "", "", ""]), "rule");
    assert_eq!(names(["acme", "", "x", "y", "z"]), "rule (tenant acme)");
}

#[test]
fn a_rule_concerns_whom_it_lists() {
    let acme = caller(["acme", "bob", "ci", "chat", "7"]);
    let concerns = |rule: CapRule, who: &Caller| rule.scope().concerns(&whose(who));
    assert!(concerns(rule(Per::GLOBAL), &Caller::default()));
    let all = rule(Per::GLOBAL).tenants(["acme"]).users(["bob", "eve"]).keys(["ci"]).workflows(["chat"]).jobs(["7"]);
    assert!(concerns(all.clone(), &acme));
    for other in [
        ["other", "bob", "ci", "chat", "7"],
        ["acme", "al", "ci", "chat", "7"],
        ["acme", "bob", "cd", "chat", "7"],
        ["acme", "bob", "ci", "", "7"],
        ["acme", "bob", "ci", "chat", "8"],
    ] {
        assert!(!concerns(all.clone(), &caller(other)), "{other:?}");
    }
    assert!(concerns(rule(Per::GLOBAL).models(["openai/*"]), &acme));
    assert!(!concerns(rule(Per::GLOBAL).models(["o3", "azure/gpt-4o"]), &acme));
    let dated = TargetRef { model: "gpt-4o-2024-08-06", ..GPT };
    let mut whose = Whose::new(&acme, dated, None);
    whose.model.model = "gpt-4o";
    assert!(rule(Per::GLOBAL).models(["gpt-4o"]).scope().concerns(&whose), "by the catalogue's name");
}

#[test]
fn what_another_rule_stands_for_is_not_held_to_this_one() {
    let named = |name: &str| CapRule::new(name, Per::TENANT, Cap::new(NanoUsd(1), Window::Lifetime));
    let rules = holding([
        named("all"),
        named("acme").tenants(["acme"]).instead_of("all"),
        named("big").models(["o3"]).instead_of("all"),
        named("bob").tenants(["acme"]).users(["bob"]).instead_of("acme"),
        named("none").tenants(["x"]).instead_of("nobody"),
        named("self").tenants(["y"]).instead_of("self"),
    ]);
    let held = |tenant: &str, user: &str, model: &str| {
        let caller = caller([tenant, user, "", "", ""]);
        let whose = Whose::new(&caller, TargetRef { model, ..GPT }, None);
        let held: Vec<&str> =
            rules.iter().filter(|rule| rule.scope().concerns(&whose)).map(|rule| &*rule.scope().name).collect();
        held.join(" ")
    };
    assert_eq!(held("other", "", "gpt-4o"), "all");
    assert_eq!(held("acme", "", "gpt-4o"), "acme");
    assert_eq!(held("other", "", "o3"), "big");
    assert_eq!(held("acme", "", "o3"), "acme big");
    assert_eq!(held("acme", "bob", "gpt-4o"), "bob", "also instead of what `acme` stands for");
    assert_eq!((held("x", "", "gpt-4o"), held("y", "", "gpt-4o")), ("all none".into(), "all self".into()));

    let held_by = |tenant: &str| {
        let caller = caller([tenant, "", "", "", ""]);
        rules
            .iter()
            .filter(|rule| rule.scope().concerns_caller(&caller))
            .map(|rule| &*rule.scope().name)
            .collect::<Vec<_>>()
    };
    assert_eq!(held_by("other"), ["all", "big"], "of some models");
    assert_eq!(held_by("acme"), ["acme", "big"]);
}

#[test]
fn of_rules_of_one_name_the_last_holds() {
    let rules = holding([rule(Per::GLOBAL), rule(Per::TENANT)]);
    assert_eq!(rules, [rule(Per::TENANT)]);
}

#[test]
fn a_rule_that_another_of_its_name_has_replaced_stands_for_nothing() {
    let named = |name: &str| CapRule::new(name, Per::TENANT, Cap::new(NanoUsd(1), Window::Lifetime));
    let rules =
        holding([named("all"), named("acme").tenants(["acme"]).instead_of("all"), named("acme").tenants(["x"])]);
    let acme = caller(["acme", "", "", "", ""]);
    assert!(rules[0].scope().concerns(&whose(&acme)), "or nothing would hold it");
}

#[test]
fn before_a_target_is_chosen_a_model_is_listed_with_its_provider_or_without_however_it_is_called() {
    let caller = Caller::default();
    let catalog = llm_core::catalog::Catalog::from_toml("[[models]]\nprovider = 'openai'\nname = 'o3'\n").unwrap();
    let concerns = |listed: &str, called: &str| {
        let called = TargetRef { provider: "", model: called, key: None };
        let facts = crate::whose::facts(&catalog, called).map(Arc::as_ref);
        rule(Per::GLOBAL).models([listed]).scope().concerns(&Whose::new(&caller, called, facts))
    };
    for called in ["o3", "openai/o3", "o3-2025-04-16", "openai/o3-2025-04-16"] {
        for listed in ["o3", "openai/o3", "openai/*", "o*"] {
            assert!(concerns(listed, called), "{listed} is about {called}");
        }
        assert!(!concerns("azure/*", called) && !concerns("o4", called), "{called}");
    }
    assert!(concerns("llama3", "ollama/llama3"), "though the catalogue does not know it");
    assert!(!concerns("o3", "azure/o3-mini"));
}
