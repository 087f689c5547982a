//! How many tokens a request will be, before anyone has counted it.

use crate::{
    Chat, Embed, EmbedInput, Function, Message, PartContent, Payload, ResponseFormat, TextCount, TokenCounter,
    TokenEstimate, TokenFamily, ToolKind,
    tokens::{IMAGE_TOKENS, IMAGE_TOKENS_BOUND, MESSAGE_TOKENS, NAME_TOKENS, REPLY_TOKENS, TOOL_TOKENS},
};

/// Estimates the input tokens of `payload` for a model of `family`, in one pass over its texts.
///
/// Counted are texts, names, tool calls, their schemas and a fixed sum for each message, tool and picture. What cannot
/// be known beforehand is not: tools that run at the provider, and the pages of documents.
pub fn estimate_prompt(payload: &Payload, family: TokenFamily) -> TokenEstimate {
    Counted::of(payload).estimate(family)
}

/// What was counted of a prompt, for models of any family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    text: TextCount,
    sums: TokenEstimate,
}

impl Counted {
    pub(crate) fn of(payload: &Payload) -> Self {
        let mut text = TextCount::new();
        let sums = walk(payload, &mut |piece| {
            text.add(piece);
            // Neighbouring texts are not one word.
            text.boundary();
        });
        Self { text, sums }
    }

    pub(crate) fn estimate(&self, family: TokenFamily) -> TokenEstimate {
        self.text.estimate(family) + self.sums
    }
}

/// The same, with the texts counted by `counter` as `model` would.
pub fn count_prompt(payload: &Payload, model: &str, counter: &dyn TokenCounter) -> TokenEstimate {
    let mut texts = Vec::new();
    let sums = walk(payload, &mut |piece| texts.push(piece));
    counter.count(model, &mut texts.into_iter()) + sums
}

/// The input tokens of `payload` to within about a third, without a look at its texts: a quarter of their bytes, and the
/// same fixed sums as in an estimate. For comparing, where an estimate would cost more than it is worth.
pub fn rough_prompt(payload: &Payload) -> u64 {
    let mut bytes = 0_u64;
    let sums = walk(payload, &mut |piece| bytes = bytes.saturating_add(piece.len() as u64));
    sums.likely.saturating_add(bytes / 4)
}

/// Shows each text of a payload to `show`, and returns the sum of what is not text.
fn walk<'a>(payload: &'a Payload, show: &mut dyn FnMut(&'a str)) -> TokenEstimate {
    let mut walk = Walk { show, sums: TokenEstimate::default() };
    match payload {
        Payload::Chat(chat) | Payload::CountTokens(chat) => walk.chat(chat),
        Payload::Embed(embed) => walk.embed(embed),
    }
    walk.sums
}

struct Walk<'s, 'a> {
    show: &'s mut dyn FnMut(&'a str),
    sums: TokenEstimate,
}

impl<'a> Walk<'_, 'a> {
    fn chat(&mut self, chat: &'a Chat) {
        self.sums += TokenEstimate::exact(REPLY_TOKENS);
        for message in chat.system.iter().chain(&chat.messages) {
            self.message(message);
        }
        for tool in &chat.tools {
            self.sums += TokenEstimate::exact(TOOL_TOKENS);
            match &tool.kind {
                ToolKind::Function(Function { name, description, parameters, strict: _ }) => {
                    (self.show)(name);
                    (self.show)(description.as_deref().unwrap_or_default());
                    (self.show)(parameters.as_ref().map_or("", |schema| schema.get()));
                }
                ToolKind::Other(other) => (self.show)(other.json.get()),
            }
        }
        match &chat.response_format {
            Some(ResponseFormat::JsonSchema(schema)) => (self.show)(schema.schema.get()),
            Some(ResponseFormat::Other(json)) => (self.show)(json.get()),
            Some(ResponseFormat::Text | ResponseFormat::JsonObject) | None => {}
        }
    }

    fn message(&mut self, message: &'a Message) {
        self.sums += TokenEstimate::exact(MESSAGE_TOKENS);
        if let Some(name) = &message.name {
            self.sums += TokenEstimate::exact(NAME_TOKENS);
            (self.show)(name);
        }
        for part in &message.parts {
            self.part(&part.content);
        }
    }

    fn part(&mut self, content: &'a PartContent) {
        match content {
            PartContent::Text(text) | PartContent::Refusal(text) => (self.show)(text),
            PartContent::Reasoning(reasoning) => (self.show)(&reasoning.text),
            PartContent::Image(_) => self.sums += TokenEstimate { likely: IMAGE_TOKENS, bound: IMAGE_TOKENS_BOUND },
            PartContent::Audio(_) | PartContent::File(_) => {}
            PartContent::ToolCall(call) => {
                (self.show)(&call.name);
                (self.show)(&call.arguments);
            }
            PartContent::ToolResult(result) => {
                for part in &result.content {
                    self.part(&part.content);
                }
            }
            PartContent::Other(other) => (self.show)(other.json.get()),
        }
    }

    fn embed(&mut self, embed: &'a Embed) {
        for input in &embed.input {
            match input {
                EmbedInput::Text(text) => (self.show)(text),
                EmbedInput::Tokens(tokens) => self.sums += TokenEstimate::exact(tokens.len() as u64),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Extra, Image, Json, JsonSchema, LlmRequest, Other, Part, Reasoning, Role, Source, Tool, ToolCall, ToolResult,
        tokens::ClassCounter,
    };

    #[test]
    fn the_default_counter_counts_what_the_estimate_does() {
        let picture = PartContent::Image(Image { source: Source::Url("http://x".into()), detail: None });
        let request = LlmRequest::chat("gpt-4o")
            .system("Be brief.")
            .message(Message::new(Role::User, vec![Part::text("What is this?"), picture.into()]))
            .tool(Tool::function("look", "looks closer", Json::from_text("{}").unwrap()))
            .build();
        let estimate = estimate_prompt(request.payload(), TokenFamily::of("gpt-4o"));
        assert_eq!(count_prompt(request.payload(), "gpt-4o", &ClassCounter), estimate);
        let fixed = REPLY_TOKENS + 2 * MESSAGE_TOKENS + TOOL_TOKENS;
        assert!(estimate.likely > fixed + IMAGE_TOKENS && estimate.bound > fixed + IMAGE_TOKENS_BOUND);
        assert!(estimate.likely < fixed + IMAGE_TOKENS + 25, "{estimate:?}");
    }

    #[test]
    fn a_rough_figure_is_a_quarter_of_the_bytes_and_what_is_not_text() {
        let picture = PartContent::Image(Image { source: Source::Url("http://x".into()), detail: None });
        let request = LlmRequest::chat("gpt-4o")
            .system("x".repeat(400))
            .message(Message::new(Role::User, vec![Part::text("y".repeat(40)), picture.into()]))
            .build();
        assert_eq!(rough_prompt(request.payload()), 110 + REPLY_TOKENS + 2 * MESSAGE_TOKENS + IMAGE_TOKENS);
    }

    #[test]
    fn every_text_that_a_model_reads_counts() {
        const TEXT: &str = "a text of quite some words, to be read by whoever answers";
        let json = || Json::from_value(TEXT).unwrap();
        let part = |content: PartContent| move |chat: &mut Chat| chat.messages[0].parts.push(content.clone().into());
        let tool = |kind: ToolKind| {
            move |chat: &mut Chat| chat.tools.push(Tool { kind: kind.clone(), cache: None, extra: Extra::default() })
        };
        let format = |format: ResponseFormat| move |chat: &mut Chat| chat.response_format = Some(format.clone());
        let other = || Other { kind: "note".into(), json: json() };
        let schema =
            || JsonSchema { name: None, description: None, schema: json(), strict: None, extra: Extra::default() };
        let content = vec![Part::text("short"), Part::text(TEXT)];
        let result = ToolResult { call_id: "1".into(), content, is_error: false };
        type Change = Box<dyn Fn(&mut Chat)>;
        let changes: [(&str, Change); 11] = [
            ("text", Box::new(part(PartContent::Text(TEXT.into())))),
            ("refusal", Box::new(part(PartContent::Refusal(TEXT.into())))),
            (
                "reasoning",
                Box::new(part(PartContent::Reasoning(Reasoning { text: TEXT.into(), ..Default::default() }))),
            ),
            ("arguments", Box::new(part(PartContent::ToolCall(ToolCall::function("1", "f", TEXT))))),
            ("the name of a call", Box::new(part(PartContent::ToolCall(ToolCall::function("1", TEXT, "{}"))))),
            ("a tool's result", Box::new(part(PartContent::ToolResult(result)))),
            ("a part of another kind", Box::new(part(PartContent::Other(other())))),
            ("a speaker's name", Box::new(|chat| chat.messages[0].name = Some(TEXT.into()))),
            ("a tool of another kind", Box::new(tool(ToolKind::Other(other())))),
            ("the answer's schema", Box::new(format(ResponseFormat::JsonSchema(schema())))),
            ("a format of another kind", Box::new(format(ResponseFormat::Other(json())))),
        ];
        let tokens = |change: &dyn Fn(&mut Chat)| {
            let request = LlmRequest::chat("gpt-4o").user("Why?").with(change).build();
            estimate_prompt(request.payload(), TokenFamily::of("gpt-4o")).likely
        };
        let without = tokens(&|_| ());
        for (place, change) in changes {
            assert!(tokens(&*change) >= without + 10, "{place}");
        }
    }

    #[test]
    fn token_ids_are_counted_one_by_one() {
        let embed = Embed { input: vec![EmbedInput::Tokens(vec![1, 2, 3])], ..Embed::default() };
        assert_eq!(estimate_prompt(&Payload::Embed(embed), TokenFamily::default()), TokenEstimate::exact(3));
    }
}
