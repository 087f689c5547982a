//! Which candidates can serve a call at all.

use llm_core::{AllowedModels, Error, ErrorKind, LlmRequest, TargetRef, catalog::Capability, rough_prompt};

use crate::{Candidate, Facts, rules::Needs};

/// Why a candidate cannot serve a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// Its model is known to be unable to.
    Capability(Capability),
    /// The prompt is too long for its model.
    Window,
    /// The request may not leave the house.
    Sensitive,
    /// It does not bear the tags that a rule requires.
    Tags,
    /// The caller may not use it.
    NotAllowed,
}

/// What candidates are held against for one call. What is not known of a model does not exclude it.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    required_tags: &'a [Box<str>],
    allowed: Option<&'a AllowedModels>,
    // Whether the caller may use whatever answers to the requested name.
    is_name_allowed: bool,
    // The provider whose model the requested name would be, where it is not.
    named_like: Option<&'a str>,
    is_sensitive: bool,
    // Worked out for the first candidate with a window.
    most_tokens: Option<u64>,
    excluded: Excluded,
}

/// How many candidates were excluded for which reason.
#[derive(Clone, Copy, Debug, Default)]
struct Excluded {
    all: u32,
    capability: u32,
    // The first of them.
    missing: Option<Capability>,
    window: u32,
    sensitive: u32,
    not_allowed: u32,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(request: &'a LlmRequest, required_tags: &'a [Box<str>]) -> Self {
        let context = request.context();
        let allowed = context.allowed_models();
        Self {
            required_tags,
            allowed,
            is_name_allowed: allowed.is_none_or(|allowed| allowed.permits(request.model())),
            named_like: None,
            is_sensitive: context.sensitivity().is_sensitive(),
            most_tokens: None,
            excluded: Excluded::default(),
        }
    }

    /// The requested name is one that the caller made up, and looks like one of this provider's models without being
    /// one: those who may use that provider need not mean the one that serves the name.
    pub(crate) fn named_like(self, provider: Option<&'a str>) -> Self {
        Self { named_like: provider, ..self }
    }

    /// Whether the candidate can serve the call. Those that cannot are counted.
    pub(crate) fn admits(&mut self, candidate: &Candidate, facts: &mut Facts<'_>) -> bool {
        let checked = self.check_target(candidate).and_then(|()| self.check_model(candidate, facts));
        self.count(checked)
    }

    /// The same for a target that was chosen elsewhere: whether the call may go there, not whether it would do.
    pub(crate) fn admits_chosen(&mut self, candidate: &Candidate) -> bool {
        self.count(self.check_target(candidate))
    }

    fn count(&mut self, checked: Result<(), Exclusion>) -> bool {
        if let Err(exclusion) = checked {
            self.excluded.add(exclusion);
        }
        checked.is_ok()
    }

    fn check_target(&self, candidate: &Candidate) -> Result<(), Exclusion> {
        if self.is_sensitive && !candidate.is_local() {
            return Err(Exclusion::Sensitive);
        }
        if !self.is_allowed(candidate.target().names()) {
            return Err(Exclusion::NotAllowed);
        }
        if self.required_tags.iter().any(|tag| !candidate.has_tag(tag)) {
            return Err(Exclusion::Tags);
        }
        Ok(())
    }

    fn is_allowed(&self, target: TargetRef<'_>) -> bool {
        match (self.allowed, self.named_like.filter(|other| *other != target.provider)) {
            (None, _) => true,
            (Some(allowed), Some(other)) => allowed.permits_target_named_like(other, target),
            (Some(allowed), None) => self.is_name_allowed || allowed.permits_target(target),
        }
    }

    fn check_model(&mut self, candidate: &Candidate, facts: &mut Facts<'_>) -> Result<(), Exclusion> {
        let lacks = candidate.lacks();
        if lacks != Needs::default()
            && let Some(missing) = facts.needs().iter().find(|need| lacks.has(*need))
        {
            return Err(Exclusion::Capability(missing));
        }
        let window = candidate.model().and_then(|model| model.context_window);
        if let Some(window) = window
            && *self.most_tokens.get_or_insert_with(|| most_tokens(facts.request())) > window
            && facts.input_tokens() > window
        {
            return Err(Exclusion::Window);
        }
        Ok(())
    }

    /// Why no candidate is left of what was asked for by this name.
    pub(crate) fn refusal(&self, name: &str) -> Error {
        let Excluded { all, capability, missing, window, sensitive, not_allowed } = self.excluded;
        let only = |some: u32| some > 0 && some == all;
        let of = |one: &'static str, several: &'static str| if all == 1 { one } else { several };
        let is_not = of("it is not", "none of them is");
        let (kind, why) = if only(not_allowed) {
            (ErrorKind::Forbidden, of("the caller may not use it", "the caller may use none of them").into())
        } else if only(window) {
            (
                ErrorKind::ContextLength,
                of("the prompt is too long for it", "the prompt is too long for each of them").into(),
            )
        } else if let (true, Some(missing)) = (only(capability), missing) {
            (ErrorKind::InvalidRequest, format!("{is_not} capable of {}", word(missing)))
        } else if only(sensitive) {
            (ErrorKind::NoRoute, format!("the request is sensitive, and {is_not} marked local"))
        } else {
            (ErrorKind::NoRoute, of("it cannot serve this request", "none of them can serve this request").into())
        };
        let targets = if all == 1 { "one target".to_owned() } else { format!("{all} targets") };
        Error::new(kind, format!("`{name}` has {targets}: {why}"))
    }
}

impl Excluded {
    fn add(&mut self, exclusion: Exclusion) {
        self.all += 1;
        match exclusion {
            Exclusion::Capability(capability) => {
                self.capability += 1;
                self.missing.get_or_insert(capability);
            }
            Exclusion::Window => self.window += 1,
            Exclusion::Sensitive => self.sensitive += 1,
            Exclusion::Tags => {}
            Exclusion::NotAllowed => self.not_allowed += 1,
        }
    }
}

/// A bound on the prompt that takes no look into its texts: hardly any comes near a window.
fn most_tokens(request: &LlmRequest) -> u64 {
    // The rough figure takes four bytes to be a token. No estimate takes one byte to be more than three.
    rough_prompt(request.payload()).saturating_add(1).saturating_mul(12)
}

fn word(capability: Capability) -> &'static str {
    match capability {
        Capability::Chat => "chats",
        Capability::Embeddings => "embeddings",
        Capability::Tools => "calling tools",
        Capability::Vision => "seeing pictures",
        Capability::Audio => "hearing audio",
        Capability::Files => "reading documents",
        Capability::JsonSchema => "keeping to a JSON Schema",
        Capability::Reasoning => "reasoning",
        Capability::Streaming => "streaming",
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
