//! How many tokens a request will be, before anyone has counted.

use crate::{
    Chat, Embed, EmbedInput, Function, Message, PartContent, Payload, TextCount, TokenEstimate, TokenFamily, ToolKind,
    tokens::{IMAGE_TOKENS, IMAGE_TOKENS_BOUND, MESSAGE_TOKENS, NAME_TOKENS, REPLY_TOKENS, TOOL_TOKENS},
};

/// Estimates the input tokens of `payload` for a model of `family`, in one pass over its texts.
///
/// Counted are texts, names, tool calls, their schemas and a fixed sum for each message, tool and picture. What cannot
/// be known beforehand is not: tools that run at the provider, and the pages of documents.
pub fn estimate_prompt(payload: &Payload, family: TokenFamily) -> TokenEstimate {
    let mut prompt = Prompt::default();
    match payload {
        Payload::Chat(chat) => prompt.chat(chat),
        Payload::Embed(embed) => prompt.embed(embed),
    }
    let pictures = |tokens: u64| prompt.pictures.saturating_mul(tokens);
    TokenEstimate {
        likely: prompt.text.likely(family).saturating_add(prompt.fixed).saturating_add(pictures(IMAGE_TOKENS)),
        bound: prompt.text.bound(family).saturating_add(prompt.fixed).saturating_add(pictures(IMAGE_TOKENS_BOUND)),
    }
}

#[derive(Default)]
struct Prompt {
    text: TextCount,
    fixed: u64,
    pictures: u64,
}

impl Prompt {
    fn text(&mut self, text: &str) {
        self.text.add(text);
        // Neighbouring texts are not one word.
        self.text.boundary();
    }

    fn chat(&mut self, chat: &Chat) {
        self.fixed += REPLY_TOKENS;
        for message in chat.system.iter().chain(&chat.messages) {
            self.message(message);
        }
        for tool in &chat.tools {
            self.fixed += TOOL_TOKENS;
            match &tool.kind {
                ToolKind::Function(Function { name, description, parameters, strict: _ }) => {
                    self.text(name);
                    self.text(description.as_deref().unwrap_or_default());
                    self.text(parameters.as_ref().map_or("", |schema| schema.get()));
                }
                ToolKind::Other(other) => self.text(other.json.get()),
            }
        }
        match &chat.response_format {
            Some(crate::ResponseFormat::JsonSchema(schema)) => self.text(schema.schema.get()),
            Some(crate::ResponseFormat::Other(json)) => self.text(json.get()),
            Some(crate::ResponseFormat::Text | crate::ResponseFormat::JsonObject) | None => {}
        }
    }

    fn message(&mut self, message: &Message) {
        self.fixed += MESSAGE_TOKENS;
        if let Some(name) = &message.name {
            self.fixed += NAME_TOKENS;
            self.text(name);
        }
        for part in &message.parts {
            self.part(&part.content);
        }
    }

    fn part(&mut self, content: &PartContent) {
        match content {
            PartContent::Text(text) | PartContent::Refusal(text) => self.text(text),
            PartContent::Reasoning(reasoning) => self.text(&reasoning.text),
            PartContent::Image(_) => self.pictures += 1,
            PartContent::Audio(_) | PartContent::File(_) => {}
            PartContent::ToolCall(call) => {
                self.text(&call.name);
                self.text(&call.arguments);
            }
            PartContent::ToolResult(result) => {
                for part in &result.content {
                    self.part(&part.content);
                }
            }
            PartContent::Other(other) => self.text(other.json.get()),
        }
    }

    fn embed(&mut self, embed: &Embed) {
        for input in &embed.input {
            match input {
                EmbedInput::Text(text) => self.text(text),
                EmbedInput::Tokens(tokens) => self.fixed += tokens.len() as u64,
            }
        }
    }
}
