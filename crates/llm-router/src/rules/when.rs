//! The condition of a rule.

use std::ops::{Bound, RangeBounds};

use llm_core::{Sensitivity, catalog::Capability};

use super::{Facts, Needs, Pattern};

/// When a rule holds: each key that is stated must hold of the call, so an empty condition always does.
///
/// Of a list it is enough that one entry holds; only of [`tags`](Self::tags) all must. A call that says nothing of a
/// key (no tenant, no intent) holds for no list of that key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    pub(super) stream: Option<bool>,
    pub(super) sensitivity: Option<Sensitivity>,
    pub(super) intent: Option<Names>,
    pub(super) workflow: Option<Names>,
    pub(super) tenant: Option<Names>,
    pub(super) user: Option<Names>,
    pub(super) model: Option<Box<[Pattern]>>,
    pub(super) tags: Names,
    pub(super) needs: Option<Needs>,
    pub(super) input_tokens: Option<Span>,
}

pub(super) type Names = Box<[Box<str>]>;

/// Numbers from the first to the second, both included. Empty when the first is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) const ALL: Self = Self { first: 0, last: u64::MAX };
    const NONE: Self = Self { first: 1, last: 0 };

    fn new(range: impl RangeBounds<u64>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(first) => Some(*first),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let last = match range.end_bound() {
            Bound::Included(last) => Some(*last),
            Bound::Excluded(after) => after.checked_sub(1),
            Bound::Unbounded => Some(u64::MAX),
        };
        first.zip(last).map_or(Self::NONE, |(first, last)| Self { first, last })
    }

    pub(super) fn contains(self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

impl When {
    /// Always.
    pub fn new() -> Self {
        Self::default()
    }

    /// The caller asks for one of these models or routes: an exact name, or a beginning that ends in `*`. A model is meant
    /// with its provider's name before it, too; one that a route stands for is not.
    pub fn model<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.model = Some(names.into_iter().map(|name| Pattern::new(name.as_ref())).collect());
        self
    }

    /// The call is about one of these, as a classifier or the caller says.
    pub fn intent(mut self, intents: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.intent = Some(names(intents));
        self
    }

    /// The call may leave the house, or may not.
    pub fn sensitivity(mut self, sensitivity: Sensitivity) -> Self {
        self.sensitivity = Some(sensitivity);
        self
    }

    /// The call comes from one of these tenants.
    pub fn tenant(mut self, tenants: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.tenant = Some(names(tenants));
        self
    }

    /// The call comes from one of these users.
    pub fn user(mut self, users: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.user = Some(names(users));
        self
    }

    /// The call is part of one of these workflows.
    pub fn workflow(mut self, workflows: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.workflow = Some(names(workflows));
        self
    }

    /// The call bears all these tags.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.tags = names(tags);
        self
    }

    /// The prompt is estimated at this many tokens. Looked at last, because it takes a look at every text.
    pub fn input_tokens(mut self, tokens: impl RangeBounds<u64>) -> Self {
        self.input_tokens = Some(Span::new(tokens));
        self
    }

    /// The request itself needs one of these: chat or embeddings by its kind; tools, vision, audio and files by what is
    /// in it; a JSON Schema by the form it wants its answer in. Reasoning and streaming no request needs, so a condition
    /// on these alone never holds.
    pub fn needs(mut self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.needs = Some(capabilities.into_iter().fold(Needs::default(), Needs::and));
        self
    }

    /// The caller wants the answer in pieces, or whole.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Whether it holds of these facts. What is cheap is looked at first.
    pub fn holds(&self, facts: &mut Facts<'_>) -> bool {
        let Self { stream, sensitivity, intent, workflow, tenant, user, model, tags, needs, input_tokens } = self;
        let request = facts.request();
        let context = request.context();
        stream.is_none_or(|stream| request.is_stream() == stream)
            && sensitivity.is_none_or(|sensitivity| context.sensitivity() == sensitivity)
            && intent.as_ref().is_none_or(|names| has(names, context.intent()))
            && workflow.as_ref().is_none_or(|names| has(names, context.caller().workflow.as_deref()))
            && tenant.as_ref().is_none_or(|names| has(names, context.caller().tenant.as_deref()))
            && user.as_ref().is_none_or(|names| has(names, context.caller().user.as_deref()))
            && model.as_ref().is_none_or(|models| models.iter().any(|model| is_asked_for(model, request.model())))
            && tags.iter().all(|tag| context.has_tag(tag))
            && needs.is_none_or(|needs| facts.needs().has_any_of(needs))
            && input_tokens.is_none_or(|span| span.contains(facts.input_tokens()))
    }
}

/// Whether the name that the call bears is one of these.
fn has(names: &[Box<str>], name: Option<&str>) -> bool {
    name.is_some_and(|name| names.iter().any(|own| **own == *name))
}

fn names(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Names {
    names.into_iter().map(Into::into).collect()
}

/// Whether a caller who asks for `name` asks for what the pattern stands for, by itself or at one provider.
fn is_asked_for(pattern: &Pattern, name: &str) -> bool {
    pattern.stands_for(name) || name.split_once('/').is_some_and(|(_, model)| pattern.stands_for(model))
}
