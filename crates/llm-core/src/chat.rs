//! A chat request: messages, tools and how to answer.

use std::{fmt, num::NonZeroU32};

use crate::{CacheTtl, Dialect, Extra, Json, Other, Part, PartContent};

/// A conversation to be continued.
///
/// Known fields are typed; what has no type here is kept in `extra` and sent on in its own spelling.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chat {
    /// The instructions that precede the conversation, kept apart from what users write.
    /// Their roles are [`Role::System`] or [`Role::Developer`].
    pub system: Vec<Message>,
    /// The conversation. Instructions given in the middle of it stay where they are.
    pub messages: Vec<Message>,
    /// The tools the model may call.
    pub tools: Vec<Tool>,
    /// Whether and what the model must call. Absent means the provider's default.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools at once. Absent means the provider's default.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer. Absent means text.
    pub response_format: Option<ResponseFormat>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The most tokens the answer may have, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Stop,
    /// Makes sampling repeatable where the provider can.
    pub seed: Option<i64>,
    /// The number of answers wanted; absent means one.
    pub n: Option<NonZeroU32>,
    /// Whether the caller wants the answer in pieces as it is made.
    pub stream: bool,
    /// Whether the caller wants a usage report in the stream.
    pub include_usage: bool,
    /// How much the model may think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Whether the model thinks before it answers, where that is asked for apart from the effort.
    pub thinking: Option<Thinking>,
    /// Fields that have no name here.
    pub extra: Extra,
    /// The dialect that the unknown fields belong to, here and in messages, parts and tools: they mean nothing in
    /// another, and are not written there. Absent in a chat that was built by hand: then every dialect gets them.
    pub dialect: Option<Dialect>,
}

/// Whether a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thinking {
    /// It does not.
    Disabled,
    /// As much as it finds right.
    Adaptive,
    /// For up to this many tokens.
    Budget(u64),
}

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator, in the older spelling.
    System,
    /// The operator, in the spelling of reasoning models.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool; the parts are [`PartContent::ToolResult`]s.
    Tool,
}

/// One turn of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. Empty where an assistant turn had no content.
    pub parts: Vec<Part>,
    /// The speaker's name.
    pub name: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl Message {
    /// A message of `role` made of `parts`.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, name: None, extra: Extra::new() }
    }

    /// A message of `role` that is one text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::new(role, vec![Part::text(text)])
    }

    /// The tool calls among the parts.
    pub fn tool_calls(&self) -> impl Iterator<Item = &crate::ToolCall> {
        self.parts.iter().filter_map(|part| match &part.content {
            PartContent::ToolCall(call) => Some(call),
            _ => None,
        })
    }
}

/// How tokens are drawn. Absent values mean the provider's defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Randomness, 0 to 2 (Anthropic: 0 to 1).
    pub temperature: Option<f64>,
    /// Nucleus sampling: the share of probability mass to draw from, 0 to 1.
    pub top_p: Option<f64>,
    /// Draws from this many most likely tokens only.
    pub top_k: Option<u64>,
    /// Penalty on tokens by how often they came, −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens that came at all, −2 to 2.
    pub presence_penalty: Option<f64>,
    /// Token id to bias.
    pub logit_bias: Option<Json>,
    /// Whether to report the likelihood of each token.
    pub logprobs: Option<bool>,
    /// For how many alternatives, 0 to 20.
    pub top_logprobs: Option<u32>,
}

/// Texts at which an answer ends. `Debug` shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stop(pub Vec<String>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.0.len())
    }
}

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// What the tool is.
    pub kind: ToolKind,
    /// A mark for the provider's prompt cache.
    pub cache: Option<CacheTtl>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl Tool {
    /// A function that takes arguments of the JSON Schema `parameters`.
    pub fn function(name: impl Into<String>, description: impl Into<String>, parameters: Json) -> Self {
        Self {
            kind: ToolKind::Function(Function {
                name: name.into(),
                description: Some(description.into()),
                parameters: Some(parameters),
                strict: None,
            }),
            cache: None,
            extra: Extra::new(),
        }
    }

    /// The tool's name, where it has one.
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            ToolKind::Function(function) => Some(&function.name),
            ToolKind::Other(_) => None,
        }
    }
}

/// What a [`Tool`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    /// A function of the caller's.
    Function(Function),
    /// A tool of another kind, kept whole.
    Other(Other),
}

/// A function of the caller's.
#[derive(Clone, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must fit the schema exactly.
    pub strict: Option<bool>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({})", self.name)
    }
}

/// Whether and what the model must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// Nothing.
    None,
    /// What it likes, or nothing.
    Auto,
    /// Something.
    Required,
    /// The function of this name.
    Function(String),
    /// A choice of another kind, kept whole.
    Other(Json),
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema(JsonSchema),
    /// A form of another kind, kept whole.
    Other(Json),
}

/// A JSON Schema for the answer.
#[derive(Clone, PartialEq)]
pub struct JsonSchema {
    /// The schema's name; some providers want one.
    pub name: Option<String>,
    /// What the answer is for.
    pub description: Option<String>,
    /// The schema.
    pub schema: Json,
    /// Whether the answer must fit exactly.
    pub strict: Option<bool>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSchema({} bytes)", self.schema.get().len())
    }
}

/// How much a reasoning model may think, by the providers' names for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as can be.
    Minimal,
    /// A little.
    Low,
    /// The usual amount.
    Medium,
    /// A lot.
    High,
    /// More than a lot.
    XHigh,
    /// As much as the model can.
    Max,
    /// A level without a name here.
    Other(String),
}

impl ReasoningEffort {
    /// The level's name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for ReasoningEffort {
    fn from(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            other => Self::Other(other.to_owned()),
        }
    }
}
