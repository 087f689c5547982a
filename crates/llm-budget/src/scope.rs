//! What caps and limits have in common: a name, what callers are told apart by, and which calls they are about.

use std::sync::Arc;

use llm_core::{Caller, ConfigError, OneOrMany};

use crate::{
    AccountRef, Per,
    concerns::{Concerns, Lists},
    whose::Whose,
};

/// What a rule is called, what it tells callers apart by, and which calls it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) name: Arc<str>,
    pub(crate) per: Per,
    pub(crate) concerns: Concerns,
    pub(crate) instead_of: Option<Arc<str>>,
    // What rules are about that stand instead of this one.
    exceptions: Vec<Concerns>,
}

/// A rule that has a scope.
pub(crate) trait Scoped {
    fn scope(&self) -> &Scope;

    fn scope_mut(&mut self) -> &mut Scope;
}

/// The scope of a rule in a configuration file.
pub(crate) struct Stated<'a> {
    pub(crate) name: &'a str,
    pub(crate) per: &'a OneOrMany<String>,
    pub(crate) lists: Lists<'a>,
    pub(crate) instead_of: &'a Option<String>,
}

impl Scope {
    pub(crate) fn new(name: impl Into<Arc<str>>, per: Per) -> Self {
        Self { name: name.into(), per, concerns: Concerns::default(), instead_of: None, exceptions: Vec::new() }
    }

    pub(crate) fn stated(stated: &Stated<'_>) -> Result<Self, ConfigError> {
        let Stated { name, per, lists, instead_of } = stated;
        if name.is_empty() {
            return Err(ConfigError::new("name", "the name must not be empty"));
        }
        let concerns = Concerns::stated(lists)?;
        let instead_of = instead_of.as_deref().map(Arc::from);
        Ok(Self { concerns, instead_of, ..Self::new(*name, Per::stated(per)?) })
    }

    /// Whether calls of this caller are held to it, of all models or of some.
    pub(crate) fn concerns_caller(&self, caller: &Caller) -> bool {
        let is_exempt = |other: &Concerns| !other.looks_at_model() && other.includes_caller(caller);
        self.concerns.includes_caller(caller) && !self.exceptions.iter().any(is_exempt)
    }

    /// Whether this call is held to it.
    pub(crate) fn concerns(&self, whose: &Whose<'_>) -> bool {
        self.concerns.includes(whose) && !self.exceptions.iter().any(|other| other.includes(whose))
    }

    /// Whether it matters to it by which name the catalogue knows a model.
    pub(crate) fn looks_at_model(&self) -> bool {
        let mut concerns = std::iter::once(&self.concerns).chain(&self.exceptions);
        self.per.includes(Per::MODEL) || concerns.any(Concerns::looks_at_model)
    }

    /// Which of those that it tells apart a call is of.
    pub(crate) fn account<'a>(&'a self, whose: &Whose<'a>) -> AccountRef<'a> {
        let has = |per: Per, name: &'a Option<Arc<str>>| name.as_deref().filter(|_| self.per.includes(per));
        let Caller { tenant, user, key, workflow, job } = whose.caller;
        AccountRef {
            rule: &self.name,
            tenant: has(Per::TENANT, tenant),
            user: has(Per::USER, user),
            key: has(Per::KEY, key),
            workflow: has(Per::WORKFLOW, workflow),
            job: has(Per::JOB, job),
            model: self.per.includes(Per::MODEL).then_some(whose.model),
        }
    }
}

/// The rules that hold: of those of one name the last, and none for calls that one behind it is about and that stands
/// instead of it.
pub(crate) fn holding<R: Scoped>(rules: impl IntoIterator<Item = R>) -> Vec<R> {
    let mut holding: Vec<R> = Vec::new();
    for rule in rules {
        holding.retain(|other| other.scope().name != rule.scope().name);
        holding.push(rule);
    }
    // Only then: a rule that does not hold stands for nothing.
    for at in 0..holding.len() {
        let (before, behind) = holding.split_at_mut(at);
        let Scope { concerns, instead_of: Some(name), .. } = behind[0].scope() else { continue };
        if let Some(other) = before.iter_mut().find(|other| other.scope().name == *name) {
            other.scope_mut().exceptions.push(concerns.clone());
        }
    }
    holding
}

/// The rules of a list in a configuration file, each with a name of its own.
pub(crate) fn stated<C, R: Scoped>(
    key: &str,
    configs: &[C],
    build: impl Fn(&C) -> Result<R, ConfigError>,
) -> Result<Vec<R>, ConfigError> {
    let mut rules: Vec<R> = Vec::with_capacity(configs.len());
    for (at, config) in configs.iter().enumerate() {
        let place = format_args!("{key}[{at}]");
        let rule = build(config).map_err(|error| error.within(place))?;
        let is_known = |name: &str| rules.iter().any(|known| *known.scope().name == *name);
        let Scope { name, instead_of, .. } = rule.scope();
        if is_known(name) {
            return Err(ConfigError::new("name", format!("`{name}` stands there twice")).within(place));
        }
        if let Some(other) = instead_of.as_ref().filter(|other| !is_known(other)) {
            let message = format!("no rule before this one is called `{other}`");
            return Err(ConfigError::new("instead_of", message).within(place));
        }
        rules.push(rule);
    }
    Ok(rules)
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
