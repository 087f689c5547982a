//! What becomes of each field between two dialects: a case, or several, for each row of `TRANSLATION.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use bytes::Bytes;
use llm_core::{Dialect, ErrorKind, LlmRequest};
use llm_wire::{EncodeOptions, anthropic, openai};
use serde_json::{Value, json};

/// What a request becomes: fields of the other dialect's, or an error about this field.
enum Becomes {
    Fields(Value),
    Refused(&'static str),
}

struct Case {
    row: &'static str,
    from: Dialect,
    /// The fields of the request, besides a model and a question.
    given: Value,
    becomes: Becomes,
    left_out: Vec<&'static str>,
}

fn to_anthropic(row: &'static str, given: Value, becomes: Value) -> Case {
    Case { row, from: Dialect::OpenAi, given, becomes: Becomes::Fields(becomes), left_out: vec![] }
}

fn to_openai(row: &'static str, given: Value, becomes: Value) -> Case {
    Case { row, from: Dialect::Anthropic, given, becomes: Becomes::Fields(becomes), left_out: vec![] }
}

fn refused_by_anthropic(row: &'static str, given: Value, field: &'static str) -> Case {
    Case { row, from: Dialect::OpenAi, given, becomes: Becomes::Refused(field), left_out: vec![] }
}

fn refused_by_openai(row: &'static str, given: Value, field: &'static str) -> Case {
    Case { row, from: Dialect::Anthropic, given, becomes: Becomes::Refused(field), left_out: vec![] }
}

impl Case {
    fn leaves_out(self, fields: &[&'static str]) -> Self {
        Self { left_out: fields.to_vec(), ..self }
    }
}

/// A user turn of these parts.
fn user(parts: Value) -> Value {
    json!({"messages": [{"role": "user", "content": parts}]})
}

/// A conversation in which a tool was called.
fn openai_call(id: &str, arguments: &str) -> Value {
    let function = json!({"name": "f", "arguments": arguments});
    json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": id, "content": "4"},
    ]})
}

fn anthropic_call(id: &str, input: Value) -> Value {
    json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "4"}]},
    ]})
}

fn openai_tool() -> Value {
    json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}}])
}

fn anthropic_tool() -> Value {
    json!([{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true}])
}

fn with_tools(tools: Value, field: &str, value: Value) -> Value {
    let mut fields = json!({"tools": tools});
    fields[field] = value;
    fields
}

fn requests_with_content() -> Vec<Case> {
    let png = "data:image/png;base64,iVBO";
    let image = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
    let source = |source: Value| user(json!([{"type": "image", "source": source}]));
    let document = |source: Value| user(json!([{"type": "document", "source": source, "title": "a.pdf"}]));
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"});
    let file =
        json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}}]);
    vec![
        to_anthropic(
            "instructions",
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Very."}, {"role": "user", "content": "hi"}]}),
            json!({"system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Very."}]}),
        ),
        to_openai(
            "instructions",
            json!({"system": "Be brief."}),
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]}),
        ),
        to_anthropic(
            "later instructions",
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "developer", "content": "In French."}]}),
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "In French."}]}),
        ),
        to_openai(
            "later instructions",
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "In French."}]}),
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "In French."}]}),
        ),
        to_anthropic(
            "speaker's name",
            json!({"messages": [{"role": "user", "content": "hi", "name": "ann"}]}),
            json!({}),
        )
        .leaves_out(&["messages.name"]),
        to_anthropic(
            "text",
            user(json!([{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}])),
            user(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])),
        ),
        to_openai(
            "text",
            user(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])),
            user(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])),
        ),
        to_openai("text", user(json!([{"type": "text", "text": "a"}])), user(json!("a"))),
        to_anthropic(
            "image by URL or bytes",
            image(png),
            source(json!({"type": "base64", "media_type": "image/png", "data": "iVBO"})),
        ),
        to_anthropic(
            "image by URL or bytes",
            image("https://x.test/a"),
            source(json!({"type": "url", "url": "https://x.test/a"})),
        ),
        refused_by_anthropic("image by URL or bytes", image("data:image/tiff;base64,AA"), "messages[0].content[0]"),
        to_openai(
            "image by URL or bytes",
            source(json!({"type": "base64", "media_type": "image/png", "data": "iVBO"})),
            image(png),
        ),
        to_openai(
            "image by URL or bytes",
            source(json!({"type": "url", "url": "https://x.test/a"})),
            image("https://x.test/a"),
        ),
        to_anthropic(
            "image detail",
            user(json!([{"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "low"}}])),
            source(json!({"type": "url", "url": "https://x.test/a"})),
        )
        .leaves_out(&["messages.content.image_url.detail"]),
        to_anthropic("file by bytes", user(file.clone()), document(pdf.clone())),
        refused_by_anthropic(
            "file by bytes",
            user(json!([{"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}])),
            "messages[0].content[0]",
        ),
        to_openai("file by bytes", document(pdf), user(file)),
        refused_by_openai(
            "file by URL",
            document(json!({"type": "url", "url": "https://x.test/a.pdf"})),
            "messages[0].content[0]",
        ),
        refused_by_anthropic(
            "file or image by id",
            user(json!([{"type": "file", "file": {"file_id": "file-1"}}])),
            "messages[0].content[0]",
        ),
        refused_by_openai(
            "file or image by id",
            source(json!({"type": "file", "file_id": "file_1"})),
            "messages[0].content[0]",
        ),
        refused_by_openai(
            "document of text or blocks",
            document(json!({"type": "text", "media_type": "text/plain", "data": "x"})),
            "messages[0].content[0]",
        ),
        refused_by_anthropic(
            "sound",
            user(json!([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}])),
            "messages[0].content[0]",
        ),
        to_anthropic(
            "earlier refusal",
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]}),
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text", "text": "No."}]}]}),
        ),
    ]
}

fn requests_with_tools() -> Vec<Case> {
    let results = |content: Value| json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": content}]}]});
    let thinking = json!([
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3Bh"},
        {"type": "text", "text": "Yes."}
    ]);
    let details = json!([
        {"type": "reasoning.text", "text": "hm", "signature": "c2ln"},
        {"type": "reasoning.encrypted", "data": "b3Bh"}
    ]);
    let assistant = |content: Value| json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]});
    let reasoned = |fields: Value| {
        let mut message = json!({"role": "assistant", "content": "Yes."});
        fields.as_object().unwrap().iter().for_each(|(name, value)| message[name] = value.clone());
        json!({"messages": [{"role": "user", "content": "hi"}, message]})
    };
    let custom = json!({"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}});
    vec![
        to_anthropic("tool call", openai_call("call_1", "{\"a\":1}"), anthropic_call("call_1", json!({"a": 1}))),
        to_anthropic("tool call", openai_call("call_1", ""), anthropic_call("call_1", json!({}))),
        refused_by_anthropic("tool call", openai_call("call_1", "{\"a\":"), "messages[1].content[0]"),
        refused_by_anthropic("tool call", openai_call("call_1", "[1]"), "messages[1].content[0]"),
        to_openai("tool call", anthropic_call("toolu_1", json!({"a": 1})), openai_call("toolu_1", "{\"a\":1}")),
        to_anthropic(
            "tool call id",
            openai_call("functions.f:0", "{}"),
            anthropic_call("functions_2ef_3a0", json!({})),
        ),
        refused_by_anthropic(
            "call of a custom tool",
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": [custom]}]}),
            "messages[1].content[0]",
        ),
        to_anthropic(
            "tool result",
            json!({"messages": [
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
                {"role": "user", "content": "And?"},
                {"role": "user", "content": "Well?"},
            ]}),
            json!({"messages": [
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                    {"type": "text", "text": "And?"},
                ]},
                {"role": "user", "content": "Well?"},
            ]}),
        ),
        to_openai(
            "tool result",
            user(json!([
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "2"}]},
                {"type": "text", "text": "And?"},
            ])),
            json!({"messages": [
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
                {"role": "user", "content": "And?"},
            ]}),
        ),
        refused_by_openai(
            "picture in a tool result",
            results(json!([{"type": "image", "source": {"type": "url", "url": "https://x.test/a"}}])),
            "messages[0].content[0]",
        ),
        to_openai(
            "failed tool result",
            user(json!([{"type": "tool_result", "tool_use_id": "a", "content": "no such city", "is_error": true}])),
            json!({"messages": [{"role": "tool", "tool_call_id": "a", "content": "no such city"}]}),
        )
        .leaves_out(&["messages.is_error"]),
        to_anthropic(
            "signed or encrypted reasoning",
            reasoned(json!({"reasoning_content": "hm", "reasoning_details": details})),
            assistant(thinking.clone()),
        ),
        to_openai("signed or encrypted reasoning", assistant(thinking), reasoned(json!({})))
            .leaves_out(&["messages.thinking"]),
        to_anthropic(
            "unsigned reasoning",
            reasoned(json!({"reasoning_content": "hm"})),
            assistant(json!([{"type": "text", "text": "Yes."}])),
        )
        .leaves_out(&["messages.reasoning_content"]),
        to_openai(
            "unsigned reasoning",
            assistant(
                json!([{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "Yes."}]),
            ),
            reasoned(json!({})),
        )
        .leaves_out(&["messages.thinking"]),
        to_anthropic("function", json!({"tools": openai_tool()}), json!({"tools": anthropic_tool()})),
        to_anthropic(
            "function",
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            json!({"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]}),
        ),
        to_openai("function", json!({"tools": anthropic_tool()}), json!({"tools": openai_tool()})),
        refused_by_anthropic(
            "tool of another kind",
            json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
            "tools[0]",
        ),
        refused_by_openai(
            "tool of another kind",
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0]",
        ),
        refused_by_anthropic(
            "tool choice",
            with_tools(
                openai_tool(),
                "tool_choice",
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
            ),
            "tool_choice",
        ),
        refused_by_openai(
            "tool choice",
            with_tools(anthropic_tool(), "tool_choice", json!({"type": "later"})),
            "tool_choice",
        ),
        to_anthropic(
            "one call at a time",
            with_tools(openai_tool(), "parallel_tool_calls", json!(false)),
            with_tools(anthropic_tool(), "tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})),
        ),
        to_anthropic("one call at a time", json!({"parallel_tool_calls": false}), json!({})),
        to_openai(
            "one call at a time",
            with_tools(anthropic_tool(), "tool_choice", json!({"type": "any", "disable_parallel_tool_use": true})),
            json!({"tools": openai_tool(), "tool_choice": "required", "parallel_tool_calls": false}),
        ),
    ]
}

fn tool_choices() -> Vec<Case> {
    let choices = [
        (json!("none"), json!({"type": "none"})),
        (json!("auto"), json!({"type": "auto"})),
        (json!("required"), json!({"type": "any"})),
        (json!({"type": "function", "function": {"name": "f"}}), json!({"type": "tool", "name": "f"})),
    ];
    let both = |(own, other): (Value, Value)| {
        let own = with_tools(openai_tool(), "tool_choice", own);
        let other = with_tools(anthropic_tool(), "tool_choice", other);
        [to_anthropic("tool choice", own.clone(), other.clone()), to_openai("tool choice", other, own)]
    };
    choices.into_iter().flat_map(both).collect()
}

fn requests_with_settings() -> Vec<Case> {
    let schema = json!({"type": "object", "additionalProperties": false});
    let format = |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let effort = |name: &str| json!({"output_config": {"effort": name}});
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    vec![
        to_anthropic(
            "JSON Schema for the answer",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "city", "strict": true, "schema": schema}}}),
            format(schema.clone()),
        )
        .leaves_out(&["response_format.json_schema.name", "response_format.json_schema.strict"]),
        to_openai(
            "JSON Schema for the answer",
            format(schema.clone()),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}),
        ),
        refused_by_anthropic("JSON without a schema", json!({"response_format": {"type": "json_object"}}), "response_format"),
        to_anthropic("temperature", json!({"temperature": 1.0}), json!({"temperature": 1.0})),
        refused_by_anthropic("temperature", json!({"temperature": 1.1}), "temperature"),
        to_openai("temperature", json!({"temperature": 0.5}), json!({"temperature": 0.5})),
        to_anthropic("nucleus sampling", json!({"top_p": 0.5}), json!({"top_p": 0.5})),
        to_openai("nucleus sampling", json!({"top_p": 0.5}), json!({"top_p": 0.5})),
        to_anthropic("top k", json!({"top_k": 5}), json!({"top_k": 5})),
        refused_by_openai("top k", json!({"top_k": 5}), "top_k"),
        refused_by_anthropic("penalties", json!({"frequency_penalty": 0.5}), "frequency_penalty"),
        refused_by_anthropic("penalties", json!({"presence_penalty": -0.5}), "presence_penalty"),
        to_anthropic("penalties", json!({"presence_penalty": 0.0}), json!({})),
        refused_by_anthropic("biased tokens", json!({"logit_bias": {"1": 2}}), "logit_bias"),
        to_anthropic("biased tokens", json!({"logit_bias": {}}), json!({})),
        refused_by_anthropic("likelihood of tokens", json!({"logprobs": true}), "logprobs"),
        to_anthropic("likelihood of tokens", json!({"logprobs": false, "top_logprobs": 0}), json!({})),
        refused_by_anthropic("number of answers", json!({"n": 2}), "n"),
        to_anthropic("number of answers", json!({"n": 1}), json!({})),
        to_anthropic("seed", json!({"seed": 7}), json!({})).leaves_out(&["seed"]),
        to_anthropic("limit on the output", json!({"max_tokens": 7}), json!({"max_tokens": 7})),
        to_anthropic("limit on the output", json!({}), json!({"max_tokens": 4096})),
        to_openai("limit on the output", json!({"max_tokens": 7}), json!({"max_completion_tokens": 7})),
        refused_by_openai("limit on the output", json!({"max_tokens": 0}), "max_tokens"),
        to_anthropic("stop texts", json!({"stop": "END"}), json!({"stop_sequences": ["END"]})),
        to_openai("stop texts", json!({"stop_sequences": ["A", "B"]}), json!({"stop": ["A", "B"]})),
        to_anthropic("stream", json!({"stream": true}), json!({"stream": true})),
        to_openai("usage in the stream", json!({"stream": true}), json!({"stream": true, "stream_options": {"include_usage": true}})),
        to_openai("stream", json!({"stream": false}), json!({})),
        to_anthropic("usage in the stream", json!({"stream": true, "stream_options": {"include_usage": true}}), json!({"stream": true})),
        to_anthropic("effort", json!({"reasoning_effort": "high"}), effort("high")),
        to_anthropic("effort", json!({"reasoning_effort": "minimal"}), effort("low")),
        to_anthropic("effort", json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        to_openai("effort", effort("xhigh"), json!({"reasoning_effort": "xhigh"})),
        to_openai("thinking", budget(1024), json!({"reasoning_effort": "low"})),
        to_openai("thinking", budget(2048), json!({"reasoning_effort": "medium"})),
        to_openai("thinking", budget(8192), json!({"reasoning_effort": "high"})),
        to_openai(
            "thinking",
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "max"}}),
            json!({"reasoning_effort": "max"}),
        ),
        to_openai("thinking", json!({"thinking": {"type": "adaptive"}}), json!({})).leaves_out(&["thinking"]),
        to_openai(
            "marks for the prompt cache",
            json!({"cache_control": {"type": "ephemeral"}, "messages": [{"role": "user", "content": [
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]}),
            json!({}),
        )
        .leaves_out(&["cache_control", "messages.cache_control"]),
        to_anthropic("end user", json!({"user": "u-1"}), json!({"metadata": {"user_id": "u-1"}})),
        to_anthropic("end user", json!({"user": "u-1", "safety_identifier": "s"}), json!({"metadata": {"user_id": "s"}})),
        to_openai("end user", json!({"metadata": {"user_id": "u-1"}}), json!({"user": "u-1"})),
        refused_by_anthropic("old function calling", json!({"functions": [{"name": "f"}]}), "functions"),
        refused_by_anthropic("sound in the answer", json!({"modalities": ["text", "audio"]}), "modalities"),
        to_anthropic("sound in the answer", json!({"modalities": ["text"]}), json!({})).leaves_out(&["modalities"]),
        refused_by_anthropic("search by the provider", json!({"web_search_options": {}}), "web_search_options"),
        refused_by_openai("containers and remote tools", json!({"container": "c"}), "container"),
        refused_by_openai("containers and remote tools", json!({"mcp_servers": [{}]}), "mcp_servers"),
        refused_by_openai("containers and remote tools", json!({"inference_geo": "us"}), "inference_geo"),
        to_anthropic("anything else", json!({"store": true, "service_tier": "flex", "x": 1}), json!({}))
            .leaves_out(&["store", "service_tier", "x"]),
        to_openai("anything else", json!({"service_tier": "auto", "x": 1}), json!({})).leaves_out(&["service_tier", "x"]),
    ]
}

/// What agents and applications really send, and the other side would stumble over.
fn odd_requests() -> Vec<Case> {
    let image = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
    let source = |source: Value| user(json!([{"type": "image", "source": source}]));
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"});
    let named = json!({"file_data": "data:application/pdf;base64,JVBE", "filename": "document.pdf"});
    let answered = |fields: Value| {
        let mut message = json!({"role": "assistant", "content": "Yes."});
        fields.as_object().unwrap().iter().for_each(|(name, value)| message[name] = value.clone());
        json!({"messages": [{"role": "user", "content": "hi"}, message]})
    };
    let encrypted = json!([{"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1"}]);
    vec![
        to_openai(
            "instructions",
            json!({"system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Very."}]}),
            json!({"messages": [{"role": "system", "content": "Be brief.\n\nVery."}, {"role": "user", "content": "hi"}]}),
        ),
        to_openai(
            "text",
            answered(json!({"content": [{"type": "text", "text": "Ye"}, {"type": "text", "text": "s."}]})),
            answered(json!({})),
        ),
        to_anthropic(
            "image by URL or bytes",
            image("data:image/JPG;charset=utf-8;base64,AA"),
            source(json!({"type": "base64", "media_type": "image/jpeg", "data": "AA"})),
        ),
        to_anthropic(
            "image by URL or bytes",
            user(json!([{"type": "image_url", "image_url": "https://x.test/a"}])),
            source(json!({"type": "url", "url": "https://x.test/a"})),
        ),
        to_openai(
            "file by bytes",
            user(json!([{"type": "document", "source": pdf}])),
            user(json!([{"type": "file", "file": named}])),
        ),
        to_openai(
            "tool result",
            user(json!([
                {"type": "tool_result", "tool_use_id": "a"},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]},
            ])),
            json!({"messages": [
                {"role": "tool", "tool_call_id": "a", "content": ""},
                {"role": "tool", "tool_call_id": "b", "content": "1\n\n2"},
            ]}),
        ),
        to_anthropic(
            "signed or encrypted reasoning",
            answered(json!({"reasoning_details": encrypted})),
            answered(json!({"content": [{"type": "text", "text": "Yes."}]})),
        )
        .leaves_out(&["messages.reasoning_content"]),
        to_anthropic(
            "function",
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}]}),
            json!({"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]}),
        ),
        to_openai("what the model forgets", json!({"context_management": {"edits": []}}), json!({}))
            .leaves_out(&["context_management"]),
        to_openai("end user", json!({"metadata": {"user_id": "u".repeat(65)}}), json!({}))
            .leaves_out(&["metadata.user_id"]),
        to_anthropic("old function calling", json!({"functions": null, "audio": null}), json!({}))
            .leaves_out(&["functions", "audio"]),
        refused_by_anthropic(
            "old function calling",
            answered(json!({"content": null, "function_call": {"name": "f", "arguments": "{}"}})),
            "messages[1].function_call",
        ),
    ]
}

fn cases() -> Vec<Case> {
    [requests_with_content(), requests_with_tools(), tool_choices(), requests_with_settings(), odd_requests()]
        .into_iter()
        .flatten()
        .collect()
}

/// The request of the dialect that has a model, a question and these fields.
fn request(dialect: Dialect, fields: &Value) -> Value {
    let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if dialect == Dialect::Anthropic {
        request["max_tokens"] = 4096.into();
    }
    fields.as_object().unwrap().iter().for_each(|(name, value)| request[name] = value.clone());
    request
}

fn read(dialect: Dialect, body: &Value) -> LlmRequest {
    let body = Bytes::from(body.to_string());
    match dialect {
        Dialect::OpenAi => openai::decode_chat(body).unwrap(),
        Dialect::Anthropic => anthropic::decode_messages(body).unwrap(),
    }
}

/// What is wrong with the outcome of a case.
fn trouble(case: &Case) -> Option<String> {
    let request = read(case.from, &request(case.from, &case.given));
    let options = EncodeOptions::new("m");
    let written = match case.from {
        Dialect::OpenAi => anthropic::encode_request(&request, &options),
        Dialect::Anthropic => openai::encode_request(&request, &options),
    };
    match (&case.becomes, written) {
        (Becomes::Fields(fields), Ok(written)) => {
            let written: Value = serde_json::from_slice(&written).unwrap();
            let expected = expected(case.from, fields);
            if written != expected {
                return Some(format!("becomes {written} and not {expected}"));
            }
        }
        (Becomes::Refused(field), Err(error)) => {
            let named = error.detail().and_then(|detail| detail.param.as_deref());
            if error.kind() != ErrorKind::InvalidRequest || named != Some(field) || !error.message().starts_with(field)
            {
                return Some(format!("is refused because of {named:?} and not {field}: {error}"));
            }
            return None;
        }
        (Becomes::Fields(_), Err(error)) => return Some(format!("is refused: {error}")),
        (Becomes::Refused(_), Ok(written)) => return Some(format!("becomes {written:?}")),
    }
    let noted: BTreeSet<_> = request.context().trail().left_out().into_iter().map(String::from).collect();
    (noted != case.left_out.iter().map(|name| (*name).to_owned()).collect())
        .then(|| format!("leaves out {noted:?} and not {:?}", case.left_out))
}

/// The request in the other dialect.
fn expected(from: Dialect, fields: &Value) -> Value {
    match from {
        Dialect::OpenAi => request(Dialect::Anthropic, fields),
        Dialect::Anthropic => {
            let mut expected = request(Dialect::OpenAi, fields);
            // Where nothing is said of the limit, it is the one that every request of Anthropic's dialect has here.
            if expected.get("max_completion_tokens").is_none() {
                expected["max_completion_tokens"] = 4096.into();
            }
            expected
        }
    }
}

#[test]
fn every_case_becomes_what_its_row_says() {
    let tell = |case: Case| trouble(&case).map(|trouble| format!("{}: {} {trouble}", case.row, case.given));
    let troubles: Vec<_> = cases().into_iter().filter_map(tell).collect();
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

#[test]
fn every_row_of_the_table_has_a_case() {
    let table = include_str!("../TRANSLATION.md");
    let requests = table.split("# Answers").next().unwrap();
    let rows = requests.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| field"));
    let rows: BTreeSet<_> = rows.map(|line| line.split('|').nth(1).unwrap().trim()).collect();
    let mut known: BTreeSet<_> = cases().iter().map(|case| case.row).collect();
    // Beside the body: it is the provider's to send on, and tested there.
    known.insert("features");
    assert_eq!(known, rows);
}
