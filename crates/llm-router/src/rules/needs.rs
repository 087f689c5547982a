//! What a request needs its model to be capable of.

use llm_core::{Chat, Part, PartContent, Payload, ResponseFormat, catalog::Capability};

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs(u16);

impl Needs {
    /// What a request can need. That it streams is no need: any answer can be given whole or in pieces. That it would
    /// have its model reason is a wish.
    pub(crate) const ALL: [Capability; 7] = [
        Capability::Chat,
        Capability::Embeddings,
        Capability::Tools,
        Capability::Vision,
        Capability::Audio,
        Capability::Files,
        Capability::JsonSchema,
    ];

    /// What `payload` needs. Looks at the kinds of its parts, not into them.
    pub(crate) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Chat(chat) | Payload::CountTokens(chat) => Self::of_chat(chat),
            Payload::Embed(_) => Self::default().and(Capability::Embeddings),
        }
    }

    fn of_chat(chat: &Chat) -> Self {
        let mut needs = Self::default().and(Capability::Chat);
        if !chat.tools.is_empty() {
            needs = needs.and(Capability::Tools);
        }
        match &chat.response_format {
            Some(ResponseFormat::JsonSchema(_)) => needs = needs.and(Capability::JsonSchema),
            Some(ResponseFormat::Text | ResponseFormat::JsonObject | ResponseFormat::Other(_)) | None => {}
        }
        let parts = chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts);
        parts.fold(needs, Self::and_of_part)
    }

    fn and_of_part(self, part: &Part) -> Self {
        match &part.content {
            PartContent::Image(_) => self.and(Capability::Vision),
            PartContent::Audio(_) => self.and(Capability::Audio),
            PartContent::File(_) => self.and(Capability::Files),
            PartContent::ToolResult(result) => result.content.iter().fold(self, Self::and_of_part),
            PartContent::Text(_)
            | PartContent::Reasoning(_)
            | PartContent::Refusal(_)
            | PartContent::ToolCall(_)
            | PartContent::Other(_) => self,
        }
    }

    pub(crate) const fn and(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u16)
    }

    pub(crate) const fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u16 != 0
    }

    pub(crate) const fn has_any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Capability> {
        Self::ALL.into_iter().filter(move |capability| self.has(*capability))
    }
}

/// The name of a capability in configuration files.
pub(crate) const fn name_of(capability: Capability) -> &'static str {
    match capability {
        Capability::Chat => "chat",
        Capability::Embeddings => "embeddings",
        Capability::Tools => "tools",
        Capability::Vision => "vision",
        Capability::Audio => "audio",
        Capability::Files => "files",
        Capability::JsonSchema => "json_schema",
        Capability::Reasoning => "reasoning",
        Capability::Streaming => "streaming",
    }
}
