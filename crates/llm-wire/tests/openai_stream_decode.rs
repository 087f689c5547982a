//! Streams of OpenAI and of everything compatible with it, as they are read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;

use bytes::Bytes;
use llm_core::{Accumulator, ChatOutput, Error, ErrorKind, Event, FinishReason, Frame, PartContent, Reasoning, Usage};
use llm_wire::{openai::StreamDecoder, sse};

mod fixtures;

/// What a stream said until its end or its error.
struct Heard {
    frames: Vec<Frame>,
    error: Option<Error>,
}

impl Heard {
    fn output(&self) -> ChatOutput {
        let mut whole = Accumulator::new();
        self.frames.iter().cloned().for_each(|frame| whole.push(frame));
        whole.finish()
    }

    fn events(&self) -> impl Iterator<Item = (u32, &Event)> {
        self.frames.iter().flat_map(|frame| frame.events().iter().map(|item| (item.choice, &item.event)))
    }

    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events().filter(|(_, event)| wanted(event)).count()
    }
}

fn hear(bytes: &[u8]) -> Heard {
    let (mut cutter, mut decoder, mut frames) = (sse::Decoder::new(), StreamDecoder::new(), Vec::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    while let Some(frame) = cutter.next_frame().unwrap() {
        let wire = frame.bytes.clone();
        match decoder.decode(frame) {
            Ok(frame) => {
                assert_eq!(frame.wire().unwrap().bytes, wire, "every frame carries its own bytes");
                frames.push(frame);
            }
            Err(error) => return Heard { frames, error: Some(error) },
        }
    }
    Heard { frames, error: None }
}

fn hear_fixture(name: &str) -> Heard {
    hear(&fixtures::read(&format!("streams/{name}.sse")))
}

fn chunk(choice: &str) -> Vec<u8> {
    let choice = choice.replace('\n', "");
    format!("data: {{\"id\":\"c\",\"choices\":[{choice}]}}\n\n").into_bytes()
}

/// The choices in a line each: reasoning in parentheses, a refusal after `!`, tool calls as `id:name(arguments)`.
fn told(output: &ChatOutput) -> String {
    let mut told = String::new();
    for choice in &output.choices {
        for part in &choice.parts {
            match &part.content {
                PartContent::Text(text) => told.push_str(text),
                PartContent::Reasoning(reasoning) => write!(told, "({})", reasoning.text).unwrap(),
                PartContent::Refusal(text) => write!(told, "!{text}").unwrap(),
                PartContent::ToolCall(call) => write!(told, "{}:{}({})", call.id, call.name, call.arguments).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        writeln!(told, " {}", choice.finish.as_ref().map_or("-".into(), |reason| format!("{reason:?}"))).unwrap();
    }
    told
}

#[test]
fn whole_streams_say_what_their_providers_meant() {
    for (name, expected) in [
        ("openai_text", "Hello, wörld 🌍 \"quoted\"\n Stop\n"),
        ("openai_usage_not_last", "Hi. Stop\n"),
        ("openai_parallel_tools", "call_a:weather({\"city\":\"Z\\u00fcrich\",\"n\":12})call_b:time({}) ToolCalls\n"),
        ("openai_interleaved_tools", "call_a:one({\"a\":1})call_b:two({\"b\":2}) ToolCalls\n"),
        ("openai_custom_tool", "call_c:shell(ls -l) ToolCalls\n"),
        ("openai_two_choices", "Aa Stop\nBb Length\n"),
        ("openai_refusal", "!I cannot help. Stop\n"),
        ("openai_logprobs", "hi Stop\n"),
        ("azure_text", "ok ContentFilter\n"),
        ("openrouter_reasoning", "(think)done Stop\n"),
        ("openrouter_signed", "(Let me think.)()done Stop\n"),
        ("deepseek_reasoning", "(First, think.)42 Stop\n"),
        ("mistral_thinking", "(Let me see.)Four. Stop\n"),
        ("mistral_tools", ":f({\"a\": 1}):g({\"b\":[1.0,2]}) ToolCalls\n"),
        ("groq_text", "(hm)yes Stop\n"),
        ("vllm_usage_on_every_chunk", "ab Stop\n"),
        ("ollama_tools", "(need f)call_x:f({})call_y:f({\"k\":2}) ToolCalls\n"),
        ("gemini_tools", ":weather({\"city\":\"Rome\"}):weather({\"city\":\"Oslo\"}) ToolCalls\n"),
        ("repeated_ids", "call_1:f({}) ToolCalls\n"),
        ("legacy_function", ":f({}) ToolCalls\n"),
    ] {
        let heard = hear_fixture(name);
        assert!(heard.error.is_none(), "{name}: {:?}", heard.error);
        assert!(heard.frames.last().unwrap().is_last(), "{name} ends with its terminal frame");
        assert_eq!(heard.frames.iter().filter(|frame| frame.is_last()).count(), 1, "{name}");
        let output = heard.output();
        assert_eq!(told(&output), expected, "{name}");
        assert_eq!(heard.count(|event| matches!(event, Event::Start(_))), 1, "{name} starts once");
        let finishes = heard.count(|event| matches!(event, Event::Finish(_)));
        assert_eq!(finishes, output.choices.len(), "{name} finishes each choice once");
        assert!(output.start.id.is_some() && output.start.model.is_some(), "{name}");
        assert_eq!(output.start.created, Some(1_787_150_061), "{name}");
    }
}

#[test]
fn usage_is_found_wherever_it_is() {
    let openai = Usage { cache_read: 4, reasoning: 2, ..Usage::reported(9, 5) };
    for (name, expected) in [
        ("openai_text", Some(openai)),
        ("openai_usage_not_last", Some(openai)),
        ("openrouter_reasoning", Some(openai)),
        ("deepseek_reasoning", Some(Usage { cache_read: 8, reasoning: 5, ..Usage::reported(12, 7) })),
        ("mistral_thinking", Some(Usage::reported(20, 12))),
        ("groq_text", Some(Usage::reported(3, 2))),
        ("vllm_usage_on_every_chunk", Some(Usage::reported(6, 2))),
        ("gemini_tools", Some(Usage { reasoning: 62, ..Usage::reported(35, 82) })),
        ("openai_refusal", None),
        ("azure_text", None),
    ] {
        assert_eq!(hear_fixture(name).output().usage, expected, "{name}");
    }
}

#[test]
fn an_error_inside_a_stream_ends_it_as_the_error_it_is() {
    for (name, kind, code) in [
        ("openai_error", ErrorKind::Server, None),
        ("openrouter_error", ErrorKind::Server, Some("502")),
        ("groq_error", ErrorKind::InvalidRequest, Some("tool_use_failed")),
        ("vllm_error", ErrorKind::Server, Some("500")),
        ("mistral_finish_error", ErrorKind::Server, None),
        ("deepseek_no_resource", ErrorKind::Overloaded, None),
    ] {
        let heard = hear_fixture(name);
        let error = heard.error.as_ref().unwrap_or_else(|| panic!("{name} ends with an error"));
        assert_eq!(error.kind(), kind, "{name}");
        assert_eq!(error.detail().and_then(|detail| detail.code.as_deref()), code, "{name}");
        assert_eq!(heard.count(|event| matches!(event, Event::Finish(_))), 0, "{name} has no finish reason");
        assert!(!heard.frames.iter().any(Frame::is_last), "{name} has no terminal frame");
    }
}

#[test]
fn a_cut_stream_has_neither_a_finish_reason_nor_a_terminal_frame() {
    // Ollama loses the error that cut its stream.
    for name in ["cut", "ollama_lost_error"] {
        let heard = hear_fixture(name);
        assert!(heard.error.is_none());
        assert_eq!(told(&heard.output()), "par -\n");
        assert!(!heard.frames.iter().any(Frame::is_last));
    }
}

#[test]
fn comments_and_foreign_events_are_frames_without_events() {
    let heard = hear(b": keep-alive\n\ndata:\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n\n");
    assert!(heard.error.is_none());
    assert_eq!(heard.frames.len(), 4);
    assert!(heard.frames.iter().all(|frame| frame.events().is_empty() && !frame.is_last()));
}

#[test]
fn garbage_is_undecodable() {
    for garbage in [
        &b"data: {\"id\":\"c\",\"choi\n\n"[..],
        b"data: hello\n\n",
        b"data: 7\n\n",
        b"data: []\n\n",
        b"data: {\"a\":1}\n\n",
        b"data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n",
        b"data: {\"choices\":[{\"index\":-1}]}\n\n",
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n",
    ] {
        let error = hear(garbage).error.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(garbage)));
        assert_eq!(error.kind(), ErrorKind::Undecodable);
    }
}

#[test]
fn deep_nesting_in_a_field_we_do_not_read_does_no_harm() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let heard = hear(&chunk(&format!(r#"{{"index":0,"x":{deep},"delta":{{"content":"a"}}}}"#)));
    assert_eq!(told(&heard.output()), "a -\n");
    let heard = hear(&chunk(&format!(r#"{{"index":0,"delta":{{"content":{deep}}}}}"#)));
    assert_eq!(heard.error.unwrap().kind(), ErrorKind::Undecodable);
}

#[test]
fn the_number_of_choices_is_bounded() {
    let many: Vec<_> = (0..5000).map(|index| format!(r#"{{"index":{index},"delta":{{}}}}"#)).collect();
    assert_eq!(hear(&chunk(&many.join(","))).error.unwrap().kind(), ErrorKind::Undecodable);
}

#[test]
fn choices_and_fragments_of_one_frame_are_bounded() {
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let tools = |count| format!(r#"{{"index":0,"delta":{{"tool_calls":[{}]}}}}"#, list("{}", count));
    assert!(hear(&chunk(&list(r#"{"index":0}"#, 1024))).error.is_none());
    assert!(hear(&chunk(&tools(1024))).error.is_none());
    for (what, choices) in [
        ("choices", list(r#"{"index":0}"#, 1025)),
        ("fragments in a delta", tools(1025)),
        ("fragments in all", list(&tools(1024), 100)),
        ("fragments in a message", tools(1025).replace("delta", "message")),
    ] {
        let error = hear(&chunk(&choices)).error.unwrap_or_else(|| panic!("{what}"));
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{what}");
    }
}

#[test]
fn a_whole_answer_sent_as_a_frame_is_heard() {
    let heard = hear(&chunk(
        r#"{"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"hm","tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
            {"type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"}"#,
    ));
    assert_eq!(told(&heard.output()), "(hm)hia:f({}):g({}) ToolCalls\n");
    let both = hear(&chunk(r#"{"delta":{"content":"a"},"message":"said apart"}"#));
    assert_eq!(told(&both.output()), "a -\n", "a delta goes first");
    let neither = hear(&chunk(r#"{"message":7}"#));
    assert_eq!(neither.error.unwrap().kind(), ErrorKind::Undecodable);
}

#[test]
fn an_error_beside_the_choices_of_groq_is_an_error() {
    let frame = |groq: &str| format!("data: {{\"id\":\"c\",\"choices\":[{{\"delta\":{{}}}}],\"x_groq\":{groq}}}\n\n");
    for error in [r#"{"id":"r","error":"over capacity"}"#, r#"{"error":{"message":"no","code":"internal_error"}}"#] {
        assert!(hear(frame(error).as_bytes()).error.unwrap().is_provider_fault(), "{error}");
    }
    for none in [r#"{"id":"r","error":null}"#, r#"{"error":""}"#, r#""r""#, "null"] {
        assert!(hear(frame(none).as_bytes()).error.is_none(), "{none}");
    }
}

#[test]
fn odd_fields_are_passed_over() {
    for (delta, expected) in [
        (r#""content":"a","reasoning":{"effort":"low"}"#, "a -\n"),
        (r#""content":"a","reasoning_content":{},"reasoning":"hm""#, "(hm)a -\n"),
        (r#""content":"a","refusal":false"#, "a -\n"),
        (r#""content":[{"type":"text","text":null},{"type":"text","text":"a"}]"#, "a -\n"),
        (r#""tool_calls":[{"index":0,"id":17,"function":{"name":"f","arguments":"{}"}}]"#, "17:f({}) -\n"),
        (r#""tool_calls":[{"index":0,"id":{},"function":{"name":"f","arguments":"{}"}}]"#, ":f({}) -\n"),
    ] {
        let heard = hear(&chunk(&format!(r#"{{"index":0,"delta":{{{delta}}}}}"#)));
        assert!(heard.error.is_none(), "{delta}: {:?}", heard.error);
        assert_eq!(told(&heard.output()), expected, "{delta}");
    }
    let heard = hear(b"data: {\"id\":7,\"model\":\"m\",\"choices\":[{\"delta\":{}}]}\n\n");
    assert_eq!((heard.output().start.id, heard.output().start.model.as_deref()), (None, Some("m")));
}

#[test]
fn whole_calls_with_one_number_and_no_ids_are_told_apart_by_name() {
    let heard = hear(&chunk(
        r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}},
            {"index":0,"function":{"name":"g","arguments":"[]"}}]}}"#,
    ));
    assert_eq!(told(&heard.output()), ":f({}):g([]) -\n");
}

#[test]
fn an_empty_finish_reason_is_none_and_an_unknown_one_is_kept() {
    let heard = hear(
        &[
            chunk(r#"{"index":0,"delta":{"content":"a"},"finish_reason":""}"#),
            chunk(r#"{"index":0,"delta":{"content":"b"},"finish_reason":"bored"}"#),
            chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#),
        ]
        .concat(),
    );
    let output = heard.output();
    assert_eq!(output.choices[0].finish, Some(FinishReason::Other("bored".into())));
    assert_eq!(output.choices[0].text(), "ab", "the finish chunk may carry the last content");
}

#[test]
fn reasoning_sent_in_both_spellings_is_heard_once() {
    let heard = hear(&chunk(r#"{"delta":{"reasoning":"hm","reasoning_content":"hm","content":""}}"#));
    assert_eq!(told(&heard.output()), "(hm) -\n");
}

#[test]
fn signatures_and_encrypted_reasoning_are_heard_and_no_text_twice() {
    let reasoning = |heard: &Heard| {
        let parts = heard.output().choices.remove(0).parts;
        let said = parts.into_iter().filter_map(|part| match part.content {
            PartContent::Reasoning(reasoning) => Some(reasoning),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    let signed = |text: &str, signature: &str| Reasoning {
        text: text.into(),
        signature: Some(signature.into()),
        redacted: None,
    };
    let encrypted = |data: &str| Reasoning { redacted: Some(data.into()), ..Reasoning::default() };
    let openrouter = hear_fixture("openrouter_signed");
    assert_eq!(reasoning(&openrouter), [signed("Let me think.", "c2lnbmVk"), encrypted("b3BhcXVl")]);

    // A signature with all that it is over, after the text: as it is written here.
    let deltas = [
        r#"{"reasoning_content":"a"}"#,
        r#"{"reasoning_content":"b"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"ab","signature":"s","index":0}]}"#,
        r#"{"reasoning_content":"c"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"c","signature":"t","index":1}]}"#,
    ];
    let stream: Vec<u8> = deltas.iter().flat_map(|delta| chunk(&format!(r#"{{"index":0,"delta":{delta}}}"#))).collect();
    assert_eq!(reasoning(&hear(&stream)), [signed("ab", "s"), signed("c", "t")]);

    // Text that is nowhere else.
    let deltas = [
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"a"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"b"},{"type":"reasoning.text","signature":"s"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":""},{"type":"x"}]}"#,
        r#"{"reasoning_details":{"type":"reasoning.text","text":"no list"}}"#,
    ];
    let stream: Vec<u8> = deltas.iter().flat_map(|delta| chunk(&format!(r#"{{"index":0,"delta":{delta}}}"#))).collect();
    assert_eq!(reasoning(&hear(&stream)), [signed("ab", "s")]);

    // A whole answer as a frame: here the details say which text is signed.
    let whole = r#"{"index":0,"message":{"reasoning":"ab","content":"c","reasoning_details":[
        {"type":"reasoning.text","text":"a","signature":"s"},{"type":"reasoning.text","text":"b","signature":"t"}]}}"#;
    assert_eq!(reasoning(&hear(&chunk(whole))), [signed("a", "s"), signed("b", "t")]);
}

#[test]
fn logprobs_join_in_order() {
    let output = hear_fixture("openai_logprobs").output();
    let logprobs: serde_json::Value = output.choices[0].logprobs.as_ref().unwrap().parse().unwrap();
    let tokens: Vec<_> = logprobs["content"].as_array().unwrap().iter().map(|item| &item["token"]).collect();
    assert_eq!(tokens, ["h", "i"]);
}

#[test]
fn every_cut_and_line_end_of_every_fixture_gives_the_same_events() {
    for (name, bytes) in fixtures::streams() {
        let (whole, error) = events_of([&bytes[..]]);
        let crlf = String::from_utf8(bytes.clone()).unwrap().replace('\n', "\r\n").into_bytes();
        assert_eq!(events_of(crlf.chunks(1)), (whole.clone(), error), "{name} with CRLF");
        for at in (0..bytes.len()).step_by(3) {
            assert_eq!(events_of([&bytes[..at], &bytes[at..]]), (whole.clone(), error), "{name} cut at {at}");
        }
    }
}

fn events_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<llm_core::ChoiceEvent>, Option<ErrorKind>) {
    let (mut cutter, mut decoder, mut events) = (sse::Decoder::new(), StreamDecoder::new(), Vec::new());
    for piece in pieces {
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            match decoder.decode(frame) {
                Ok(frame) => events.extend(frame.into_events()),
                Err(error) => return (events, Some(error.kind())),
            }
        }
    }
    (events, None)
}

#[test]
fn debug_shows_no_content() {
    let heard = hear(&chunk(
        r#"{"delta":{"content":"canary","tool_calls":[{"id":"canary","function":{"name":"f","arguments":"canary"}}]},"finish_reason":null}"#,
    ));
    let mut decoder = StreamDecoder::new();
    for frame in &heard.frames {
        let bytes = frame.wire().unwrap().bytes.clone();
        let data = Some(bytes.slice(6..));
        decoder.decode(sse::Frame { bytes, event: None, data }).unwrap();
    }
    assert!(!format!("{:?} {decoder:?}", heard.frames).contains("canary"));
}

#[test]
fn half_a_character_does_not_end_the_stream() {
    for (delta, expected) in [
        (r#""content":"a\ud83d""#, "a\u{fffd} -\n"),
        (r#""content":"\ude00b""#, "\u{fffd}b -\n"),
        (r#""content":[{"type":"text","text":"\ud83d"}]"#, "\u{fffd} -\n"),
        (r#""reasoning_content":"\ud83d""#, "(\u{fffd}) -\n"),
        (r#""refusal":"\ud83d""#, "!\u{fffd} -\n"),
        (
            r#""tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":"{\"a\":\"\ud83d"}}]"#,
            "i:f({\"a\":\"\u{fffd}) -\n",
        ),
        (r#""tool_calls":[{"index":0,"id":"i","custom":{"name":"f","input":"\ud83d"}}]"#, "i:f(\u{fffd}) -\n"),
    ] {
        let heard = hear(&chunk(&format!(r#"{{"index":0,"delta":{{{delta}}}}}"#)));
        assert!(heard.error.is_none(), "{delta}: {:?}", heard.error);
        assert_eq!(told(&heard.output()), expected);
    }
    let error = hear(b"data: {\"error\":{\"message\":\"\\ud83d\",\"code\":\"rate_limit_exceeded\"}}\n\n").error;
    assert_eq!(error.unwrap().kind(), ErrorKind::RateLimited, "an error is read all the same");
}

#[test]
fn a_whole_message_after_its_pieces_says_nothing_again() {
    let bytes = [
        chunk(r#"{"index":0,"delta":{"content":"Hel"}}"#),
        chunk(r#"{"index":0,"delta":{"content":"lo"}}"#),
        chunk(r#"{"index":0,"finish_reason":"stop","message":{"content":"Hello"}}"#),
    ];
    let heard = hear(&bytes.concat());
    assert!(heard.error.is_none());
    assert_eq!(heard.output().choices[0].text(), "Hello");
    assert_eq!(heard.output().choices[0].finish, Some(FinishReason::Stop));
}

#[test]
fn a_chunk_that_says_nothing_ends_no_answer() {
    for quiet in [r#"{"id":"c","choices":null}"#, r#"{"id":"c"}"#, "{}"] {
        let quiet = format!("data: {quiet}\n\n").into_bytes();
        let words = |text: &str| chunk(&format!(r#"{{"index":0,"delta":{{"content":"{text}"}}}}"#));
        let heard = hear(&[words("Hel"), quiet.clone(), words("lo")].concat());
        assert!(heard.error.is_none());
        assert_eq!(heard.output().choices[0].text(), "Hello");
        assert_eq!(hear(&quiet).error.map(|error| error.kind()), Some(ErrorKind::Undecodable), "before it has begun");
    }
}
