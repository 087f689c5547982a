//! Which calls a limit is about.

use std::sync::Arc;

use llm_core::{AllowedModels, Caller, LlmRequest};

/// Which calls a limit is about. What is absent concerns all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concerns {
    pub(crate) tenants: Option<Box<[Box<str>]>>,
    pub(crate) users: Option<Box<[Box<str>]>>,
    pub(crate) workflows: Option<Box<[Box<str>]>>,
    pub(crate) jobs: Option<Box<[Box<str>]>>,
    pub(crate) models: Option<AllowedModels>,
}

impl Concerns {
    /// Whether it is about this call.
    pub(crate) fn includes(&self, request: &LlmRequest) -> bool {
        let Self { tenants, users, workflows, jobs, models } = self;
        let Caller { tenant, user, workflow, job } = request.context().caller();
        let is_listed = |list: &Option<Box<[Box<str>]>>, name: &Option<Arc<str>>| {
            list.as_ref()
                .is_none_or(|list| name.as_ref().is_some_and(|name| list.iter().any(|listed| **listed == **name)))
        };
        is_listed(tenants, tenant)
            && is_listed(users, user)
            && is_listed(workflows, workflow)
            && is_listed(jobs, job)
            && models.as_ref().is_none_or(|models| models.permits_target(request.target_or_model()))
    }
}
