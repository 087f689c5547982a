//! A fallback layer from a configuration file.

use llm_core::{ConfigError, ErrorKind, OneOrMany};
use serde::Deserialize;

use crate::{Answer, FallbackLayer, When};

/// A fallback layer in a configuration file.
///
/// ```
/// use llm_core::ConfigError;
/// use llm_fallback::{Answer, FallbackConfig};
///
/// let config: FallbackConfig = toml::from_str(r#"
///     message = "I cannot answer right now. Please try again in a few minutes."
///
///     [[cases]]
///     when = { workflow = "support-chat", kinds = ["overloaded", "circuit_open"] }
///     target = "ollama/llama3"
///
///     [[cases]]
///     when = { intent = ["code", "math"] }
///     message = "The expert is away."
/// "#)?;
/// # let ollama = tower::service_fn(|_: llm_core::LlmRequest| async { Err::<llm_core::LlmResponse, _>(llm_core::Error::internal("")) });
/// let service = |target: &str| match target {
///     "ollama/llama3" => Ok(Answer::local_service(ollama)),
///     other => Err(ConfigError::new("target", format!("nobody serves `{other}`"))),
/// };
/// let layer = config.layer(service, None)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// What to answer, after all cases, to any call that failed through no fault of its caller's. Nothing by default.
    pub message: Option<String>,
    /// What to answer when. Asked in this order. None by default, which needs a message.
    pub cases: Vec<CaseConfig>,
}

/// A case in a configuration file. Of `message` and `target` one is stated.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseConfig {
    /// When it answers. Defaults to every call that failed through no fault of its caller's.
    pub when: WhenConfig,
    /// See [`Answer::message`].
    pub message: Option<String>,
    /// Who is asked instead, by a name that the owner of the layer knows, such as `ollama/llama3`.
    pub target: Option<String>,
}

/// A condition in a configuration file. Lists may be a single entry without its brackets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhenConfig {
    /// See [`When::kinds`]. The words of [`ErrorKind::as_str`].
    pub kinds: Option<OneOrMany<String>>,
    /// See [`When::workflow`].
    pub workflow: Option<OneOrMany<String>>,
    /// See [`When::intent`].
    pub intent: Option<OneOrMany<String>>,
}

impl FallbackConfig {
    /// The layer that is stated here. `service` knows the services by the names of the targets; of its errors the
    /// sentence is kept, and the place is told from here. `known_intents` are those that a classifier tells; without
    /// them a case may be for any.
    ///
    /// # Errors
    /// If nothing is answered at all, a case has no answer or two, a kind, intent or target is not known, a list or text
    /// is empty, or a case is never reached. The error names the place, such as `cases[1].when.kinds`.
    pub fn layer(
        &self,
        service: impl Fn(&str) -> Result<Answer, ConfigError>,
        known_intents: Option<&[&str]>,
    ) -> Result<FallbackLayer, ConfigError> {
        let mut layer = FallbackLayer::new();
        for (at, case) in self.cases.iter().enumerate() {
            let resolved = case.resolve(&service, known_intents);
            let (when, answer) = resolved.map_err(|error| error.within(format_args!("cases[{at}]")))?;
            layer = layer.case(when, answer);
        }
        if let Some(text) = &self.message {
            layer = layer.case(When::new(), message(text)?);
        } else if self.cases.is_empty() {
            return Err(ConfigError::new("message", "the layer answers nothing: it needs a message or cases"));
        }
        let all = self.cases.len() + usize::from(self.message.is_some());
        for at in 0..all {
            if let Some(earlier) = layer.in_vain_after(at) {
                let path = if at == self.cases.len() { "message".to_owned() } else { format!("cases[{at}]") };
                let earlier: Vec<_> = earlier.into_iter().map(|at| format!("cases[{at}]")).collect();
                let message = format!("it is never reached: {} answers whenever it would", earlier.join(" or "));
                return Err(ConfigError::new(path, message));
            }
        }
        Ok(layer)
    }
}

impl CaseConfig {
    fn resolve(
        &self,
        service: &impl Fn(&str) -> Result<Answer, ConfigError>,
        known_intents: Option<&[&str]>,
    ) -> Result<(When, Answer), ConfigError> {
        let answer = match (&self.message, &self.target) {
            (Some(text), None) => message(text)?,
            (None, Some(target)) => service(target).map_err(|error| ConfigError::new("target", error.message()))?,
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("target", "there is an answer already: leave out this or `message`"));
            }
            (None, None) => return Err(ConfigError::new("message", "there is no answer: it needs this or `target`")),
        };
        Ok((self.when.resolve(known_intents).map_err(|error| error.within("when"))?, answer))
    }
}

impl WhenConfig {
    fn resolve(&self, known_intents: Option<&[&str]>) -> Result<When, ConfigError> {
        let Self { kinds, workflow, intent } = self;
        let mut when = When::new();
        if let Some(names) = kinds {
            let names = names.stated("kinds")?;
            let kinds: Result<Vec<_>, _> = names.iter().map(|name| kind(name)).collect();
            when = when.kinds(kinds?);
        }
        if let Some(workflows) = workflow {
            let workflows = workflows.stated("workflow")?;
            when = when.workflow(workflows.iter().map(String::as_str));
        }
        if let Some(intents) = intent {
            let intents = intents.stated("intent")?;
            if let Some(known) = known_intents
                && let Some(unknown) = intents.iter().find(|intent| !known.contains(&intent.as_str()))
            {
                let message = format!("there is no intent `{unknown}`; known are {}", listed(known));
                return Err(ConfigError::new("intent", message));
            }
            when = when.intent(intents.iter().map(String::as_str));
        }
        Ok(when)
    }
}

fn message(text: &str) -> Result<Answer, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::new("message", "an empty answer is none"));
    }
    Ok(Answer::message(text))
}

fn kind(name: &str) -> Result<ErrorKind, ConfigError> {
    ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
        let known = ErrorKind::ALL.map(ErrorKind::as_str);
        ConfigError::new("kinds", format!("there is no kind `{name}`; known are {}", listed(&known)))
    })
}

/// The names of a list, for a sentence.
fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
