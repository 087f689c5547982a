//! What each of the compatible servers gets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU32;

use bytes::Bytes;
use llm_core::{
    Chat, Dialect, ErrorKind, Image, Json, LlmRequest, Message, Part, PartContent, Payload, Reasoning, Role, Source,
    Tool, ToolChoice,
};
use llm_wire::{
    EncodeOptions,
    openai::{SentReasoning, Variant, decode_chat, encode_request},
};
use serde_json::{Value, json};

fn write(request: &LlmRequest, variant: &Variant) -> Value {
    let options = EncodeOptions { variant, ..EncodeOptions::new("m") };
    serde_json::from_slice(&encode_request(request, &options).unwrap()).unwrap()
}

/// The field that a refusal names.
fn refused(request: &LlmRequest, variant: &Variant) -> Option<String> {
    let error = encode_request(request, &EncodeOptions { variant, ..EncodeOptions::new("m") }).err()?;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let param = error.detail().and_then(|detail| detail.param.clone()).unwrap();
    assert!(error.message().starts_with(&param), "{error}");
    Some(param)
}

fn left_out(request: &LlmRequest) -> Vec<String> {
    request.context().trail().left_out().into_iter().map(String::from).collect()
}

fn json(text: &str) -> Json {
    Json::from_text(text).unwrap()
}

#[test]
fn the_table_in_the_docs_is_the_data() {
    let docs = include_str!("../src/openai/mod.rs");
    let head = "//! | variant | limit | `stream_options` | seed | must call | reasoning sent back | \
        pictures | `developer` | refused | left out |";
    assert!(docs.contains(head));
    let names = |names: &[&str]| match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    for variant in Variant::ALL {
        let reasoning = match variant.reasoning {
            SentReasoning::Nothing => "no".to_owned(),
            SentReasoning::Text(name) => format!("`{name}`"),
            SentReasoning::TextAlways(name) => format!("`{name}`, on every turn"),
            SentReasoning::TextAndDetails(name) => format!("`{name}`, `reasoning_details`"),
        };
        let cells = [
            format!("`{}`", variant.name),
            format!("`{}`", variant.output_limit),
            yes_or_no(variant.stream_options).to_owned(),
            format!("`{}`", variant.seed),
            format!("`{}`", variant.must_call),
            reasoning,
            if variant.image_urls { "by URL" } else { "bytes only" }.to_owned(),
            yes_or_no(variant.developer).to_owned(),
            names(variant.refuses),
            names(variant.leaves_out),
        ];
        let row = format!("//! | {} |", cells.join(" | "));
        assert!(docs.contains(&format!("{row}\n")), "the docs lack this row:\n{row}");
    }
}

#[test]
fn every_variant_is_found_by_its_name_and_by_no_other() {
    for variant in Variant::ALL {
        assert_eq!(Variant::find(variant.name), Some(*variant));
    }
    assert_eq!(Variant::find("OpenAI"), None);
    assert_eq!(Variant::find(""), None);
}

/// A chat that says what servers spell differently.
fn chat() -> LlmRequest {
    let tool = Tool::function("f", "d", json(r#"{"type":"object"}"#));
    LlmRequest::chat("m")
        .message(Message::text(Role::User, "hi"))
        .tool(tool)
        .max_output_tokens(9)
        .stream()
        .with(|chat| {
            chat.system.push(Message::text(Role::Developer, "Be brief."));
            chat.seed = Some(7);
            chat.tool_choice = Some(ToolChoice::Required);
        })
        .build()
}

#[test]
fn each_server_gets_its_own_spellings() {
    let written = |variant: &Variant| {
        let mut request = chat();
        let Payload::Chat(chat) = request.payload_mut() else { panic!("a chat is a chat") };
        // Ollama takes no such choice.
        if *variant == Variant::OLLAMA {
            chat.tool_choice = None;
        }
        let mut written = write(&request, variant);
        let fields = written.as_object_mut().unwrap();
        for same in ["model", "tools", "stream"] {
            assert!(fields.remove(same).is_some(), "{same}");
        }
        written
    };
    let messages = |role: &str| json!([{"role": role, "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    let usage = json!({"include_usage": true});
    let openai = json!({"messages": messages("developer"), "tool_choice": "required", "max_completion_tokens": 9,
        "seed": 7, "stream_options": usage});
    for variant in
        [Variant::COMPATIBLE, Variant::OPENAI, Variant::AZURE, Variant::OPENROUTER, Variant::GROQ, Variant::XAI]
    {
        assert_eq!(written(&variant), openai, "{}", variant.name);
    }
    let expected = json!({"messages": messages("system"), "tool_choice": "any", "max_tokens": 9, "random_seed": 7});
    assert_eq!(written(&Variant::MISTRAL), expected);
    let expected = json!({"messages": messages("system"), "tool_choice": "required", "max_tokens": 9, "seed": 7,
        "stream_options": usage});
    assert_eq!(written(&Variant::DEEPSEEK), expected);
    let expected = json!({"messages": messages("system"), "max_tokens": 9, "seed": 7, "stream_options": usage});
    assert_eq!(written(&Variant::OLLAMA), expected);
    let expected = json!({"messages": messages("system"), "tool_choice": "required", "max_completion_tokens": 9,
        "seed": 7, "stream_options": usage});
    assert_eq!(written(&Variant::VLLM), expected);
}

/// A chat that needs the field `name`, and one that sets it to what it is anyway.
fn needs(name: &str) -> [LlmRequest; 2] {
    let build = |change: &dyn Fn(&mut Chat)| {
        let tool = Tool::function("f", "d", json(r#"{"type":"object"}"#));
        LlmRequest::chat("m").user("hi").tool(tool).with(change).build()
    };
    match name {
        "top_k" => [build(&|chat| chat.sampling.top_k = Some(5)), build(&|_| {})],
        "n" => [build(&|chat| chat.n = NonZeroU32::new(2)), build(&|chat| chat.n = NonZeroU32::new(1))],
        "logprobs" => [
            build(&|chat| chat.sampling.logprobs = Some(true)),
            build(&|chat| (chat.sampling.logprobs, chat.sampling.top_logprobs) = (Some(false), Some(0))),
        ],
        "logit_bias" => [
            build(&|chat| chat.sampling.logit_bias = Some(json(r#"{"1":2}"#))),
            build(&|chat| chat.sampling.logit_bias = Some(json("{ }"))),
        ],
        "tool_choice" => [
            build(&|chat| chat.tool_choice = Some(ToolChoice::Function("f".into()))),
            build(&|chat| chat.tool_choice = Some(ToolChoice::Auto)),
        ],
        "frequency_penalty" => [
            build(&|chat| chat.sampling.frequency_penalty = Some(0.5)),
            build(&|chat| chat.sampling.frequency_penalty = Some(0.0)),
        ],
        "presence_penalty" => [
            build(&|chat| chat.sampling.presence_penalty = Some(0.5)),
            build(&|chat| chat.sampling.presence_penalty = Some(0.0)),
        ],
        other => panic!("no chat needs {other}"),
    }
}

#[test]
fn what_a_server_does_not_take_is_refused_by_name_and_its_default_is_not_sent() {
    let fields = ["top_k", "n", "logprobs", "logit_bias", "tool_choice", "frequency_penalty", "presence_penalty"];
    for variant in Variant::ALL {
        for field in fields {
            let [needed, default] = needs(field);
            if variant.refuses.contains(&field) {
                assert_eq!(refused(&needed, variant).as_deref(), Some(field), "{}", variant.name);
                let written = write(&default, variant);
                assert!(written.get(field).is_none() && written.get("top_logprobs").is_none(), "{written}");
            } else {
                assert!(write(&needed, variant).get(field).is_some(), "{} takes {field}", variant.name);
            }
        }
        assert!(variant.refuses.iter().all(|field| fields.contains(field)), "every field is one that is looked at");
        assert!(variant.leaves_out.iter().all(|field| ["user", "name"].contains(field)));
    }
}

#[test]
fn a_servers_own_name_for_the_seed_is_never_written_twice() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":7,"random_seed":8}"#;
    let mut request = decode_chat(Bytes::from_static(body.as_bytes())).unwrap();
    let Payload::Chat(chat) = request.payload_mut() else { panic!("a chat is a chat") };
    chat.dialect = Some(Dialect::OpenAi);
    assert_eq!(write(&request, &Variant::MISTRAL)["random_seed"], 7);
    let Payload::Chat(chat) = request.payload_mut() else { panic!("a chat is a chat") };
    chat.seed = None;
    assert_eq!(write(&request, &Variant::MISTRAL)["random_seed"], 8);
}

#[test]
fn names_and_end_users_are_left_out_where_they_are_refused() {
    let request = || {
        let named = Message { name: Some("ann".into()), ..Message::text(Role::User, "hi") };
        let build = LlmRequest::chat("m").message(named);
        build
            .with(|chat| {
                chat.dialect = Some(Dialect::Anthropic);
                chat.extra.insert("metadata", json(r#"{"user_id":"u-1"}"#));
            })
            .build()
    };
    let to_groq = request();
    let written = write(&to_groq, &Variant::GROQ);
    assert_eq!((&written["user"], &written["messages"][0]["name"]), (&"u-1".into(), &"ann".into()));
    assert!(left_out(&to_groq).is_empty());
    let to_mistral = request();
    let expected = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(write(&to_mistral, &Variant::MISTRAL), expected);
    assert_eq!(left_out(&to_mistral), ["messages.name", "metadata.user_id"]);
}

/// The model's turn, as it is sent back.
fn sent_back(reasoning: &[Reasoning], variant: &Variant) -> (Value, Vec<String>) {
    let said = reasoning.iter().cloned().map(|reasoning| PartContent::Reasoning(reasoning).into());
    let parts = said.chain([Part::text("Yes.")]).collect();
    let request = LlmRequest::chat("m").user("hi").message(Message::new(Role::Assistant, parts)).build();
    let mut turn = write(&request, variant)["messages"][1].take();
    assert_eq!(turn.as_object_mut().unwrap().remove("content"), Some("Yes.".into()));
    turn.as_object_mut().unwrap().remove("role");
    (turn, left_out(&request))
}

#[test]
fn reasoning_goes_back_as_each_server_wants_it() {
    let unsigned = [Reasoning { text: "hm".into(), ..Reasoning::default() }];
    let signed = [
        Reasoning { text: "a".into(), signature: Some("s".into()), redacted: None },
        Reasoning { redacted: Some("e".into()), ..Reasoning::default() },
        Reasoning { text: "b".into(), ..Reasoning::default() },
    ];
    let details = json!([
        {"type": "reasoning.text", "text": "a", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "index": 1},
        {"type": "reasoning.text", "text": "b", "index": 2},
    ]);
    for variant in Variant::ALL {
        let (said, in_details) = (sent_back(&unsigned, variant), sent_back(&signed, variant));
        let silent = sent_back(&[], variant);
        let expected = match variant.reasoning {
            SentReasoning::Nothing => {
                let noted = vec!["messages.reasoning_content".to_owned()];
                assert_eq!(said, (json!({}), noted.clone()), "{}", variant.name);
                assert_eq!(in_details, (json!({}), noted), "{}", variant.name);
                assert_eq!(silent, (json!({}), vec![]), "{}", variant.name);
                continue;
            }
            SentReasoning::Text(name) => [json!({name: "hm"}), json!({name: "ab"}), json!({})],
            SentReasoning::TextAlways(name) => [json!({name: "hm"}), json!({name: "ab"}), json!({name: ""})],
            SentReasoning::TextAndDetails(name) => {
                [json!({name: "hm"}), json!({name: "ab", "reasoning_details": details}), json!({})]
            }
        };
        assert_eq!([said.0, in_details.0, silent.0], expected, "{}", variant.name);
    }
    let has = |variant: Variant, sent| assert_eq!(variant.reasoning, sent, "{}", variant.name);
    has(Variant::DEEPSEEK, SentReasoning::TextAlways("reasoning_content"));
    has(Variant::OPENROUTER, SentReasoning::TextAndDetails("reasoning"));
    has(Variant::OPENAI, SentReasoning::Nothing);
}

#[test]
fn a_turn_of_which_nothing_is_left_has_an_empty_text() {
    let thought = PartContent::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
    let turn = Message::new(Role::Assistant, vec![thought.into()]);
    let request = LlmRequest::chat("m").user("hi").message(turn).build();
    assert_eq!(write(&request, &Variant::OPENAI)["messages"][1], json!({"role": "assistant", "content": ""}));
    let sent = json!({"role": "assistant", "reasoning_content": "hm", "content": null});
    assert_eq!(write(&request, &Variant::COMPATIBLE)["messages"][1], sent);
}

#[test]
fn ollama_is_given_pictures_but_no_addresses_of_pictures() {
    let with = |source| {
        let image = PartContent::Image(Image { source, detail: None });
        LlmRequest::chat("m").message(Message::new(Role::User, vec![Part::text("What?"), image.into()])).build()
    };
    let by_url = with(Source::Url("https://x.test/a".into()));
    assert_eq!(refused(&by_url, &Variant::OLLAMA).as_deref(), Some("messages[0].content[1]"));
    let written = write(&by_url, &Variant::VLLM);
    assert_eq!(written["messages"][0]["content"][1]["image_url"]["url"], "https://x.test/a");
    let bytes = with(Source::Data { media_type: "image/png".into(), data: "AA".into() });
    let written = write(&bytes, &Variant::OLLAMA);
    assert_eq!(written["messages"][0]["content"][1]["image_url"]["url"], "data:image/png;base64,AA");
}

fn spliced(body: &str, variant: &Variant, output_ceiling: Option<u64>) -> String {
    let request = decode_chat(Bytes::from(body.to_owned())).unwrap();
    let options = EncodeOptions { include_usage: true, output_ceiling, variant, ..EncodeOptions::new("m") };
    String::from_utf8(encode_request(&request, &options).unwrap().to_vec()).unwrap()
}

fn with(fields: &str) -> String {
    format!(r#"{{"model":"m"{fields},"messages":[{{"role":"user","content":"hi"}}]}}"#)
}

#[test]
fn a_callers_own_bytes_are_not_respelled() {
    let body = with(r#", "seed":7,"top_k":5, "n":2,"tool_choice":"required","user":"u","max_tokens":9"#)
        .replace(r#""user","#, r#""developer","name":"ann","reasoning":"hm","#);
    for variant in Variant::ALL {
        assert_eq!(spliced(&body, variant, None), body, "{}", variant.name);
    }
}

#[test]
fn mistral_is_never_asked_for_usage_in_a_stream() {
    let expected = with(r#","stream":true"#);
    assert_eq!(spliced(&expected, &Variant::MISTRAL, None), expected);
    for asked in [
        r#","stream":true,"stream_options":{"include_usage":true,"x":[",",{}]}"#,
        r#","stream_options":{},"stream":true"#,
        r#", "stream_options" : null,"stream":true"#,
    ] {
        assert_eq!(spliced(&with(asked), &Variant::MISTRAL, None), expected);
    }
    let escaped = with(r#","stream":true,"stream\u005foptions":{}"#);
    assert_eq!(spliced(&escaped, &Variant::MISTRAL, None), expected);
    let first = r#"{ "stream_options":{} ,"stream":true,"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let expected = r#"{ "stream":true,"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(spliced(first, &Variant::MISTRAL, None), expected);
    let last = r#"{"model":"m","messages":[{"role":"user","content":"hi"}], "stream_options":{"a":1} }"#;
    let expected = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}] }"#;
    assert_eq!(spliced(last, &Variant::MISTRAL, Some(5)), expected);
    let both = spliced(&with(r#","stream_options":{},"stream":true"#), &Variant::MISTRAL, Some(5));
    assert_eq!(both, with(r#","max_tokens":5,"stream":true"#));
}

#[test]
fn a_callers_limit_is_repeated_where_the_server_heeds_it() {
    let newer = r#","max_completion_tokens":9"#;
    for variant in Variant::ALL {
        let is_heeded = variant.output_limit == "max_completion_tokens";
        let sent = if is_heeded { newer.to_owned() } else { format!(r#","max_tokens":9{newer}"#) };
        assert_eq!(spliced(&with(newer), variant, None), with(&sent), "{}", variant.name);
    }
    let none = r#","max_completion_tokens":9,"max_tokens":-1"#;
    assert_eq!(spliced(&with(none), &Variant::OLLAMA, None), with(&none.replace("-1", "9")));
}

#[test]
fn a_ceiling_is_set_where_the_server_heeds_it() {
    for (variant, before, after) in [
        (Variant::MISTRAL, "", r#","max_tokens":100"#),
        (Variant::DEEPSEEK, "", r#","max_tokens":100"#),
        (Variant::OPENAI, "", r#","max_completion_tokens":100"#),
        (Variant::GROQ, r#","max_completion_tokens":null"#, r#","max_completion_tokens":100"#),
        // Whoever heeds the newer name may refuse the older.
        (Variant::OPENAI, r#","max_tokens":null"#, r#","max_completion_tokens":100,"max_tokens":null"#),
        (Variant::MISTRAL, r#","max_tokens":7"#, r#","max_tokens":7"#),
        (Variant::MISTRAL, r#","max_tokens":700"#, r#","max_tokens":100"#),
        (Variant::OPENAI, r#","max_tokens":700"#, r#","max_tokens":100"#),
        // The newer name is unknown to these, so the ceiling would not hold.
        (Variant::OLLAMA, r#","max_completion_tokens":700"#, r#","max_tokens":100,"max_completion_tokens":100"#),
        (Variant::OLLAMA, r#","max_completion_tokens":7"#, r#","max_tokens":7,"max_completion_tokens":7"#),
        (Variant::OLLAMA, r#","max_completion_tokens":null"#, r#","max_tokens":100,"max_completion_tokens":null"#),
        (Variant::VLLM, r#","max_completion_tokens":7"#, r#","max_completion_tokens":7"#),
        (
            Variant::DEEPSEEK,
            r#","max_completion_tokens":700,"max_tokens":null"#,
            r#","max_completion_tokens":100,"max_tokens":100"#,
        ),
    ] {
        assert_eq!(spliced(&with(before), &variant, Some(100)), with(after), "{} {before}", variant.name);
    }
}
