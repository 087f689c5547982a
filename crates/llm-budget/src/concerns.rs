//! Which calls a rule is about.

use std::sync::Arc;

use llm_core::{AllowedModels, Caller, ConfigError, OneOrMany};

use crate::whose::Whose;

/// Which calls a rule is about. What is absent concerns all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concerns {
    tenants: Option<Names>,
    users: Option<Names>,
    keys: Option<Names>,
    workflows: Option<Names>,
    jobs: Option<Names>,
    models: Option<AllowedModels>,
}

type Names = Box<[Box<str>]>;

/// The lists of a rule in a configuration file.
pub(crate) struct Lists<'a> {
    pub(crate) tenants: &'a Option<OneOrMany<String>>,
    pub(crate) users: &'a Option<OneOrMany<String>>,
    pub(crate) keys: &'a Option<OneOrMany<String>>,
    pub(crate) workflows: &'a Option<OneOrMany<String>>,
    pub(crate) jobs: &'a Option<OneOrMany<String>>,
    pub(crate) models: &'a Option<OneOrMany<String>>,
}

impl Concerns {
    pub(crate) fn stated(lists: &Lists<'_>) -> Result<Self, ConfigError> {
        let Lists { tenants, users, keys, workflows, jobs, models } = lists;
        let stated = |key, list: &Option<OneOrMany<String>>| {
            let names = list.as_ref().map(|list| list.stated(key)).transpose()?;
            Ok::<_, ConfigError>(names.map(|names| names.iter().map(|name| name.as_str().into()).collect::<Names>()))
        };
        Ok(Self {
            tenants: stated("tenants", tenants)?,
            users: stated("users", users)?,
            keys: stated("keys", keys)?,
            workflows: stated("workflows", workflows)?,
            jobs: stated("jobs", jobs)?,
            models: stated("models", models)?.map(AllowedModels::new),
        })
    }

    pub(crate) fn tenants(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.tenants = list(names);
    }

    pub(crate) fn users(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.users = list(names);
    }

    pub(crate) fn keys(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.keys = list(names);
    }

    pub(crate) fn workflows(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.workflows = list(names);
    }

    pub(crate) fn jobs(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.jobs = list(names);
    }

    pub(crate) fn models(&mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.models = Some(AllowedModels::new(names));
    }

    /// Whether it looks at the model.
    pub(crate) fn looks_at_model(&self) -> bool {
        self.models.is_some()
    }

    /// Whether it is about calls of this caller, of all models or of some.
    pub(crate) fn includes_caller(&self, caller: &Caller) -> bool {
        let Self { tenants, users, keys, workflows, jobs, models: _ } = self;
        let is_listed = |list: &Option<Names>, name: &Option<Arc<str>>| match list {
            None => true,
            Some(list) => name.as_ref().is_some_and(|name| list.iter().any(|listed| **listed == **name)),
        };
        is_listed(tenants, &caller.tenant)
            && is_listed(users, &caller.user)
            && is_listed(keys, &caller.key)
            && is_listed(workflows, &caller.workflow)
            && is_listed(jobs, &caller.job)
    }

    /// Whether it is about this call. A model is listed by any of its names.
    pub(crate) fn includes(&self, whose: &Whose<'_>) -> bool {
        let permits = |models: &AllowedModels| whose.names().any(|name| models.permits_target(name));
        self.includes_caller(whose.caller) && self.models.as_ref().is_none_or(permits)
    }
}

fn list(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Option<Names> {
    Some(names.into_iter().map(Into::into).collect())
}
