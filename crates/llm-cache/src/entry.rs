//! What the cache keeps of one answer.

use std::{sync::Arc, time::Duration};

use llm_core::{Caller, Error, Head, LlmRequest, NanoUsd, Vector};
use tokio::time::Instant;

use crate::{Selection, flight::Whole, recording::Recording, weight};

/// What an entry takes up besides what it says: its fields, its key, its reference counts, and what
/// [`MemoryStore`](crate::MemoryStore) keeps of it.
pub(crate) const PER_ENTRY: usize = 512;

/// An answer that is kept, with when and of whom it was asked. Shared, and never changed.
#[derive(Debug)]
pub struct Entry {
    pub(crate) head: Head,
    pub(crate) kept: Kept,
    pub(crate) about: About,
    /// What the call cost, where that is known.
    pub(crate) cost: Option<NanoUsd>,
    pub(crate) stored: Instant,
    pub(crate) ttl: Duration,
    bytes: usize,
}

/// The answer itself.
#[derive(Debug)]
pub(crate) enum Kept {
    /// As it came, in one piece.
    Whole(Arc<Whole>),
    /// As it came, in frames.
    Stream(Arc<Recording>),
    /// For one input of a request for embeddings, and its share of the input tokens.
    Vector(Vector, u64),
    /// That there is none.
    Failure(Error),
}

/// Whose answer it is, and to what: by this it is invalidated.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) model: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) tags: Box<[Box<str>]>,
}

impl About {
    pub(crate) fn new(request: &LlmRequest) -> Self {
        let context = request.context();
        let Caller { tenant, user: _, key: _, workflow: _, job: _ } = context.caller();
        Self { model: request.model().into(), tenant: tenant.clone(), tags: context.tags().into() }
    }

    fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| size_of::<Box<str>>() + weight::BLOCK + tag.len()).sum();
        weight::BLOCK + self.model.len() + tags
    }
}

/// How old an answer is, for those who ask for it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Good.
    Fresh(Duration),
    /// Expired, and for so long.
    Expired { age: Duration, for_: Duration },
}

impl Entry {
    pub(crate) fn new(head: Head, kept: Kept, about: About, cost: Option<NanoUsd>, ttl: Duration) -> Self {
        // A limit or an exchange with the provider that is over is no news of this one.
        let head = Head { rate_limits: None, request_id: None, ..head };
        let bytes = PER_ENTRY + weight::head(&head) + kept.bytes() + about.bytes();
        Self { head, kept, about, cost, stored: Instant::now(), ttl, bytes }
    }

    /// How much memory it takes up, with what the store needs for it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is one of those that are meant. Where its key is meant, the store knows.
    pub fn is_of(&self, selection: &Selection) -> bool {
        match selection {
            Selection::All => true,
            Selection::Key(_) => false,
            Selection::Model(model) => *self.about.model == **model || self.served_by(model),
            Selection::Tenant(tenant) => self.about.tenant.as_deref() == Some(&**tenant),
            Selection::Tag(tag) => self.about.tags.iter().any(|own| own == tag),
        }
    }

    fn served_by(&self, model: &str) -> bool {
        let by_target = self.head.target.as_ref().map(|target| target.model());
        by_target == Some(model) || self.head.model.as_deref() == Some(model)
    }

    pub(crate) fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.stored);
        match age.checked_sub(self.ttl) {
            None | Some(Duration::ZERO) => Age::Fresh(age),
            Some(for_) => Age::Expired { age, for_ },
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Whole(whole) => {
                let wire = whole.wire.as_ref().map_or(0, |wire| weight::BLOCK + wire.bytes.len());
                weight::BLOCK + size_of::<Whole>() + weight::output(&whole.output) + wire
            }
            Self::Stream(recording) => weight::BLOCK + size_of::<Recording>() + recording.bytes(),
            Self::Vector(vector, _) => weight::vector(vector),
            Self::Failure(error) => 512 + error.message().len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_core::{LlmRequest, Output, Target};

    use super::*;

    fn entry(ttl: Duration) -> Entry {
        let mut request = LlmRequest::chat("smart").build();
        request.context_mut().set_caller(Caller::tenant("acme"));
        request.context_mut().set_tags(["faq", "v2"]);
        let head = Head { target: Some(Target::new("openai", "gpt-4o")), ..Head::default() };
        Entry::new(
            head,
            Kept::Whole(Arc::new(Whole { output: Output::text("Blue."), wire: None })),
            About::new(&request),
            None,
            ttl,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_expires_after_its_time_and_knows_for_how_long() {
        let second = Duration::from_secs(1);
        let entry = entry(10 * second);
        let age = |after| entry.age(entry.stored + after);
        assert_eq!(age(Duration::ZERO), Age::Fresh(Duration::ZERO));
        assert_eq!(age(10 * second), Age::Fresh(10 * second));
        assert_eq!(age(13 * second), Age::Expired { age: 13 * second, for_: 3 * second });
    }

    #[tokio::test]
    async fn it_is_found_by_model_target_tenant_and_tag() {
        let entry = entry(Duration::ZERO);
        for (selection, is_meant) in [
            (Selection::All, true),
            (Selection::Model("smart".into()), true),
            (Selection::Model("gpt-4o".into()), true),
            (Selection::Model("gpt-4".into()), false),
            (Selection::Tenant("acme".into()), true),
            (Selection::Tenant("globex".into()), false),
            (Selection::Tag("v2".into()), true),
            (Selection::Tag("v3".into()), false),
        ] {
            assert_eq!(entry.is_of(&selection), is_meant, "{selection:?}");
        }
    }
}
