//! Whose call it is, and of which model.

use std::sync::Arc;

use llm_core::{
    Caller, LlmRequest, TargetRef,
    catalog::{Catalog, Model},
};

/// What rules look at in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) caller: &'a Caller,
    /// The model as it is called.
    pub(crate) called: TargetRef<'a>,
    /// The model by the catalogue's name for it, which it is known by, and no key.
    pub(crate) model: TargetRef<'a>,
    /// The provider that the catalogue knows it of, if that names one.
    maker: Option<&'a str>,
}

impl<'a> Whose<'a> {
    pub(crate) fn new(caller: &'a Caller, called: TargetRef<'a>, facts: Option<&'a Model>) -> Self {
        let name = facts.map_or(called.model, |facts| &facts.name);
        let maker = facts.and_then(|facts| facts.provider.as_deref());
        Self { caller, called, model: TargetRef { model: name, key: None, ..called }, maker }
    }

    /// All names that the model goes by. Where no target is chosen yet it may be called with its provider before it or
    /// without, and is the same model: or whoever wrote the other name into a rule would hold nobody to it.
    pub(crate) fn names(&self) -> impl Iterator<Item = TargetRef<'a>> {
        let Self { called, model, maker, .. } = *self;
        let is_target = !called.provider.is_empty();
        let split = called.model.split_once('/').filter(|_| !is_target);
        let split = split.map(|(provider, model)| TargetRef { provider, model, key: None });
        let made = maker.filter(|_| !is_target).map(|provider| TargetRef { provider, ..model });
        [called, model].into_iter().chain(split).chain(made)
    }

    /// Of a request, with what is known of its model.
    pub(crate) fn of(request: &'a LlmRequest, facts: Option<&'a Model>) -> Self {
        Self::new(request.context().caller(), request.target_or_model(), facts)
    }
}

/// What a catalogue knows of a model.
pub(crate) fn facts<'a>(catalog: &'a Catalog, names: TargetRef<'_>) -> Option<&'a Arc<Model>> {
    let provider = (!names.provider.is_empty()).then_some(names.provider);
    catalog.get_shared(provider, names.model)
}
