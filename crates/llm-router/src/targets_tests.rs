//! What is configured is found by its names, and nothing else is.

use super::*;

fn targets() -> Targets {
    let keys = ["first", "second"];
    Targets::new(Arc::default())
        .provider(ProviderEntry::new("two-keys").models(["m", "gpt-*", "gpt-4o-*"]).keys(keys))
        .provider(ProviderEntry::new("one-key").models(["m", "n"]).keys(["only"]))
        .provider(ProviderEntry::new("keyless").models(["n", "vendor/x"]))
}

fn names(targets: impl IntoIterator<Item = Target>) -> Vec<String> {
    targets.into_iter().map(|target| target.to_string()).collect()
}

#[test]
fn a_name_means_every_provider_that_serves_it_with_each_of_its_keys() {
    let targets = targets();
    let meant_by = |name| names(targets.meant_by(name));
    assert_eq!(meant_by("m"), ["two-keys/m#first", "two-keys/m#second", "one-key/m"]);
    assert_eq!(meant_by("one-key/m"), ["one-key/m"]);
    assert_eq!(meant_by("two-keys/m#second"), ["two-keys/m#second"]);
    assert_eq!(meant_by("m#second"), ["two-keys/m#second"]);
    assert_eq!(meant_by("one-key/m#only"), ["one-key/m"], "an only key may be named, and is not in the target");
    assert_eq!(meant_by("gpt-4o-x"), ["two-keys/gpt-4o-x#first", "two-keys/gpt-4o-x#second"]);
    assert_eq!(meant_by("vendor/x"), ["keyless/vendor/x"], "a model's own name goes before a provider's");
    let taken = targets.clone().provider(ProviderEntry::new("last").models(["one-key/m"]));
    assert_eq!(names(taken.meant_by("one-key/m")), ["last/one-key/m"]);
    for nobody in ["o", "one-key/gpt-5", "m#third", "keyless/n#only", "elsewhere/m", "gpt-*", "two-keys/gpt-*", ""] {
        assert!(meant_by(nobody).is_empty(), "{nobody}");
    }
}

#[test]
fn listed_are_the_models_with_a_name_of_their_own() {
    let listed = ["two-keys/m#first", "two-keys/m#second", "one-key/m", "one-key/n", "keyless/n", "keyless/vendor/x"];
    assert_eq!(names(targets().iter()), listed);
    assert!(targets().serves("gpt-5") && targets().serves("one-key/n") && !targets().serves("one-key/o"));
    assert!(targets().providers().eq(["two-keys", "one-key", "keyless"]));
}

#[test]
fn a_provider_that_is_added_again_serves_more() {
    let twice = targets().provider(ProviderEntry::new("one-key").models(["o"]));
    assert_eq!(names(twice.meant_by("o")), ["one-key/o"]);
    assert!(twice.providers().eq(targets().providers()));
    assert_eq!(names(twice.iter()).len(), names(targets().iter()).len() + 1);
}

#[test]
fn a_target_is_named_by_what_is_configured() {
    let targets = targets();
    let named = |provider, model, key| targets.named(provider, model, key).map(|target: Target| target.to_string());
    assert_eq!(named("one-key", Some("m"), None).as_deref(), Some("one-key/m"));
    assert_eq!(named("one-key", Some("m"), Some("only")).as_deref(), Some("one-key/m"));
    assert_eq!(named("two-keys", Some("gpt-5"), Some("second")).as_deref(), Some("two-keys/gpt-5#second"));
    assert_eq!(named("two-keys", Some("gpt-*"), Some("first")).as_deref(), Some("two-keys/gpt-*#first"));
    assert_eq!(named("two-keys", None, Some("first")).as_deref(), Some("two-keys/#first"));
    for (provider, model, key) in [
        ("two-keys", Some("m"), None),
        ("two-keys", None, None),
        ("two-keys", Some("m"), Some("third")),
        ("one-key", Some("gpt-5"), None),
        ("one-key", Some(""), None),
        ("keyless", Some("n"), Some("only")),
        ("elsewhere", Some("m"), None),
    ] {
        assert_eq!(named(provider, model, key), None, "{provider} {model:?} {key:?}");
    }
}

#[test]
fn names_that_callers_make_up_share_a_pattern() {
    let targets = targets();
    let shared = |provider, model| targets.pattern_of(TargetRef { provider, model, key: None });
    assert_eq!((shared("two-keys", "m"), shared("one-key", "n")), (None, None));
    assert_eq!((shared("two-keys", "gpt-5"), shared("two-keys", "gpt-4o-x")), (Some("gpt-*"), Some("gpt-4o-*")));
    assert_eq!((shared("elsewhere", "m"), shared("one-key", "o")), (None, None));
    let aliases = ["gpt-*", "gpt-4o-*", "gpt-**", "gpt-"].map(|model| shared("two-keys", model));
    assert_eq!(aliases, [Some("gpt-*"), Some("gpt-4o-*"), Some("gpt-*"), Some("gpt-*")]);
}

#[test]
fn a_route_names_only_what_is_there() {
    let targets = targets();
    let refusal = |names: Vec<RouteTarget>| targets.route(names).expect_err("it is refused").to_string();
    assert_eq!(refusal(vec![]), "targets: there must be at least one");
    assert_eq!(refusal(vec!["m".into(), "o".into()]), "targets[1]: nobody serves `o`");
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            refusal(vec![("m", weight).into()]),
            "targets[0].weight: it must be a number from zero to a billion"
        );
    }
    let route = targets.route([("two-keys/m", 0.0), ("one-key/m", 2.5)]).unwrap();
    assert_eq!(route.entries.iter().map(|entry| entry.weight).collect::<Vec<_>>(), [0.0, 2.5]);
}
