//! What messages are made of: text, images, tool calls and their results.

use std::fmt;

use crate::{Extra, Json};

/// One piece of a message, of a request or of an answer.
///
/// `Debug` shows kinds, names and lengths, never the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What the piece is.
    pub content: PartContent,
    /// A mark for the provider's prompt cache: everything up to and including this part may be kept.
    pub cache: Option<CacheTtl>,
    /// Fields of the part that have no name here.
    pub extra: Extra,
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::from(PartContent::Text(text.into()))
    }

    /// The text, if this is a text part.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            PartContent::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<PartContent> for Part {
    fn from(content: PartContent) -> Self {
        Self { content, cache: None, extra: Extra::new() }
    }
}

/// The content of a [`Part`].
#[derive(Clone, PartialEq)]
pub enum PartContent {
    /// Plain text.
    Text(String),
    /// What a reasoning model thought before it answered.
    Reasoning(Reasoning),
    /// The model's words for why it does not answer.
    Refusal(String),
    /// A picture.
    Image(Image),
    /// Recorded sound.
    Audio(Audio),
    /// A document.
    File(File),
    /// A call the model wants made.
    ToolCall(ToolCall),
    /// What came of a tool call.
    ToolResult(ToolResult),
    /// A part of a kind that has no name here, kept whole.
    Other(Other),
}

impl fmt::Debug for PartContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Refusal(text) => write!(f, "Refusal({} bytes)", text.len()),
            Self::Reasoning(reasoning) => reasoning.fmt(f),
            Self::Image(image) => image.fmt(f),
            Self::Audio(audio) => audio.fmt(f),
            Self::File(file) => file.fmt(f),
            Self::ToolCall(call) => call.fmt(f),
            Self::ToolResult(result) => result.fmt(f),
            Self::Other(other) => other.fmt(f),
        }
    }
}

/// How long a provider is asked to keep a marked prompt prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheTtl {
    /// Five minutes, the providers' own default.
    FiveMinutes,
    /// One hour; writing it costs more.
    OneHour,
}

/// Reasoning text, with what a provider needs to recognise it when it is sent back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The text; empty when the provider keeps it to itself.
    pub text: String,
    /// The provider's signature over the text, to be sent back unchanged.
    pub signature: Option<String>,
    /// Reasoning that the provider handed out encrypted.
    pub redacted: Option<String>,
}

impl fmt::Debug for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reasoning({} bytes, signed: {})", self.text.len(), self.signature.is_some())
    }
}

/// A picture and how closely to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Where the picture is.
    pub source: Source,
    /// The level of detail by the provider's name for it, such as `low` or `high`.
    pub detail: Option<String>,
}

/// Recorded sound.
#[derive(Clone, PartialEq, Eq)]
pub struct Audio {
    /// The sound in base64.
    pub data: String,
    /// The format by its usual name, `wav` or `mp3`.
    pub format: String,
}

impl fmt::Debug for Audio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Audio({}, {} bytes)", self.format, self.data.len())
    }
}

/// A document.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where the document is.
    pub source: Source,
    /// Its name.
    pub filename: Option<String>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.source)
    }
}

/// Where the bytes of a picture or document are. Nothing in this workspace ever fetches a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// At an address that the provider fetches.
    Url(String),
    /// Here, in base64.
    Data {
        /// The media type, such as `image/png`.
        media_type: String,
        /// The bytes in base64.
        data: String,
    },
    /// Uploaded to the provider before, under this id.
    File(String),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "Url({} bytes)", url.len()),
            Self::Data { media_type, data } => write!(f, "Data({media_type}, {} bytes)", data.len()),
            Self::File(_) => f.write_str("File"),
        }
    }
}

/// A call that the model wants made.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id; its result names it.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model wrote them: for a function JSON text, which may be invalid; else free text.
    pub arguments: String,
    /// What sort of tool is called.
    pub kind: ToolCallKind,
}

impl ToolCall {
    /// A call of a function.
    pub fn function(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into(), kind: ToolCallKind::Function }
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({}, {} bytes)", self.name, self.arguments.len())
    }
}

/// What sort of tool a [`ToolCall`] calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolCallKind {
    /// A function with JSON arguments.
    #[default]
    Function,
    /// A tool that takes free text.
    Custom,
}

/// What came of a tool call.
#[derive(Clone, PartialEq)]
pub struct ToolResult {
    /// The id of the call.
    pub call_id: String,
    /// The result: text, or pictures where the provider takes them.
    pub content: Vec<Part>,
    /// True when the tool failed and the content says how.
    pub is_error: bool,
}

impl fmt::Debug for ToolResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolResult({} parts)", self.content.len())
    }
}

/// Something that has no type here, kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name on the wire.
    pub kind: String,
    /// All of it, name included.
    pub json: Json,
}
