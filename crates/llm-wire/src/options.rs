//! What a provider is to get other than what the caller wrote.

use crate::openai::Variant;

/// What a provider is to get other than what the caller wrote.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions<'a> {
    /// The model, by the provider's name for it.
    pub model: &'a str,
    /// Whether to ask for a usage report at the end of streams even if the caller did not. False unless set; Anthropic
    /// reports unasked.
    pub include_usage: bool,
    /// The most output tokens that may be asked for: a higher limit of the caller's, or none, becomes this.
    /// Nothing is changed unless it is set.
    pub output_ceiling: Option<u64>,
    /// The most output tokens the model can make, where that is known. It is sent only in a dialect that requires a
    /// limit (Anthropic's), and only if neither the caller nor `output_ceiling` set one.
    pub max_output: Option<u64>,
    /// Which of the servers that speak OpenAI's dialect it is. OpenAI itself unless set; it concerns no other
    /// dialect.
    pub variant: &'a Variant,
}

impl<'a> EncodeOptions<'a> {
    /// Changes the model's name and nothing else.
    pub fn new(model: &'a str) -> Self {
        Self { model, include_usage: false, output_ceiling: None, max_output: None, variant: &Variant::OPENAI }
    }

    /// The limit on output that the caller asked for, or the ceiling where that is lower or the caller set none.
    pub(crate) fn limit(&self, asked: Option<u64>) -> Option<u64> {
        match (asked, self.output_ceiling) {
            (Some(asked), Some(ceiling)) => Some(asked.min(ceiling)),
            (asked, ceiling) => asked.or(ceiling),
        }
    }
}
