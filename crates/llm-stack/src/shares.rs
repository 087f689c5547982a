//! Which targets share what is kept by target.

use llm_breaker::Sharing;
use llm_core::TargetRef;
use llm_router::Targets;

/// Models that are served by a beginning share the circuit of that: their names are the callers' making. So is the
/// beginning itself with its `*`, when a caller takes it for a model's name.
#[derive(Debug)]
pub(crate) struct ByPattern(pub(crate) Targets);

impl Sharing for ByPattern {
    fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str> {
        self.0.pattern_of(target)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use llm_core::catalog::Catalog;
    use llm_router::ProviderEntry;

    use super::*;

    #[test]
    fn names_that_callers_make_up_share_a_circuit() {
        let entry = ProviderEntry::new("openai").models(["m", "gpt-*"]);
        let sharing = ByPattern(Targets::new(Arc::new(Catalog::new())).provider(entry));
        let shared = |provider, model| sharing.shared_by(TargetRef { provider, model, key: None });
        assert_eq!((shared("openai", "m"), shared("elsewhere", "gpt-5")), (None, None));
        assert_eq!((shared("openai", "gpt-5"), shared("openai", "gpt-*")), (Some("gpt-*"), Some("gpt-*")));
    }
}
