//! What callers are allowed, and calls of their own.

use super::*;

#[test]
fn a_caller_is_allowed_models_by_name_by_provider_and_by_beginning() {
    let allowed = AllowedModels::new(["fast", "gpt-4o*", "ollama/*", "openai/o3"]);
    let target = |provider, model| allowed.permits_target(TargetRef { provider, model, key: None });
    assert!(allowed.permits("fast") && allowed.permits("gpt-4o-mini") && !allowed.permits("faster"));
    assert!(target("openai", "gpt-4o") && target("ollama", "llama3") && target("openai", "o3"));
    assert!(!target("azure", "o3") && !target("openai", "o3-pro") && !target("openai", "gpt-5"));
    assert!(!target("olla", "ma/x"));
    let named_like = |other, provider| {
        allowed.permits_target_named_like(other, TargetRef { provider, model: "openai/o3", key: None })
    };
    assert!(target("azure", "openai/o3") && named_like("open", "azure") && !named_like("openai", "azure"));
    assert!(named_like("openai", "ollama"));
}
#[test]
fn a_call_of_its_own_shares_nothing_with_the_first_and_waits_for_nobody() {
    let mut first = Context::default();
    first.set_caller(Caller::tenant("acme"));
    first.set_deadline(Instant::now());
    first.set_read_timeout(Duration::ZERO);
    first.set_allowance(7);
    let own = first.of_new_call();
    assert_ne!(own.id(), first.id());
    assert_eq!(own.calls_left(), 7);
    own.set_allowance(0);
    assert_eq!((first.calls_left(), own.caller()), (7, first.caller()));
    assert_eq!((own.deadline(), own.read_timeout()), (None, None));
}
