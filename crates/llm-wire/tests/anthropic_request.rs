//! Requests in Anthropic's dialect, as they are read and as they are written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{
    CacheTtl, Chat, Dialect, ErrorKind, LlmRequest, PartContent, Payload, ReasoningEffort, ResponseFormat, Role,
    Source, Stop, Thinking, ToolChoice, ToolKind,
};
use llm_wire::{
    EncodeOptions,
    anthropic::{decode_count_tokens, decode_messages, encode_request},
};

/// Every field, each in an odd spelling where there is one.
const FULL: &str = r#"{"model":"claude-x", "max_tokens":1e3,
 "system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral","ttl":"1h"}}],
 "messages":[
  {"role":"user","content":[{"type":"text","text":"What is this?"},
    {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"},"cache_control":{"type":"ephemeral"}},
    {"type":"image","source":{"type":"url","url":"https://x.test/a.png"}},
    {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf","citations":{"enabled":true}}]},
  {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},
    {"type":"redacted_thinking","data":"b3Bh"},
    {"type":"tool_use","id":"toolu_1","name":"look","input":{ "a" : 1.50 }}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"a cat","is_error":true},{"type":"text","text":"And?"}]}],
 "tools":[{"name":"look","description":"looks","input_schema":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral"},"defer_loading":true},
   {"type":"web_search_20250305","name":"web_search"}],
 "tool_choice":{"type":"tool","name":"look","disable_parallel_tool_use":true},
 "temperature":0.50,"top_p":0.9,"top_k":40,"stop_sequences":["END"],"stream":true,
 "thinking":{"type":"enabled","budget_tokens":2048,"display":"omitted"},
 "output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}},"task_budget":{"total":5}},
 "metadata":{"user_id":"u-1"},"service_tier":"auto","x_new":[1, 2]}"#;

fn read(body: &str) -> LlmRequest {
    decode_messages(Bytes::from(body.to_owned())).unwrap()
}

fn chat(request: &LlmRequest) -> &Chat {
    match request.payload() {
        Payload::Chat(chat) | Payload::CountTokens(chat) => chat,
        Payload::Embed(_) => panic!("a chat is a chat"),
    }
}

fn sent(request: &LlmRequest, options: &EncodeOptions<'_>) -> String {
    String::from_utf8(encode_request(request, options).unwrap().to_vec()).unwrap()
}

/// The request as it is written once its bytes are gone.
fn rewritten(mut request: LlmRequest) -> String {
    request.payload_mut();
    sent(&request, &EncodeOptions::new("claude-x"))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// A request with `fields` besides model, limit and messages.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","max_tokens":10,"messages":[{{"role":"user","content":"hi"}}],{fields}}}"#)
}

#[test]
fn every_field_is_read() {
    let request = read(FULL);
    assert_eq!(request.model(), "claude-x");
    let chat = chat(&request);
    assert_eq!(chat.dialect, Some(Dialect::Anthropic));
    assert_eq!((chat.max_output_tokens, chat.stream, chat.include_usage), (Some(1000), true, true));
    assert_eq!(chat.system[0].role, Role::System);
    assert_eq!(
        (chat.system[0].parts[0].as_text(), chat.system[0].parts[0].cache),
        (Some("Be brief."), Some(CacheTtl::OneHour))
    );

    let user = &chat.messages[0].parts;
    assert_eq!(user[1].cache, Some(CacheTtl::FiveMinutes));
    let PartContent::Image(image) = &user[1].content else { panic!("{user:?}") };
    assert_eq!(image.source, Source::Data { media_type: "image/png".into(), data: "iVBO".into() });
    let PartContent::Image(image) = &user[2].content else { panic!("{user:?}") };
    assert_eq!(image.source, Source::Url("https://x.test/a.png".into()));
    let PartContent::File(file) = &user[3].content else { panic!("{user:?}") };
    assert_eq!(file.filename.as_deref(), Some("a.pdf"));
    assert!(user[3].extra.get("citations").is_some());

    let assistant = &chat.messages[1].parts;
    let PartContent::Reasoning(thinking) = &assistant[0].content else { panic!("{assistant:?}") };
    assert_eq!((thinking.text.as_str(), thinking.signature.as_deref()), ("hm", Some("c2ln")));
    let PartContent::Reasoning(redacted) = &assistant[1].content else { panic!("{assistant:?}") };
    assert_eq!(redacted.redacted.as_deref(), Some("b3Bh"));
    let PartContent::ToolCall(call) = &assistant[2].content else { panic!("{assistant:?}") };
    assert_eq!(
        (call.id.as_str(), call.name.as_str(), call.arguments.as_str()),
        ("toolu_1", "look", r#"{ "a" : 1.50 }"#)
    );

    let results = &chat.messages[2];
    let PartContent::ToolResult(result) = &results.parts[0].content else { panic!("{results:?}") };
    assert_eq!((results.role, result.call_id.as_str(), result.is_error), (Role::User, "toolu_1", true));
    assert_eq!(result.content[0].as_text(), Some("a cat"));

    let ToolKind::Function(function) = &chat.tools[0].kind else { panic!("{:?}", chat.tools) };
    assert_eq!((function.name.as_str(), function.strict), ("look", Some(true)));
    assert_eq!(chat.tools[0].cache, Some(CacheTtl::FiveMinutes));
    assert!(matches!(&chat.tools[1].kind, ToolKind::Other(other) if other.kind == "web_search_20250305"));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Function("look".into())));
    assert_eq!(chat.parallel_tool_calls, Some(false));
    assert_eq!((chat.sampling.temperature, chat.sampling.top_p, chat.sampling.top_k), (Some(0.5), Some(0.9), Some(40)));
    assert_eq!(chat.stop, Stop(vec!["END".into()]));
    assert_eq!(chat.thinking, Some(Thinking::Budget(2048)));
    assert_eq!(chat.reasoning_effort, Some(ReasoningEffort::High));
    assert!(matches!(&chat.response_format, Some(ResponseFormat::JsonSchema(schema)) if schema.name.is_none()));
    for name in ["metadata", "service_tier", "x_new", "thinking", "output_config"] {
        assert!(chat.extra.get(name).is_some(), "{name}");
    }
}

#[test]
fn the_callers_bytes_are_sent_but_for_what_is_spliced_in() {
    assert_eq!(sent(&read(FULL), &EncodeOptions::new("claude-x")), FULL);
    let options = EncodeOptions {
        output_ceiling: Some(100),
        include_usage: true,
        max_output: Some(7),
        ..EncodeOptions::new("claude-\"y\"")
    };
    let expected = FULL.replace(r#""model":"claude-x""#, r#""model":"claude-\"y\"""#).replace("1e3", "100");
    // Thinking has to end below the limit, and there is too little room for it.
    let thinking = r#"{"type":"enabled","budget_tokens":2048,"display":"omitted"}"#;
    let expected = expected.replace(thinking, r#"{"type":"disabled"}"#);
    assert_eq!(sent(&read(FULL), &options), expected);
    let tight = EncodeOptions { output_ceiling: Some(2_000), ..EncodeOptions::new("claude-x") };
    let wide = FULL.replace("1e3", "4096");
    assert_eq!(sent(&read(&wide), &tight), wide.replace("4096", "2000").replace("2048", "1999"));
    let mut changed = read(&wide);
    changed.payload_mut();
    let written = json(&sent(&changed, &tight));
    assert_eq!((&written["max_tokens"], &written["thinking"]["budget_tokens"]), (&2000.into(), &1999.into()));
    let later = wide.replace(r#""type":"enabled","budget_tokens":2048"#, r#""type":"later","budget_tokens":null"#);
    assert_eq!(sent(&read(&later), &tight), later.replace("4096", "2000"));
    let generous = EncodeOptions { output_ceiling: Some(1_000), ..EncodeOptions::new("claude-x") };
    assert_eq!(sent(&read(FULL), &generous), FULL);
}

#[test]
fn what_is_read_is_written_from_its_types_without_loss() {
    let mut expected = json(FULL);
    // The plain forms of the same.
    expected["max_tokens"] = 1000.into();
    expected["system"][0]["cache_control"] = json(r#"{"type":"ephemeral","ttl":"1h"}"#);
    let written = rewritten(read(FULL));
    assert_eq!(json(&written), expected, "{written}");
    assert!(written.contains(r#""input":{ "a" : 1.50 }"#), "numbers keep their spelling: {written}");
    assert!(written.contains(r#""x_new":[1, 2]"#), "{written}");
}

#[test]
fn kinds_without_a_name_here_are_kept_whole() {
    let odd = with(
        r#""system":"Be brief.","thinking":{"type":"later"},"tool_choice":{"type":"any_of","names":["a"]},
           "tools":[{"type":"computer_20250124","name":"computer"}],"output_config":{"format":{"type":"grammar"}},
           "cache_control":{"type":"ephemeral"}"#,
    );
    let odd = odd.replace(r#""model":"m""#, r#""model":"claude-x""#);
    assert_eq!(json(&rewritten(read(&odd))), json(&odd));
    let blocks = r#"{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":[
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}},
        {"type":"search_result","title":"t","content":[]},
        {"type":"text","text":"a","cache_control":{"type":"eternal"}},
        {"type":"image","source":{"type":"file","file_id":"file_1"}}]},
        {"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]},
        {"role":"system","content":"From now on in French."},
        {"role":"user","content":"go on"}]}"#;
    assert_eq!(json(&rewritten(read(blocks))), json(blocks));
}

#[test]
fn a_question_for_a_count_has_no_limit_and_stays_one() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"system":"s","tools":[]}"#;
    let request = decode_count_tokens(Bytes::from(body)).unwrap();
    assert!(matches!(request.payload(), Payload::CountTokens(_)) && !request.is_stream());
    assert_eq!(sent(&request, &EncodeOptions { output_ceiling: Some(1), ..EncodeOptions::new("m") }), body);
    let written = rewritten(request);
    assert_eq!(
        json(&written),
        json(r#"{"model":"claude-x","system":"s","messages":[{"role":"user","content":"hi"}]}"#)
    );
}

#[test]
fn thinking_that_nobody_signed_is_not_sent_back() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"dW5zaWduZWQ="},{"type":"text","text":"Yes."}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"only","signature":"dW5zaWduZWQ="}]},
        {"role":"user","content":"why?"}]}"#;
    let request = read(body);
    assert!(request.wire().is_none(), "the bytes hold what the provider would refuse");
    let written = json(&sent(&request, &EncodeOptions::new("m")));
    assert_eq!(written["messages"][1]["content"], json(r#"[{"type":"text","text":"Yes."}]"#));
    assert_eq!(written["messages"].as_array().unwrap().len(), 3, "a turn of nothing is left out");
    assert_eq!(&*request.context().trail().left_out()[0], "messages.reasoning_content");

    // A server that signs nothing wants it back all the same.
    let theirs = body.replace("dW5zaWduZWQ=", "");
    assert_eq!(sent(&read(&theirs), &EncodeOptions::new("m")), theirs);
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    for (body, message) in [
        (r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":1}"#.to_owned(), "model: is required"),
        (r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#.to_owned(), "max_tokens: is required"),
        (with(r#""max_tokens":-1"#), "the body: a field is given twice"),
        (r#"{"model":"m","max_tokens":-1,"messages":[]}"#.to_owned(), "max_tokens: expected at least 0"),
        (r#"{"model":"m","max_tokens":1,"messages":[]}"#.to_owned(), "messages: expected at least one message"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"canary","content":"x"}]}"#.to_owned(), "messages[0].role: expected user, assistant or system"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":7}]}"#.to_owned(), "messages[0].content: expected a string or a list of blocks"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text"}]}]}"#.to_owned(), "messages[0].content[0].text: is required"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"b","input":"canary"}]}]}"#.to_owned(), "messages[0].content[0].input: expected an object"),
        (with(r#""system":{}"#), "system: expected a string or a list of blocks"),
        (with(r#""temperature":"canary""#), "temperature: expected a number"),
        (with(r#""temperature":-0.5"#), "temperature: expected at least 0"),
        (with(r#""tools":[{"name":"a","input_schema":"canary"}]"#), "tools[0].input_schema: expected a JSON Schema object"),
        (with(r#""tool_choice":"canary""#), "tool_choice: expected an object"),
        (with(r#""thinking":{"type":"enabled"}"#), "thinking.budget_tokens: is required"),
        (with(r#""output_config":{"format":{"type":"json_schema"}}"#), "output_config.format.schema: is required"),
        (with(r#""stop_sequences":"canary""#), "stop_sequences: expected a list"),
        (with(r#""stream":"canary""#), "stream: expected true or false"),
        (with(r#""system":[{"type":"text","type":"text","text":"x"}]"#), "system[0]: a field is given twice"),
        ("[".repeat(200), "the body: JSON is nested deeper than 128 levels"),
    ] {
        let error = decode_messages(Bytes::from(body)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, message));
    }
    assert!(decode_messages(Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err().message().contains("UTF-8"));
}

#[test]
fn embeddings_cannot_be_asked_for() {
    let error = encode_request(&LlmRequest::embed("m", ["x"]), &EncodeOptions::new("m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}
