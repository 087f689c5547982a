//! Limits keep the laws: with room for what the laws do, and with a table that is too small for them.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use llm_budget::{
    Per,
    limit::{LimitConfig, LimitHandle, LimitLayer, LimitRule},
};
use llm_core::{Caller, LlmRequest, TargetRef};
use llm_test::{Answer, Frames, Subject};

const SOME: NonZeroU32 = NonZeroU32::new(1_000_000).expect("it is not zero");
const GPT: TargetRef<'_> = TargetRef { provider: "openai", model: "gpt-4o", key: None };
const TOKENS: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("it is not zero");

fn rule(name: &str, per: Per) -> LimitRule {
    LimitRule::new(name, per).requests_per_minute(SOME).tokens_per_minute(TOKENS).at_once(SOME)
}

/// Its one call is under way for ever.
fn full() -> LimitLayer {
    let layer = LimitLayer::new([LimitRule::new("per-tenant", Per::TENANT).at_once(NonZeroU32::MIN)]);
    let mut service = tower::Layer::layer(&layer, llm_test::Probe::answering(Answer::hang()));
    let call = tower::Service::call(&mut service, LlmRequest::chat("probe").user("hi").build());
    std::mem::forget(call);
    layer
}

fn refused(text: &'static str) -> impl Fn() -> Result<LimitLayer, String> {
    move || {
        let config: LimitConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        LimitLayer::try_from(config).map_err(|error| error.to_string())
    }
}

fn in_flight(handle: &LimitHandle) -> u64 {
    handle.list().iter().map(|status| u64::from(status.in_flight)).sum()
}

mod several {
    use super::*;

    fn subject() -> Subject {
        let layer = LimitLayer::new([
            rule("all", Per::GLOBAL),
            rule("per-tenant", Per::TENANT),
            rule("per-user-and-model", Per::USER.and(Per::MODEL)),
        ]);
        let handle = layer.handle();
        let (held, counted, owed) = (handle.clone(), handle.clone(), handle.clone());
        Subject::new("Limit", layer)
            .always_ready()
            .rejecting(full)
            .holds("places", move || in_flight(&held))
            .holds("calls under way, as counted", move || counted.counts().iter().map(|counts| counts.in_flight).sum())
            .counts(Answer::stream(Frames::new().hang()), move || {
                owed.counts().iter().map(|counts| counts.admitted).sum()
            })
            .quiet("it has notices of calls that it refuses, and none of these is")
            .refuses("a limit of nothing", refused("rules = [{ name = \"a\", per = \"tenant\" }]"))
            .refuses("no requests", refused("rules = [{ name = \"a\", per = \"tenant\", requests_per_minute = 0 }]"))
            .refuses("fewer tokens", refused("rules = [{ name = \"a\", per = \"tenant\", tokens_per_minute = -1 }]"))
            .refuses("unknown callers", refused("rules = [{ name = \"a\", per = \"planet\", at_once = 1 }]"))
            .refuses("room for nobody", refused("most_callers = 0"))
            .shows("its handle", handle.clone())
            .shows("the status of a caller", handle.status(&Caller::tenant("acme"), GPT))
            .shows("its counts", handle.counts())
            .shows("a limit", rule("all", Per::GLOBAL))
            .shows("its configuration", LimitConfig::default())
    }

    llm_test::contract!(subject);
}

mod crowded {
    use super::*;

    const MOST: NonZeroUsize = NonZeroUsize::new(50).expect("it is not zero");

    /// More tenants than there is room for.
    fn subject() -> Subject {
        let layer = LimitLayer::new([rule("per-tenant", Per::TENANT)]).most_callers(MOST);
        let (handle, held) = (layer.handle(), layer.handle());
        let keyed = |number: u64| {
            let mut request = LlmRequest::chat("probe").user("hi").build();
            request.context_mut().set_caller(Caller::tenant(number.to_string()));
            request
        };
        Subject::new("Limit, crowded", layer)
            .always_ready()
            .rejecting(full)
            .holds("places", move || held.counts()[0].in_flight)
            .keyed(MOST.get(), keyed, move || handle.counts()[0].callers)
    }

    llm_test::contract!(subject);
}
