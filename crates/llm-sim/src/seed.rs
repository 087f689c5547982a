//! Where all randomness comes from: the configured seed, and what is asked.

use llm_core::{Chat, Embed, EmbedInput, Message, PartContent, Payload, ResponseFormat, Role, Tool, ToolKind};
use sha2::{Digest, Sha256};

/// A place in the tree of random choices. The same path from the same seed always gives the same choices.
#[derive(Clone)]
pub(crate) struct Seed(Sha256);

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        Self(hasher)
    }

    /// The place below this one that `label` leads to.
    pub(crate) fn with(&self, label: &str) -> Self {
        let mut below = self.clone();
        below.feed(label);
        below
    }

    /// The place below this one that a number leads to.
    pub(crate) fn with_number(&self, number: u64) -> Self {
        let mut below = self.clone();
        below.0.update(number.to_le_bytes());
        below
    }

    /// The place below this one that a question leads to. Whether its answer is streamed makes no difference.
    pub(crate) fn with_payload(&self, payload: &Payload) -> Self {
        let mut below = self.clone();
        match payload {
            Payload::Chat(chat) | Payload::CountTokens(chat) => below.feed_chat(chat),
            Payload::Embed(embed) => below.feed_embed(embed),
        }
        below
    }

    pub(crate) fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.number())
    }

    pub(crate) fn number(&self) -> u64 {
        let hash = self.0.clone().finalize();
        hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// The length goes first, so that ("ab", "c") and ("a", "bc") lead to different places.
    fn feed(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// What a conversation is, and not how a dialect cuts it into messages: the same one leads to the same place in
    /// every dialect. Left out is what some of them cannot say or number anew: reasoning, ids of calls.
    fn feed_chat(&mut self, chat: &Chat) {
        for message in chat.system.iter().chain(&chat.messages) {
            self.feed_name(message);
            for part in &message.parts {
                self.feed_part(message.role, &part.content);
            }
        }
        for tool in &chat.tools {
            self.feed_tool(tool);
        }
        match &chat.response_format {
            Some(ResponseFormat::JsonSchema(schema)) => self.feed(schema.schema.get()),
            Some(ResponseFormat::Other(json)) => self.feed(json.get()),
            Some(ResponseFormat::JsonObject) => self.feed("json_object"),
            Some(ResponseFormat::Text) | None => {}
        }
        if let Some(seed) = chat.seed {
            self.0.update(seed.to_le_bytes());
        }
    }

    fn feed_name(&mut self, message: &Message) {
        if let Some(name) = &message.name {
            self.feed(name);
        }
    }

    pub(crate) fn feed_tool(&mut self, tool: &Tool) {
        match &tool.kind {
            ToolKind::Function(function) => {
                self.feed(&function.name);
                self.feed(function.parameters.as_ref().map_or("", |schema| schema.get()));
            }
            ToolKind::Other(other) => self.feed(other.json.get()),
        }
    }

    /// What somebody says in one part of a turn.
    pub(crate) fn feed_part(&mut self, role: Role, content: &PartContent) {
        match content {
            PartContent::Reasoning(_) => return,
            PartContent::Text(text) | PartContent::Refusal(text) if text.is_empty() => return,
            PartContent::ToolResult(_) => self.feed("tool"),
            PartContent::Text(_)
            | PartContent::Refusal(_)
            | PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolCall(_)
            | PartContent::Other(_) => self.feed(match role {
                Role::System | Role::Developer => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Tool => "tool",
            }),
        }
        match content {
            PartContent::Text(text) | PartContent::Refusal(text) => self.feed(text),
            PartContent::ToolCall(call) => {
                self.feed(&call.name);
                self.feed(&call.arguments);
            }
            PartContent::ToolResult(result) => {
                for part in &result.content {
                    self.feed_part(Role::Tool, &part.content);
                }
            }
            PartContent::Audio(audio) => self.feed(&audio.data),
            PartContent::Image(image) => self.feed_source(&image.source),
            PartContent::File(file) => self.feed_source(&file.source),
            PartContent::Other(other) => self.feed(other.json.get()),
            PartContent::Reasoning(_) => {}
        }
    }

    fn feed_source(&mut self, source: &llm_core::Source) {
        match source {
            llm_core::Source::Url(text) | llm_core::Source::File(text) => self.feed(text),
            llm_core::Source::Data { media_type: _, data } => self.feed(data),
        }
    }

    fn feed_embed(&mut self, embed: &Embed) {
        for input in &embed.input {
            match input {
                EmbedInput::Text(text) => self.feed(text),
                EmbedInput::Tokens(tokens) => {
                    for token in tokens {
                        self.0.update(token.to_le_bytes());
                    }
                }
            }
        }
    }
}
