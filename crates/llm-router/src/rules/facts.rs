//! What is known of a call when its rule is chosen.

use llm_core::{LlmRequest, TokenFamily};

use super::Needs;

/// A request, and what takes a look at its messages to know: found out when a condition asks for it, and only once.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    request: &'a LlmRequest,
    needs: Option<Needs>,
    input_tokens: Option<u64>,
}

impl<'a> Facts<'a> {
    /// The facts of this request. Nothing is computed yet.
    pub fn of(request: &'a LlmRequest) -> Self {
        Self { request, needs: None, input_tokens: None }
    }

    /// The request.
    pub fn request(&self) -> &'a LlmRequest {
        self.request
    }

    /// How many input tokens it is, by an [estimate](llm_core::estimate_prompt) for the requested model: where it is a
    /// route's name, for models of the most common family.
    ///
    /// There is no short cut by the length of the texts. A run of blanks is hardly a token, so length bounds the count
    /// from above only, and where that settles the matter the texts are so short that counting costs nothing either.
    pub fn input_tokens(&mut self) -> u64 {
        let Self { request, input_tokens, .. } = self;
        *input_tokens.get_or_insert_with(|| request.estimate_prompt(TokenFamily::of(request.model())).likely)
    }

    /// What it needs its model to be capable of.
    pub(crate) fn needs(&mut self) -> Needs {
        let Self { request, needs, .. } = self;
        *needs.get_or_insert_with(|| Needs::of(request.payload()))
    }

    #[cfg(test)]
    pub(super) fn with_input_tokens(request: &'a LlmRequest, tokens: u64) -> Self {
        Self { input_tokens: Some(tokens), ..Self::of(request) }
    }

    #[cfg(test)]
    pub(super) fn computed(&self) -> (bool, bool) {
        (self.needs.is_some(), self.input_tokens.is_some())
    }
}
