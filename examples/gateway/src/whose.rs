//! Whose accounts and limits operators mean.

use llm_budget::AccountKey;
use llm_core::{Target, TargetRef};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The names of an account or of a caller under a limit. What is not stated may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Names {
    /// The rule, which is a budget or a limit.
    #[serde(alias = "limit")]
    budget: Option<String>,
    tenant: Option<String>,
    user: Option<String>,
    key: Option<String>,
    workflow: Option<String>,
    job: Option<String>,
    /// `provider/model`.
    model: Option<String>,
}

impl Names {
    /// Whether that is one of those that are meant.
    pub(crate) fn include(&self, account: &AccountKey) -> bool {
        let Self { budget, tenant, user, key, workflow, job, model } = self;
        let is_meant = |wanted: &Option<String>, name: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| name.is_some_and(|name| name == wanted))
        };
        is_meant(budget, Some(&account.rule))
            && is_meant(tenant, account.tenant.as_deref())
            && is_meant(user, account.user.as_deref())
            && is_meant(key, account.key.as_deref())
            && is_meant(workflow, account.workflow.as_deref())
            && is_meant(job, account.job.as_deref())
            && (model.is_none() || is_meant(model, account.model.as_ref().map(name_of).as_deref()))
    }

    /// The names of an account but for its rule, as operators see them.
    pub(crate) fn of(account: &AccountKey) -> Map<String, Value> {
        let AccountKey { rule: _, tenant, user, key, workflow, job, model } = account;
        let names = json!({
            "tenant": tenant.as_deref(),
            "user": user.as_deref(),
            "key": key.as_deref(),
            "workflow": workflow.as_deref(),
            "job": job.as_deref(),
            "model": model.as_ref().map(name_of),
        });
        let Value::Object(names) = names else { unreachable!("it is written as one") };
        names
    }
}

fn name_of(target: &Target) -> String {
    let TargetRef { provider, model, key: _ } = target.names();
    if provider.is_empty() { model.to_owned() } else { format!("{provider}/{model}") }
}
