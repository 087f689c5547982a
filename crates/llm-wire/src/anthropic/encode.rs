//! A Messages request, written from its types.

use bytes::{Bytes, BytesMut};
use llm_core::{
    CacheTtl, Chat, Error, Function, JsonSchema, LlmRequest, ReasoningEffort, ResponseFormat, Thinking, Tool, ToolKind,
    Trail,
};

use super::{
    block_encode::{BlockWriter, encode_cache},
    foreign,
    message_encode::encode_messages,
    splice::budget_below,
    tool::encode_choice,
};
use crate::{
    EncodeOptions,
    json::{ArrayWriter, ObjectWriter, fields_of},
    refusal::refuse,
};

/// The limit on output where neither the caller nor the catalogue knows one. Every model takes it: the oldest that are
/// served make 4,096 tokens at most.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// What is written from typed fields, and so never from unknown ones.
const TYPED: [&str; 14] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
];

/// Writes the request; a question for a count has no fields that only concern the answer.
pub(super) fn encode_chat(
    request: &LlmRequest,
    chat: &Chat,
    options: &EncodeOptions<'_>,
    is_count: bool,
) -> Result<Bytes, Error> {
    let is_own = chat.dialect.is_none_or(|dialect| dialect == llm_core::Dialect::Anthropic);
    let trail = request.context().trail();
    foreign::check(chat, is_own, &trail)?;

    let mut out = BytesMut::with_capacity(1024);
    let mut object = ObjectWriter::begin(&mut out);
    object.field("model", options.model);
    if !is_count {
        let limit = options.limit(chat.max_output_tokens).or(options.max_output);
        object.field("max_tokens", &limit.unwrap_or(DEFAULT_MAX_TOKENS));
    }
    let blocks = BlockWriter { is_own, trail: &trail };
    encode_messages(chat, &blocks, &mut object)?;
    if !chat.tools.is_empty() {
        let mut tools = object.array("tools");
        for (index, tool) in chat.tools.iter().enumerate() {
            encode_tool(tool, index, is_own, &trail, &mut tools)?;
        }
        tools.end();
    }
    encode_choice(chat, is_own, &mut object);
    let ceiling = options.output_ceiling.filter(|_| !is_count);
    encode_thinking(chat, is_own, ceiling, &mut object);
    encode_output_config(chat, is_own, &trail, &mut object);
    if !is_count {
        object.optional("temperature", chat.sampling.temperature);
        object.optional("top_p", chat.sampling.top_p);
        object.optional("top_k", chat.sampling.top_k);
        if !chat.stop.0.is_empty() {
            object.field("stop_sequences", &chat.stop.0);
        }
        if chat.stream {
            object.field("stream", &true);
        }
        encode_metadata(chat, is_own, &mut object);
    }
    if is_own {
        object.extra(&chat.extra, &TYPED);
    }
    object.end();
    Ok(out.freeze())
}

fn encode_tool(
    tool: &Tool,
    index: usize,
    is_own: bool,
    trail: &Trail,
    tools: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let Function { name, description, parameters, strict } = match &tool.kind {
        ToolKind::Function(function) => function,
        ToolKind::Other(other) if is_own => {
            tools.item(&other.json);
            return Ok(());
        }
        ToolKind::Other(_) => return Err(refuse(format!("tools[{index}]"), "tools of this kind")),
    };
    let mut object = tools.object();
    object.field("name", name);
    object.optional("description", description.as_ref());
    match parameters {
        Some(schema) => match fields_of(schema) {
            // The provider wants the type stated.
            fields if fields.get("type").is_none() => {
                let mut schema = object.object("input_schema");
                schema.field("type", "object");
                schema.extra(&fields, &[]);
                schema.end();
            }
            _ => object.field("input_schema", schema),
        },
        None => object.raw("input_schema", r#"{"type":"object","properties":{}}"#),
    }
    object.optional("strict", *strict);
    encode_cache(tool.cache, &mut object);
    if is_own {
        object.extra(&tool.extra, &["name", "description", "input_schema", "strict"]);
    } else {
        foreign::note(trail, "tools", &tool.extra);
    }
    object.end();
    Ok(())
}

/// Writes `thinking`. A budget has to stay below the limit on the output, so a ceiling lowers both.
fn encode_thinking(chat: &Chat, is_own: bool, ceiling: Option<u64>, object: &mut ObjectWriter<'_>) {
    let known = match (chat.thinking, &chat.reasoning_effort) {
        (Some(Thinking::Budget(budget)), _) => match ceiling.filter(|ceiling| budget >= *ceiling) {
            Some(ceiling) => budget_below(ceiling).map_or(Thinking::Disabled, Thinking::Budget),
            None => Thinking::Budget(budget),
        },
        (Some(thinking), _) => thinking,
        (None, Some(ReasoningEffort::None)) => Thinking::Disabled,
        (None, _) => {
            // Of a kind without a name here.
            if let Some(json) = chat.extra.get("thinking").filter(|_| is_own) {
                object.field("thinking", json);
            }
            return;
        }
    };
    let mut thinking = object.object("thinking");
    match known {
        Thinking::Disabled => thinking.field("type", "disabled"),
        Thinking::Adaptive => thinking.field("type", "adaptive"),
        Thinking::Budget(tokens) => {
            thinking.field("type", "enabled");
            thinking.field("budget_tokens", &tokens);
        }
    }
    if let Some(json) = chat.extra.get("thinking").filter(|_| is_own) {
        thinking.extra(&fields_of(json), &["type", "budget_tokens"]);
    }
    thinking.end();
}

fn encode_output_config(chat: &Chat, is_own: bool, trail: &Trail, object: &mut ObjectWriter<'_>) {
    let effort = match &chat.reasoning_effort {
        // Not thinking at all is said in `thinking`.
        None | Some(ReasoningEffort::None) => None,
        Some(ReasoningEffort::Minimal) => Some("low"),
        Some(effort) => Some(effort.as_str()),
    };
    let format = chat.response_format.as_ref().filter(|format| !matches!(format, ResponseFormat::Text));
    let extra = chat.extra.get("output_config").filter(|_| is_own);
    if effort.is_none() && format.is_none() && extra.is_none() {
        return;
    }
    let mut config = object.object("output_config");
    config.optional("effort", effort);
    match format {
        Some(ResponseFormat::JsonSchema(JsonSchema { name, description, schema, strict, extra })) => {
            let mut format = config.object("format");
            format.field("type", "json_schema");
            format.field("schema", schema);
            if is_own {
                format.extra(extra, &["type", "schema"]);
            }
            format.end();
            let stated =
                [("name", name.is_some()), ("description", description.is_some()), ("strict", strict.is_some())];
            for (field, _) in stated.into_iter().filter(|(_, is_stated)| *is_stated) {
                trail.note_left_out(format!("response_format.json_schema.{field}"));
            }
        }
        Some(ResponseFormat::Other(json)) => config.field("format", json),
        // An object of any shape cannot be asked for; it is refused before.
        Some(ResponseFormat::JsonObject | ResponseFormat::Text) | None => {}
    }
    if let Some(json) = extra {
        config.extra(&fields_of(json), &["effort", "format"]);
    }
    config.end();
}

/// The end user, whom OpenAI's dialect names in `safety_identifier` or, of old, in `user`.
fn encode_metadata(chat: &Chat, is_own: bool, object: &mut ObjectWriter<'_>) {
    if is_own {
        object.optional("metadata", chat.extra.get("metadata"));
    } else if let Some(user) = foreign::end_user(chat) {
        let mut metadata = object.object("metadata");
        metadata.field("user_id", user);
        metadata.end();
    }
}

/// The name of a lifetime; the shorter one goes without saying.
pub(super) fn ttl_name(ttl: CacheTtl) -> Option<&'static str> {
    match ttl {
        CacheTtl::FiveMinutes => None,
        CacheTtl::OneHour => Some("1h"),
    }
}
