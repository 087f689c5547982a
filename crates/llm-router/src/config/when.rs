//! Conditions in a configuration file.

use llm_core::{ConfigError, OneOrMany, Sensitivity, catalog::Capability};
use serde::Deserialize;

use super::listed;
use crate::{
    When,
    rules::{Needs, name_of},
};

/// A condition in a configuration file. All that is stated must hold; what is not stated holds for every call.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhenConfig {
    /// See [`When::model`].
    pub model: Option<OneOrMany<String>>,
    /// See [`When::intent`].
    pub intent: Option<OneOrMany<String>>,
    /// See [`When::sensitivity`].
    pub sensitivity: Option<SensitivityConfig>,
    /// See [`When::tenant`].
    pub tenant: Option<OneOrMany<String>>,
    /// See [`When::user`].
    pub user: Option<OneOrMany<String>>,
    /// See [`When::workflow`].
    pub workflow: Option<OneOrMany<String>>,
    /// See [`When::tags`].
    pub tags: Option<OneOrMany<String>>,
    /// See [`When::input_tokens`].
    pub input_tokens: Option<TokensConfig>,
    /// See [`When::needs`]: `chat`, `embeddings`, `tools`, `vision`, `audio`, `files`, `json_schema`.
    pub needs: Option<OneOrMany<String>>,
    /// See [`When::stream`].
    pub stream: Option<bool>,
}

/// Whether a call may leave the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SensitivityConfig {
    /// It may.
    Normal,
    /// It may not.
    Sensitive,
}

/// A range of tokens, one of whose ends at least is stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokensConfig {
    /// So many or more. Defaults to 0.
    pub at_least: Option<u64>,
    /// So many or fewer. No limit by default.
    pub at_most: Option<u64>,
}

impl WhenConfig {
    pub(super) fn resolve(&self, known_intents: Option<&[&str]>) -> Result<When, ConfigError> {
        let Self { model, intent, sensitivity, tenant, user, workflow, tags, input_tokens, needs, stream } = self;
        let mut when = When::new();
        if let Some(models) = model {
            let models = models.stated("model")?;
            if models.iter().any(|model| model.strip_suffix('*').unwrap_or(model).contains('*')) {
                return Err(ConfigError::new("model", "a `*` can only be the last character of a name"));
            }
            when = when.model(models);
        }
        if let Some(intents) = intent {
            let intents = intents.stated("intent")?;
            if let Some(known) = known_intents
                && let Some(unknown) = intents.iter().find(|intent| !known.contains(&&***intent))
            {
                let known = listed(known.iter().copied());
                return Err(ConfigError::new("intent", format!("there is no intent `{unknown}`; known are {known}")));
            }
            when = when.intent(texts(intents));
        }
        if let Some(sensitivity) = sensitivity {
            when = when.sensitivity(match sensitivity {
                SensitivityConfig::Normal => Sensitivity::Normal,
                SensitivityConfig::Sensitive => Sensitivity::Sensitive,
            });
        }
        if let Some(tenants) = tenant {
            let tenants = tenants.stated("tenant")?;
            when = when.tenant(texts(tenants));
        }
        if let Some(users) = user {
            let users = users.stated("user")?;
            when = when.user(texts(users));
        }
        if let Some(workflows) = workflow {
            let workflows = workflows.stated("workflow")?;
            when = when.workflow(texts(workflows));
        }
        if let Some(tags) = tags {
            let tags = tags.stated("tags")?;
            when = when.tags(texts(tags));
        }
        if let Some(names) = needs {
            let names = names.stated("needs")?;
            let capabilities: Result<Vec<_>, _> = names.iter().map(|name| capability(name)).collect();
            when = when.needs(capabilities?);
        }
        if let Some(stream) = stream {
            when = when.stream(*stream);
        }
        match input_tokens {
            None => Ok(when),
            Some(TokensConfig { at_least: None, at_most: None }) => {
                Err(ConfigError::new("input_tokens", "it needs `at_least` or `at_most`"))
            }
            Some(TokensConfig { at_least, at_most }) => {
                let (at_least, at_most) = (at_least.unwrap_or(0), at_most.unwrap_or(u64::MAX));
                if at_least > at_most {
                    return Err(ConfigError::new("input_tokens", "`at_least` must not be above `at_most`"));
                }
                Ok(when.input_tokens(at_least..=at_most))
            }
        }
    }
}

fn texts(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

fn capability(name: &str) -> Result<Capability, ConfigError> {
    Needs::ALL.into_iter().find(|capability| name_of(*capability) == name).ok_or_else(|| {
        let known = listed(Needs::ALL.map(name_of));
        ConfigError::new(
            "needs",
            format!("there is no capability `{name}` that a request could need; known are {known}"),
        )
    })
}
