//! What of a payload can change its answer.
//!
//! Everything is taken apart down to its last field, so that a field which is added some day does not compile until
//! somebody has thought about it here.

use llm_core::{
    Audio, Chat, Dialect, Embed, EmbedInput, Extra, File, Function, Image, Json, JsonSchema, Message, Other, Part,
    PartContent, Reasoning, ResponseFormat, Role, Sampling, Source, Stop, Thinking, Tool, ToolCall, ToolCallKind,
    ToolChoice, ToolKind, ToolResult,
};

use smallvec::SmallVec;

use crate::{canonical, tokens::Tokens};

/// Fields of a request that providers keep for their own ends: they say who asks, what is logged and how soon and how
/// cheaply the answer comes, and change nothing in it.
pub(crate) const IRRELEVANT: [&str; 10] = [
    "cache_control",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "user",
];

/// Writes what payloads mean.
pub(crate) struct Meaning<'a> {
    tokens: &'a mut Tokens,
    dialect: Option<Dialect>,
    irrelevant: &'a [Box<str>],
}

impl<'a> Meaning<'a> {
    /// Unknown fields are those of `dialect`; of those of the request itself some are `irrelevant`.
    pub(crate) fn new(tokens: &'a mut Tokens, dialect: Option<Dialect>, irrelevant: &'a [Box<str>]) -> Self {
        Self { tokens, dialect, irrelevant }
    }

    pub(crate) fn chat(&mut self, chat: &Chat) {
        let Chat {
            system,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            response_format,
            sampling,
            max_output_tokens,
            stop: Stop(stop),
            seed,
            n,
            // Whole and streamed answers serve each other, and the door tells usage to whoever asked for it.
            stream: _,
            include_usage: _,
            reasoning_effort,
            thinking,
            extra,
            // The same in two dialects is the same, but for unknown fields.
            dialect: _,
        } = chat;
        self.list(system, Self::message);
        self.list(messages, Self::message);
        self.list(tools, Self::tool);
        self.option(tool_choice.as_ref(), Self::tool_choice);
        self.option(*parallel_tool_calls, Self::boolean);
        self.response_format(response_format.as_ref().unwrap_or(&ResponseFormat::Text));
        self.sampling(sampling);
        self.option(*max_output_tokens, Self::number);
        self.list(stop, |this, text| this.text(text));
        self.option(*seed, |this, seed| this.number(seed.cast_unsigned()));
        self.number(n.map_or(1, |n| u64::from(n.get())));
        self.option(reasoning_effort.as_ref(), |this, effort| this.text(effort.as_str()));
        self.option(*thinking, Self::thinking);
        self.own_extra(extra);
    }

    /// What all inputs of a request for embeddings have in common.
    pub(crate) fn embed_terms(&mut self, embed: &Embed) {
        // How vectors are written is the door's business, and so is whether one input was a list.
        let Embed { input: _, single: _, dimensions, encoding: _, extra } = embed;
        self.option(*dimensions, |this, dimensions| this.number(u64::from(dimensions)));
        self.own_extra(extra);
    }

    pub(crate) fn embed_input(&mut self, input: &EmbedInput) {
        match input {
            EmbedInput::Text(text) => {
                self.tag(0);
                self.text(text);
            }
            EmbedInput::Tokens(tokens) => {
                self.tag(1);
                self.list(tokens, |this, token| this.number(u64::from(*token)));
            }
        }
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.tokens.count(items.len());
        items.iter().for_each(|item| write(self, item));
    }

    fn message(&mut self, message: &Message) {
        let Message { role, parts, name, extra } = message;
        self.tag(match role {
            Role::System => 0,
            Role::Developer => 1,
            Role::User => 2,
            Role::Assistant => 3,
            Role::Tool => 4,
        });
        self.list(parts, Self::part);
        self.option(name.as_deref(), Self::text);
        self.extra(extra);
    }

    fn part(&mut self, part: &Part) {
        // A mark for the provider's prompt cache changes what an answer costs, and not the answer.
        let Part { content, cache: _, extra } = part;
        match content {
            PartContent::Text(text) => self.tagged_text(0, text),
            PartContent::Refusal(text) => self.tagged_text(1, text),
            PartContent::Reasoning(Reasoning { text, signature, redacted }) => {
                self.tagged_text(2, text);
                self.option(signature.as_deref(), Self::text);
                self.option(redacted.as_deref(), Self::text);
            }
            PartContent::Image(Image { source, detail }) => {
                self.tag(3);
                self.source(source);
                self.option(detail.as_deref(), Self::text);
            }
            PartContent::Audio(Audio { data, format }) => {
                self.tagged_text(4, data);
                self.text(format);
            }
            PartContent::File(File { source, filename }) => {
                self.tag(5);
                self.source(source);
                self.option(filename.as_deref(), Self::text);
            }
            PartContent::ToolCall(call) => {
                self.tag(6);
                self.tool_call(call);
            }
            PartContent::ToolResult(ToolResult { call_id, content, is_error }) => {
                self.tagged_text(7, call_id);
                self.list(content, Self::part);
                self.boolean(*is_error);
            }
            PartContent::Other(other) => {
                self.tag(8);
                self.other(other);
            }
        }
        self.extra(extra);
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Url(url) => self.tagged_text(0, url),
            Source::Data { media_type, data } => {
                self.tagged_text(1, media_type);
                self.text(data);
            }
            Source::File(id) => self.tagged_text(2, id),
        }
    }

    fn tool_call(&mut self, call: &ToolCall) {
        let ToolCall { id, name, arguments, kind } = call;
        self.text(id);
        self.text(name);
        self.text(arguments);
        self.tag(match kind {
            ToolCallKind::Function => 0,
            ToolCallKind::Custom => 1,
        });
    }

    fn tool(&mut self, tool: &Tool) {
        let Tool { kind, cache: _, extra } = tool;
        match kind {
            ToolKind::Function(Function { name, description, parameters, strict }) => {
                self.tagged_text(0, name);
                self.option(description.as_deref(), Self::text);
                self.option(parameters.as_ref(), Self::json);
                self.option(*strict, Self::boolean);
            }
            ToolKind::Other(other) => {
                self.tag(1);
                self.other(other);
            }
        }
        self.extra(extra);
    }

    fn tool_choice(&mut self, choice: &ToolChoice) {
        match choice {
            ToolChoice::None => self.tag(0),
            ToolChoice::Auto => self.tag(1),
            ToolChoice::Required => self.tag(2),
            ToolChoice::Function(name) => self.tagged_text(3, name),
            ToolChoice::Other(json) => {
                self.tag(4);
                self.json(json);
            }
        }
    }

    fn response_format(&mut self, format: &ResponseFormat) {
        match format {
            ResponseFormat::Text => self.tag(0),
            ResponseFormat::JsonObject => self.tag(1),
            ResponseFormat::JsonSchema(JsonSchema { name, description, schema, strict, extra }) => {
                self.tag(2);
                self.option(name.as_deref(), Self::text);
                self.option(description.as_deref(), Self::text);
                self.json(schema);
                self.option(*strict, Self::boolean);
                self.extra(extra);
            }
            ResponseFormat::Other(json) => {
                self.tag(3);
                self.json(json);
            }
        }
    }

    fn sampling(&mut self, sampling: &Sampling) {
        let Sampling {
            temperature,
            top_p,
            top_k,
            frequency_penalty,
            presence_penalty,
            logit_bias,
            logprobs,
            top_logprobs,
        } = sampling;
        self.option(*temperature, Self::float);
        self.option(*top_p, Self::float);
        self.option(*top_k, Self::number);
        self.option(*frequency_penalty, Self::float);
        self.option(*presence_penalty, Self::float);
        self.option(logit_bias.as_ref(), Self::json);
        self.option(*logprobs, Self::boolean);
        self.option(*top_logprobs, |this, count| this.number(u64::from(count)));
    }

    fn thinking(&mut self, thinking: Thinking) {
        match thinking {
            Thinking::Disabled => self.tag(0),
            Thinking::Adaptive => self.tag(1),
            Thinking::Budget(tokens) => {
                self.tag(2);
                self.number(tokens);
            }
        }
    }

    fn other(&mut self, other: &Other) {
        let Other { kind, json } = other;
        self.text(kind);
        self.json(json);
    }

    /// Unknown fields of the request itself.
    fn own_extra(&mut self, extra: &Extra) {
        let irrelevant = self.irrelevant;
        let is_relevant =
            |name: &str| !IRRELEVANT.contains(&name) && !irrelevant.iter().any(|declared| **declared == *name);
        self.fields(extra, is_relevant);
    }

    fn extra(&mut self, extra: &Extra) {
        self.fields(extra, |_| true);
    }

    /// Unknown fields by their names, in whatever order they came.
    fn fields(&mut self, extra: &Extra, is_relevant: impl Fn(&str) -> bool) {
        let mut fields: SmallVec<[(&str, &Json); 8]> = extra.iter().filter(|(name, _)| is_relevant(name)).collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        self.tokens.count(fields.len());
        if !fields.is_empty() {
            self.tag(match self.dialect {
                None => 0,
                Some(Dialect::OpenAi) => 1,
                Some(Dialect::Anthropic) => 2,
            });
        }
        for (name, json) in fields {
            self.text(name);
            self.json(json);
        }
    }

    fn json(&mut self, json: &Json) {
        let mut bytes = Vec::with_capacity(json.get().len() + 64);
        canonical::write(json.get(), &mut bytes);
        self.tokens.bytes(&bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => {
                self.tag(1);
                write(self, value);
            }
            None => self.tag(0),
        }
    }

    fn tagged_text(&mut self, tag: u8, text: &str) {
        self.tag(tag);
        self.text(text);
    }

    fn boolean(&mut self, value: bool) {
        self.tag(u8::from(value));
    }

    fn float(&mut self, value: f64) {
        // Zero has two spellings.
        self.number((value + 0.0).to_bits());
    }

    fn number(&mut self, number: u64) {
        self.tokens.number(number);
    }

    fn text(&mut self, text: &str) {
        self.tokens.text(text);
    }

    fn tag(&mut self, tag: u8) {
        self.tokens.tag(tag);
    }
}
