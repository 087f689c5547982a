//! Requests: what is read, what is refused, and what a provider gets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{
    Chat, Dialect, Embed, EmbedInput, ErrorKind, LlmRequest, Message, PartContent, Payload, ReasoningEffort,
    ResponseFormat, Role, Source, ToolCallKind, ToolChoice, ToolKind, VectorEncoding,
};
use llm_wire::{
    EncodeOptions,
    openai::{self, Variant, decode_chat, decode_embed, encode_request},
};

fn chat(body: &str) -> Chat {
    match decode_chat(Bytes::from(body.to_owned())).unwrap().payload() {
        Payload::Chat(chat) => chat.clone(),
        Payload::Embed(_) | Payload::CountTokens(_) => panic!("a chat is a chat"),
    }
}

/// A request with `fields` besides model and messages.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{fields}}}"#)
}

fn with_messages(messages: &str) -> String {
    format!(r#"{{"model":"m","messages":[{messages}]}}"#)
}

/// The message of the refusal; every refusal is an invalid request.
fn refusal(body: &str) -> String {
    let error = decode_chat(Bytes::from(body.to_owned())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.message().to_owned()
}

const FULL: &str = r#" { "messages" : [
  {"role":"system","content":"Be brief."}, {"role":"developer","content":[{"type":"text","text":"Very."}],"name":"ops"},
  {"role":"user","content":[{"type":"text","text":"What is this?","prompt_cache_breakpoint":{"mode":"explicit"}},
    {"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low","fps":2}},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
    {"type":"input_audio","input_audio":{"data":"BBBB","format":"wav"}},
    {"type":"file","file":{"file_id":"file-1"}},
    {"type":"file","file":{"file_data":"data:application/pdf;base64,CCCC","filename":"a.pdf"}},
    {"type":"video_url","video_url":{"url":"v"}}],"weight":1},
  {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[
    {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}},
    {"id":"call_2","type":"custom","custom":{"name":"sh","input":"ls"}}]},
  {"role":"tool","tool_call_id":"call_1","content":"1"},
  {"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"2"}]},
  {"role":"system","content":"Now be long."} ],
  "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true,"returns":{}},"eager":1},
    {"type":"custom","custom":{"name":"sh","format":{"type":"text"}}}],
  "tool_choice":{"type":"function","function":{"name":"f"}}, "parallel_tool_calls":false,
  "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true,"x":1}},
  "temperature":0.70, "top_p":1, "frequency_penalty":-0.5, "presence_penalty":2, "logit_bias":{"50256":-100}, "logprobs":true,
  "top_logprobs":3, "top_k": 40, "max_completion_tokens":1e3, "stop":["a","b"], "seed":-7, "n":2,
  "stream":true, "stream_options":{"include_usage":true,"include_obfuscation":false}, "reasoning_effort":"xhigh",
  "model" : "gpt\u002dx", "metadata":{"k":"v"}, "big":12345678901234567890123, "odd":1.50e+0, "nothing":null } "#;

#[test]
fn every_field_is_read() {
    let request = decode_chat(Bytes::from_static(FULL.as_bytes())).unwrap();
    assert_eq!(request.model(), "gpt-x");
    assert_eq!(request.wire().unwrap().bytes, FULL);
    let chat = chat(FULL);

    assert_eq!(chat.system.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::System, Role::Developer]);
    assert_eq!(chat.system[1].name.as_deref(), Some("ops"));
    let roles: Vec<_> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool, Role::System]);

    let user = &chat.messages[0];
    assert_eq!(user.extra.get("weight").unwrap().get(), "1");
    assert_eq!(user.parts[0].extra.get("prompt_cache_breakpoint").unwrap().get(), r#"{"mode":"explicit"}"#);
    let sources = user.parts.iter().filter_map(|part| match &part.content {
        PartContent::Image(image) => Some(image.source.clone()),
        PartContent::File(file) => Some(file.source.clone()),
        _ => None,
    });
    let data = |media_type: &str, data: &str| Source::Data { media_type: media_type.into(), data: data.into() };
    let expected = [
        Source::Url("https://x.test/a.png".into()),
        data("image/png", "AAAA"),
        Source::File("file-1".into()),
        data("application/pdf", "CCCC"),
    ];
    assert_eq!(sources.collect::<Vec<_>>(), expected);
    assert!(
        matches!(&user.parts[3].content, PartContent::Audio(audio) if audio.format == "wav" && audio.data == "BBBB")
    );
    assert!(matches!(&user.parts[6].content, PartContent::Other(other) if other.kind == "video_url"));

    let assistant = &chat.messages[1];
    assert!(matches!(&assistant.parts[0].content, PartContent::Reasoning(reasoning) if reasoning.text == "hm"));
    let calls: Vec<_> =
        assistant.tool_calls().map(|call| (&*call.id, &*call.name, &*call.arguments, call.kind)).collect();
    let expected = [("call_1", "f", r#"{"a":"#, ToolCallKind::Function), ("call_2", "sh", "ls", ToolCallKind::Custom)];
    assert_eq!(calls, expected);
    let results = chat.messages[2..4].iter().flat_map(|message| &message.parts).map(|part| match &part.content {
        PartContent::ToolResult(result) => (&*result.call_id, result.content[0].as_text().unwrap()),
        other => panic!("{other:?}"),
    });
    assert_eq!(results.collect::<Vec<_>>(), [("call_1", "1"), ("call_2", "2")]);

    assert!(
        matches!(&chat.tools[0].kind, ToolKind::Function(function) if function.name == "f" && function.strict == Some(true))
    );
    assert_eq!(chat.tools[0].extra.get("function").unwrap().get(), r#"{"returns":{}}"#);
    assert!(matches!(&chat.tools[1].kind, ToolKind::Other(other) if other.kind == "custom"));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Function("f".into())));
    assert_eq!(chat.parallel_tool_calls, Some(false));
    assert!(matches!(&chat.response_format, Some(ResponseFormat::JsonSchema(schema)) if schema.strict == Some(true)));
    let sampling = &chat.sampling;
    assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k), (Some(0.7), Some(1.0), Some(40)));
    assert_eq!((sampling.frequency_penalty, sampling.presence_penalty), (Some(-0.5), Some(2.0)));
    assert_eq!((sampling.logprobs, sampling.top_logprobs), (Some(true), Some(3)));
    assert_eq!(sampling.logit_bias.as_ref().unwrap().get(), r#"{"50256":-100}"#);
    assert_eq!((chat.max_output_tokens, chat.seed, chat.n.map(u32::from)), (Some(1000), Some(-7), Some(2)));
    assert_eq!(chat.stop.0, ["a", "b"]);
    assert!(chat.stream && chat.include_usage);
    assert_eq!(chat.reasoning_effort, Some(ReasoningEffort::XHigh));
    let extra: Vec<_> = chat.extra.iter().map(|(name, json)| (name, json.get())).collect();
    let expected = [
        ("metadata", r#"{"k":"v"}"#),
        ("big", "12345678901234567890123"),
        ("odd", "1.50e+0"),
        ("nothing", "null"),
        ("stream_options", r#"{"include_obfuscation":false}"#),
    ];
    assert_eq!(extra, expected);
}

#[test]
fn what_is_written_from_types_is_read_as_the_same() {
    let mut request = decode_chat(Bytes::from_static(FULL.as_bytes())).unwrap();
    request.payload_mut();
    assert!(request.wire().is_none(), "a touched payload has no bytes");
    let options = EncodeOptions { variant: &Variant::COMPATIBLE, ..EncodeOptions::new("gpt-x") };
    let written = encode_request(&request, &options).unwrap();
    let again = decode_chat(written.clone()).unwrap();
    assert_eq!(again.payload(), request.payload());

    // And so it is for any server that reads it as JSON: every field that was there is there again.
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let mut original: serde_json::Value = serde_json::from_str(FULL).unwrap();
    original["max_completion_tokens"] = 1000.into();
    original["messages"][1]["content"] = "Very.".into();
    original["messages"][5]["content"] = "2".into();
    original["top_p"] = 1.0.into();
    original["presence_penalty"] = 2.0.into();
    assert_eq!(written, original);
}

#[test]
fn old_function_calling_survives_a_change_of_the_payload() {
    let body = r#"{"model":"m","functions":[{"name":"f"}],"function_call":"auto","messages":[
        {"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"1"}]}"#;
    let mut request = decode_chat(Bytes::from_static(body.as_bytes())).unwrap();
    request.payload_mut();
    let written = encode_request(&request, &EncodeOptions::new("m")).unwrap();
    let as_json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(as_json(&written), as_json(body.as_bytes()));
}

#[test]
fn calls_of_kinds_without_a_name_here_stay_calls() {
    let body = with_messages(
        r#"{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"shell","shell":{"x":1}}]}"#,
    );
    let mut request = decode_chat(Bytes::from(body.clone())).unwrap();
    request.payload_mut();
    let written = encode_request(&request, &EncodeOptions::new("m")).unwrap();
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&written), json(body.as_bytes()));
}

#[test]
fn messages_that_are_none_are_refused_by_name() {
    for (messages, expected) in [
        ("", "messages: expected at least one message"),
        ("7", "messages[0]: expected an object"),
        (r#"{"content":"x"}"#, "messages[0].role: is required"),
        (r#"{"role":"oracle","content":"x"}"#, "messages[0].role: expected developer"),
        (r#"{"role":"user"}"#, "messages[0].content: is required"),
        (r#"{"role":"user","content":null}"#, "messages[0].content: is required"),
        (r#"{"role":"user","content":7}"#, "messages[0].content: expected a string or a list"),
        (r#"{"role":"user","content":[{"type":7}]}"#, "messages[0].content[0].type: expected a string"),
        (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[0].content[0].text: is required"),
        (r#"{"role":"user","content":[{"type":"file","file":{}}]}"#, "messages[0].content[0].file: expected file_id"),
        (r#"{"role":"user","content":"a","content":"b"}"#, "messages[0]: a field is given twice"),
        (r#"{"role":"user","content":"\ud800"}"#, "messages[0].content: not valid text"),
        (r#"{"role":"tool","content":"x"}"#, "messages[0].tool_call_id: is required"),
    ] {
        let told = refusal(&with_messages(messages));
        assert!(told.starts_with(expected), "{messages}: {told}");
    }
}

#[test]
fn fields_that_no_provider_takes_are_refused_by_name() {
    for (fields, expected) in [
        (r#""max_tokens":0"#, "max_tokens: expected at least 1"),
        (r#""max_completion_tokens":-1"#, "max_completion_tokens: expected at least 1"),
        (r#""max_tokens":"9""#, "max_tokens: expected a whole number"),
        (r#""max_tokens":9,"max_completion_tokens":10"#, "max_tokens: differs"),
        (r#""n":0"#, "n: expected 1 to 128"),
        (r#""n":129"#, "n: expected 1 to 128"),
        (r#""temperature":-0.1"#, "temperature: expected at least 0"),
        (r#""temperature":1e999"#, "temperature: expected a number"),
        (r#""top_p":"1""#, "top_p: expected a number"),
        (r#""top_logprobs":-1"#, "top_logprobs: expected at least 0"),
        (r#""stream":"yes""#, "stream: expected true or false"),
        (r#""stream_options":[]"#, "stream_options: expected an object"),
        (r#""stream_options":{"include_usage":1}"#, "stream_options.include_usage: expected true or false"),
        (r#""stop":[1]"#, "stop[0]: expected a string"),
        (r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name: is required"),
        (r#""tools":[{"type":"function","function":{"name":"f","parameters":7}}]"#, "tools[0].function.parameters"),
        (r#""tool_choice":7"#, "tool_choice: expected a string or an object"),
        (
            r#""response_format":{"type":"json_schema","json_schema":{}}"#,
            "response_format.json_schema.schema: is required",
        ),
        (r#""logit_bias":[]"#, "logit_bias: expected an object"),
        (r#""messages":[]"#, "the body: a field is given twice"),
    ] {
        let told = refusal(&with(fields));
        assert!(told.starts_with(expected), "{fields}: {told}");
    }
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    for body in ["", "[]", "null", "{", "{}{}", r#"{"messages":[{"role":"user","content":"x"}]}"#, r#"{"model":"m"}"#] {
        refusal(body);
    }
    for model in [r#""a\nb""#, r#""a\r""#, r#""\u0000""#, r#""""#, "7", "null"] {
        refusal(&format!(r#"{{"model":{model},"messages":[{{"role":"user","content":"x"}}]}}"#));
    }
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    assert!(refusal(&with(&format!(r#""unknown":{deep}"#))).contains("128 levels"));
    let error = decode_chat(Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn half_a_character_is_refused() {
    let told = refusal(&with_messages(r#"{"role":"user","content":"\ud83d"}"#));
    assert_eq!(told, "messages[0].content: not valid text");
}

#[test]
fn a_models_name_has_at_most_256_bytes() {
    for (name, fits) in [("m".repeat(256), true), ("m".repeat(257), false), ("ü".repeat(129), false)] {
        let chat = decode_chat(format!(r#"{{"model":"{name}","messages":[{{"role":"user","content":"x"}}]}}"#).into());
        let embed = decode_embed(format!(r#"{{"model":"{name}","input":"x"}}"#).into());
        for decoded in [chat, embed] {
            match decoded {
                Ok(request) => assert!(fits && request.model() == name),
                Err(error) => {
                    assert!(!fits);
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    assert_eq!(error.message(), "model: is longer than 256 bytes");
                    assert_eq!(error.detail().unwrap().param.as_deref(), Some("model"));
                }
            }
        }
    }
}

#[test]
fn a_refusal_never_repeats_what_was_sent() {
    for fields in [r#""n":"canary""#, r#""tools":["canary"]"#, r#""stop":{"canary":1}"#, r#""temperature":canary"#] {
        let error = decode_chat(Bytes::from(with(fields))).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{fields}");
    }
    let request = decode_chat(Bytes::from(with(r#""stop":"canary","x":"canary""#))).unwrap();
    assert!(!format!("{request:?}").contains("canary"));
}

#[test]
fn spellings_of_some_servers_are_understood() {
    assert_eq!(chat(&with(r#""stop":"a""#)).stop.0, ["a"]);
    assert_eq!(chat(&with(r#""stop":null,"n":null,"tools":null,"stream_options":null"#)), chat(&with(r#""stop":[]"#)));
    assert_eq!(chat(&with(r#""max_tokens":7"#)).max_output_tokens, Some(7));
    assert_eq!(chat(&with(r#""max_tokens":7,"max_completion_tokens":7"#)).max_output_tokens, Some(7));
    assert_eq!(chat(&with(r#""tool_choice":"any""#)).tool_choice, Some(ToolChoice::Required));
    let all = chat(&with(r#""top_k":-1"#));
    assert_eq!((all.sampling.top_k, all.extra.get("top_k").unwrap().get()), (None, "-1"));
    let reasoned = chat(&with_messages(r#"{"role":"assistant","reasoning":"hm"}"#));
    assert!(matches!(&reasoned.messages[0].parts[0].content, PartContent::Reasoning(it) if it.text == "hm"));
    let only_system = chat(&with_messages(r#"{"role":"system","content":"x"}"#));
    assert!(only_system.messages.is_empty() && only_system.system.len() == 1);
}

#[test]
fn floats_are_read_to_the_last_place() {
    let penalty = |text: &str| chat(&with(&format!(r#""frequency_penalty":{text}"#))).sampling.frequency_penalty;
    assert_eq!(penalty("-1.3493384169408573"), Some(-1.3493384169408573));
    assert_eq!(penalty("-1.349338416940857"), Some(-1.349338416940857));
}

fn sent(body: &str, options: &EncodeOptions<'_>) -> String {
    let request = decode_chat(Bytes::from(body.to_owned())).unwrap();
    String::from_utf8(encode_request(&request, options).unwrap().to_vec()).unwrap()
}

#[test]
fn the_provider_gets_the_callers_own_bytes() {
    let untouched = sent(FULL, &EncodeOptions { include_usage: true, ..EncodeOptions::new("gpt-x") });
    assert_eq!(untouched, FULL, "nothing to splice: the same model however it is spelled, usage asked for");
    let renamed = sent(FULL, &EncodeOptions::new("a \"b\""));
    assert_eq!(renamed, FULL.replace(r#""gpt\u002dx""#, r#""a \"b\"""#));
}

#[test]
fn usage_is_asked_for_in_streams_only_and_only_once() {
    let options = EncodeOptions { include_usage: true, ..EncodeOptions::new("m") };
    for (before, after) in [
        (r#""stream":false"#, r#""stream":false"#),
        (r#""x":1"#, r#""x":1"#),
        (r#""stream":true,"stream_options":{ }"#, r#""stream":true,"stream_options":{"include_usage":true }"#),
        (
            r#""stream":true , "stream_options":{ "a":1.0}"#,
            r#""stream":true , "stream_options":{"include_usage":true, "a":1.0}"#,
        ),
        (
            r#""stream_options":{"include_usage" : false},"stream":true"#,
            r#""stream_options":{"include_usage" : true},"stream":true"#,
        ),
        (r#""stream_options":null,"stream":true"#, r#""stream_options":{"include_usage":true},"stream":true"#),
        (
            r#""stream_options":{"include_usage":true},"stream":true"#,
            r#""stream_options":{"include_usage":true},"stream":true"#,
        ),
    ] {
        assert_eq!(sent(&with(before), &options), with(after));
    }
    let inserted = sent(&with(r#""stream":true"#), &options);
    assert_eq!(
        inserted,
        with(r#""stream":true"#).replacen(r#""m""#, r#""m","stream_options":{"include_usage":true}"#, 1)
    );
    let not_wanted = EncodeOptions::new("m");
    assert_eq!(sent(&with(r#""stream":true"#), &not_wanted), with(r#""stream":true"#));
}

#[test]
fn a_ceiling_lowers_and_never_raises() {
    let options = EncodeOptions { output_ceiling: Some(100), ..EncodeOptions::new("m") };
    for (before, after) in [
        (r#""max_tokens": 1e2"#, r#""max_tokens": 1e2"#),
        (r#""max_tokens":7"#, r#""max_tokens":7"#),
        (r#""max_tokens": 101 ,"x":1"#, r#""max_tokens": 100 ,"x":1"#),
        (r#""max_completion_tokens":5000"#, r#""max_completion_tokens":100"#),
        (r#""max_completion_tokens":null,"max_tokens":5000"#, r#""max_completion_tokens":null,"max_tokens":100"#),
        (r#""max_completion_tokens":null"#, r#""max_completion_tokens":100"#),
        (r#""max_tokens":-1"#, r#""max_tokens":100"#),
        (r#""max_tokens":500,"max_completion_tokens":500"#, r#""max_tokens":100,"max_completion_tokens":100"#),
    ] {
        assert_eq!(sent(&with(before), &options), with(after));
    }
    let none = sent(&with(r#""x":1"#), &options);
    assert_eq!(none, with(r#""x":1"#).replacen(r#""m""#, r#""m","max_completion_tokens":100"#, 1));

    let mut request = LlmRequest::chat("m").user("x").max_output_tokens(500).build();
    assert!(
        String::from_utf8_lossy(&encode_request(&request, &options).unwrap())
            .contains(r#""max_completion_tokens":100"#)
    );
    let Payload::Chat(chat) = request.payload_mut() else { panic!("a chat is a chat") };
    chat.max_output_tokens = None;
    assert!(
        String::from_utf8_lossy(&encode_request(&request, &options).unwrap())
            .contains(r#""max_completion_tokens":100"#)
    );
}

#[test]
fn everything_at_once_is_spliced_in_the_right_places() {
    let body = r#"{"stream":true,"max_tokens":9999,"model":"old","messages":[{"role":"user","content":"model"}]}"#;
    let options = EncodeOptions { include_usage: true, output_ceiling: Some(10), ..EncodeOptions::new("new") };
    let expected = r#"{"stream":true,"max_tokens":10,"model":"new","stream_options":{"include_usage":true},"messages":[{"role":"user","content":"model"}]}"#;
    assert_eq!(sent(body, &options), expected);
}

#[test]
fn a_request_of_another_dialect_is_written_without_its_unknown_fields() {
    let mut foreign = decode_chat(Bytes::from(with(r#""top_a":1"#))).unwrap();
    let Payload::Chat(chat) = foreign.payload_mut() else { panic!("a chat is a chat") };
    chat.dialect = Some(Dialect::Anthropic);
    let written = encode_request(&foreign, &EncodeOptions::new("m")).unwrap();
    assert_eq!(written, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
}

#[test]
fn what_this_dialect_cannot_say_is_refused_by_name() {
    let image = llm_core::Image { source: Source::File("f".into()), detail: None };
    let message = Message::new(Role::User, vec![PartContent::Image(image).into()]);
    let request = LlmRequest::chat("m").user("x").message(message).build();
    let error = encode_request(&request, &EncodeOptions::new("m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().starts_with("messages[1].content[0]: "), "{error}");
    assert_eq!(error.detail().unwrap().param.as_deref(), Some("messages[1].content[0]"));
}

#[test]
fn results_of_tools_become_messages_of_their_own() {
    let result = |id: &str| llm_core::ToolResult {
        call_id: id.into(),
        content: vec![llm_core::Part::text("1")],
        is_error: false,
    };
    let parts = vec![
        PartContent::ToolResult(result("a")).into(),
        PartContent::ToolResult(result("b")).into(),
        llm_core::Part::text("go on"),
    ];
    let request = LlmRequest::chat("m").message(Message::new(Role::User, parts)).build();
    let written = encode_request(&request, &EncodeOptions::new("m")).unwrap();
    let expected = r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"1"},{"role":"user","content":"go on"}]}"#;
    assert_eq!(written, expected);
}

fn embed(body: &str) -> Embed {
    match decode_embed(Bytes::from(body.to_owned())).unwrap().payload() {
        Payload::Embed(embed) => embed.clone(),
        Payload::Chat(_) | Payload::CountTokens(_) => panic!("an embedding is an embedding"),
    }
}

#[test]
fn embeddings_take_texts_and_tokens() {
    let input = |input: &str| {
        let embed = embed(&format!(r#"{{"model":"e","input":{input}}}"#));
        (embed.input, embed.single)
    };
    let text = |text: &str| EmbedInput::Text(text.into());
    assert_eq!(input(r#""a""#), (vec![text("a")], true));
    assert_eq!(input(r#"["a","b"]"#), (vec![text("a"), text("b")], false));
    assert_eq!(input("[1,2]"), (vec![EmbedInput::Tokens(vec![1, 2])], true));
    assert_eq!(input("[[1],[2,3]]"), (vec![EmbedInput::Tokens(vec![1]), EmbedInput::Tokens(vec![2, 3])], false));
    for wrong in ["[]", "7", "{}", r#"["a",1]"#, "[1,\"a\"]", "[-1]", "[[]]", "[[1],2]", "null"] {
        let error = decode_embed(Bytes::from(format!(r#"{{"model":"e","input":{wrong}}}"#))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{wrong}");
        assert!(error.message().starts_with("input"), "{wrong}: {error}");
    }
}

#[test]
fn an_embeddings_request_is_passed_on_as_it_came_or_written_alike() {
    let body = r#"{ "input":"a","model":"e","encoding_format":"base64","dimensions":256,"user":"u" }"#;
    let read = embed(body);
    assert_eq!((read.encoding, read.dimensions), (VectorEncoding::Base64, Some(256)));
    let mut request = decode_embed(Bytes::from_static(body.as_bytes())).unwrap();
    let options = EncodeOptions { include_usage: true, output_ceiling: Some(1), ..EncodeOptions::new("f") };
    assert_eq!(encode_request(&request, &options).unwrap(), body.replace(r#""e""#, r#""f""#));
    request.payload_mut();
    let written = encode_request(&request, &options).unwrap();
    assert_eq!(decode_embed(written).unwrap().payload(), request.payload());
}

#[test]
fn a_bare_request_of_three_lines_is_what_every_server_takes() {
    let request = LlmRequest::chat("m").system("s").user("u").stream().build();
    let written = openai::encode_request(&request, &EncodeOptions::new("m")).unwrap();
    let expected = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(written, expected);
}
