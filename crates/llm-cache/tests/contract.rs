//! The cache keeps the laws of all layers: with calls that pass it by, and with calls that it keeps and shares; and so does
//! what asks for the caches of providers.

use llm_cache::{CacheConfig, CacheHandle, CacheLayer, MemoryStore, Refused, Scope, Selection};
use llm_core::{CacheDirective, LlmRequest};
use llm_test::{Answer, Frames, Subject};

fn refused(text: &'static str) -> impl Fn() -> Result<CacheLayer, String> {
    move || {
        let config: CacheConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        CacheLayer::try_from(config).map_err(|error| error.to_string())
    }
}

fn question(number: u64) -> LlmRequest {
    LlmRequest::chat("probe").user(format!("Question {number}: why is it so?")).temperature(0.0).build()
}

fn calls(handle: &CacheHandle) -> u64 {
    let counts = handle.counts();
    counts.misses + Refused::ALL.iter().map(|reason| handle.refused(*reason)).sum::<u64>()
}

mod passed_by {
    use super::*;

    fn subject() -> Subject {
        let layer = CacheLayer::new();
        let handle = layer.handle();
        Subject::new("Cache, passed by", layer)
            .always_ready()
            .counts(Answer::stream(Frames::new().hang()), move || calls(&handle))
            .quiet("it has notices of what stands in for a failure, and keeps nothing here that could")
    }

    llm_test::contract!(subject);
}

mod shared {
    use std::num::NonZeroU64;

    use super::*;

    /// Small enough that most of what comes in pushes something out.
    const CAPACITY: NonZeroU64 = NonZeroU64::new(40_000).expect("it is not zero");
    /// No entry takes up less.
    const LEAST: usize = 512;

    fn subject() -> Subject {
        let layer = CacheLayer::new().capacity(CAPACITY);
        let handle = layer.handle();
        let (counted, held, sized) = (handle.clone(), handle.clone(), handle.clone());
        Subject::new("Cache", layer)
            .always_ready()
            .holds_back()
            .asking(question)
            .holds("calls under way", move || held.under_way() as u64)
            .counts(Answer::stream(Frames::new().start().text("a").hang()), move || calls(&counted))
            .keyed(CAPACITY.get() as usize / LEAST, question, move || sized.size().entries as usize)
            .quiet("it has notices of what stands in for a failure, and no call of the laws is made when that is there")
            .refuses("no room", refused("capacity = 0"))
            .refuses("no room for an answer", refused("entry_limit = 0"))
            .refuses("answers larger than the room", refused("capacity = 10\nentry_limit = 11"))
            .refuses("an empty list", refused("irrelevant_fields = []"))
            .refuses("failures that are kept for no time", refused("keep_failures = '0s'"))
            .refuses("a pace of nothing", refused("replay = '0s'"))
            .refuses("an unknown scope", refused("scope = 'world'"))
            .refuses("an unknown field", refused("size = 1"))
            .shows("its handle", handle)
            .shows("its store", MemoryStore::new(CAPACITY))
            .shows("its configuration", CacheConfig::default())
            .shows("a scope", Scope::Tenant)
            .shows("a selection", Selection::All)
    }

    llm_test::contract!(subject);
}

mod only_what_is_kept {
    use llm_test::Law;

    use super::*;

    /// Requests that are answered by what is kept or not at all, of which nothing is.
    fn subject() -> Subject {
        let ask = |number| {
            let mut request = question(number);
            let directive = CacheDirective { only_if_cached: true, ..CacheDirective::default() };
            request.context_mut().set_cache(directive);
            request
        };
        Subject::new("Cache, kept answers only", CacheLayer::new())
            .always_ready()
            .asking(ask)
            .rejecting(CacheLayer::new)
    }

    #[test]
    fn rejects_while_inner_is_never_ready() {
        assert_eq!(Law::named("rejects_while_inner_is_never_ready").hold(subject), llm_test::Ruling::Kept);
    }

    #[test]
    fn rejection_is_not_a_readiness_error() {
        assert_eq!(Law::named("rejection_is_not_a_readiness_error").hold(subject), llm_test::Ruling::Kept);
    }
}

mod prompt {
    use llm_cache::prompt::{PromptCacheConfig, PromptCacheLayer};

    use super::*;

    fn refused(text: &'static str) -> impl Fn() -> Result<PromptCacheLayer, String> {
        move || {
            let config: PromptCacheConfig = toml::from_str(text).map_err(|error| error.to_string())?;
            PromptCacheLayer::try_from(config).map_err(|error| error.to_string())
        }
    }

    fn subject() -> Subject {
        let layer = PromptCacheLayer::new().least_tokens(0);
        let handle = layer.handle();
        let counted = handle.clone();
        Subject::new("PromptCache", layer)
            .counts(Answer::text("Blue."), move || counted.counts().asked)
            .refuses("a time that no provider has", refused("keep_for = '10m'"))
            .refuses("a time for one model", refused("models = { m = { keep_for = '1h' } }"))
            .refuses("an unknown field", refused("ttl = '5m'"))
            .shows("its handle", handle)
            .shows("its configuration", PromptCacheConfig::default())
    }

    llm_test::contract!(subject);
}
