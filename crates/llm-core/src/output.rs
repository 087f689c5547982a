//! A whole answer.

use std::fmt;

use crate::{Dialect, Extra, FinishReason, Json, Part, PartContent, Provenance, Start, Usage};

/// A whole answer: to a chat, to a request for embeddings, or to a question for a count.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The answer to a chat.
    Chat(ChatOutput),
    /// Vectors.
    Embed(EmbedOutput),
    /// How many input tokens a chat would be.
    TokenCount(TokenCount),
}

impl Output {
    /// A chat answer of one finished text, without a usage report.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Chat(ChatOutput {
            choices: vec![Choice {
                parts: vec![Part::text(text)],
                finish: Some(FinishReason::Stop),
                ..Choice::default()
            }],
            ..ChatOutput::default()
        })
    }

    /// The text of the first choice, joined; empty when there is none.
    pub fn first_text(&self) -> String {
        let Self::Chat(chat) = self else { return String::new() };
        chat.choices.first().map(Choice::text).unwrap_or_default()
    }

    /// What the provider says was used.
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Chat(chat) => chat.usage.as_ref(),
            Self::Embed(embed) => embed.usage.as_ref(),
            Self::TokenCount(_) => None,
        }
    }

    /// Sets what was used. Counting uses nothing.
    pub fn set_usage(&mut self, usage: Usage) {
        match self {
            Self::Chat(chat) => chat.usage = Some(usage),
            Self::Embed(embed) => embed.usage = Some(usage),
            Self::TokenCount(_) => {}
        }
    }
}

impl From<TokenCount> for Output {
    fn from(count: TokenCount) -> Self {
        Self::TokenCount(count)
    }
}

impl From<ChatOutput> for Output {
    fn from(chat: ChatOutput) -> Self {
        Self::Chat(chat)
    }
}

impl From<EmbedOutput> for Output {
    fn from(embed: EmbedOutput) -> Self {
        Self::Embed(embed)
    }
}

/// The answer to a chat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatOutput {
    /// What was known when the answer began: its id, the model, the time.
    pub start: Start,
    /// The answers, in the order of their indices.
    pub choices: Vec<Choice>,
    /// What the provider says was used.
    pub usage: Option<Usage>,
    /// Fields that have no name here.
    pub extra: Extra,
    /// The dialect that the unknown fields belong to, here and in choices and parts; see
    /// [`Chat::dialect`](crate::Chat::dialect).
    pub dialect: Option<Dialect>,
}

/// One of the answers asked for with `n`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Which one, from 0.
    pub index: u32,
    /// What the model says: text, reasoning, refusal and tool calls, as they came.
    pub parts: Vec<Part>,
    /// Why it ended; absent in an answer that was cut.
    pub finish: Option<FinishReason>,
    /// How likely the tokens were, in the provider's own shape.
    pub logprobs: Option<Json>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl Choice {
    /// The text parts, joined.
    pub fn text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect()
    }

    /// True when the model said nothing at all.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| match &part.content {
            PartContent::Text(text) | PartContent::Refusal(text) => text.is_empty(),
            PartContent::Reasoning(reasoning) => reasoning.text.is_empty() && reasoning.redacted.is_none(),
            _ => false,
        })
    }
}

/// Vectors, one for each input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedOutput {
    /// The vectors in the order of the inputs.
    pub vectors: Vec<Vector>,
    /// What the provider says was used.
    pub usage: Option<Usage>,
    /// Fields that have no name here.
    pub extra: Extra,
}

/// How many input tokens a chat would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// The tokens, tools and pictures included.
    pub input_tokens: u64,
    /// Whether the provider counted them, or they were estimated because it does not count.
    pub provenance: Provenance,
}

/// One embedding. `Debug` shows its length.
#[derive(Clone, Default, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({})", self.0.len())
    }
}
