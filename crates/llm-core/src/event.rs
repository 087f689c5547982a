//! What a stream says, one event at a time.

use std::{fmt, sync::Arc};

use crate::{Json, Other, ToolCallKind, Usage};

/// One thing that a stream says about one of its choices.
///
/// `Debug` shows kinds and lengths, never the content.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start(Start),
    /// A piece of text.
    Text(String),
    /// A piece of reasoning.
    Reasoning(ReasoningDelta),
    /// A piece of a refusal.
    Refusal(String),
    /// A piece of a tool call.
    ToolCall(ToolCallDelta),
    /// How likely the tokens just said were, in the provider's own shape.
    Logprobs(Json),
    /// Tokens used so far. Reports are cumulative: a later one replaces an earlier one.
    Usage(Usage),
    /// The choice is finished.
    Finish(FinishReason),
    /// Something that has no type here.
    Other(Other),
}

impl Event {
    /// True for what a reader came for: text, reasoning, refusal or tool call that is not empty.
    ///
    /// The first such event commits a call: before it another attempt can still be made unseen.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Text(text) | Self::Refusal(text) => !text.is_empty(),
            Self::Reasoning(delta) => !delta.text.is_empty() || delta.redacted.is_some(),
            Self::ToolCall(_) => true,
            Self::Start(_) | Self::Logprobs(_) | Self::Usage(_) | Self::Finish(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => start.fmt(f),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Reasoning(delta) => delta.fmt(f),
            Self::Refusal(text) => write!(f, "Refusal({} bytes)", text.len()),
            Self::ToolCall(delta) => delta.fmt(f),
            Self::Logprobs(json) => write!(f, "Logprobs({} bytes)", json.get().len()),
            Self::Usage(usage) => usage.fmt(f),
            Self::Finish(reason) => reason.fmt(f),
            Self::Other(other) => other.fmt(f),
        }
    }
}

/// What is known when an answer begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The provider's id of the answer.
    pub id: Option<Arc<str>>,
    /// The model that answers, by the provider's name for it.
    pub model: Option<Arc<str>>,
    /// When the answer was begun, in seconds since 1970.
    pub created: Option<u64>,
}

/// A piece of reasoning.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReasoningDelta {
    /// More text.
    pub text: String,
    /// The provider's signature over the text so far.
    pub signature: Option<String>,
    /// Reasoning handed out encrypted.
    pub redacted: Option<String>,
}

impl From<String> for ReasoningDelta {
    fn from(text: String) -> Self {
        Self { text, signature: None, redacted: None }
    }
}

impl fmt::Debug for ReasoningDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reasoning({} bytes)", self.text.len())
    }
}

/// A piece of a tool call. Pieces with the same index belong together.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// Which of the answer's tool calls this is, from 0.
    pub index: u32,
    /// The call's id; comes with the first piece.
    pub id: Option<String>,
    /// The tool's name; comes with the first piece.
    pub name: Option<String>,
    /// More of the arguments; may be cut anywhere, also inside an escape.
    pub arguments: String,
    /// What sort of tool is called.
    pub kind: ToolCallKind,
}

impl fmt::Debug for ToolCallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall(#{}, {} bytes)", self.index, self.arguments.len())
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model had said what it had to say, or met a stop text.
    Stop,
    /// The limit on tokens was reached.
    Length,
    /// The model wants tools called.
    ToolCalls,
    /// The provider held back the rest.
    ContentFilter,
    /// The provider failed while answering and says so in the finish reason.
    Error,
    /// A reason without a name here, as the provider spells it.
    Other(Arc<str>),
}
