//! What is written is read back as the same, for any request, answer and stream.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::{
    Accumulator, Audio, Chat, ChatOutput, Choice, ChoiceEvent, Dialect, Event, File, FinishReason, Frame, Head, Image,
    Json, LlmRequest, Message, Output, Part, PartContent, Payload, Reasoning, ReasoningDelta, ReasoningEffort,
    ResponseFormat, Role, Source, Start, Stop, Tool, ToolCall, ToolCallDelta, ToolCallKind, ToolChoice, ToolResult,
    Usage,
};
use llm_wire::{
    EncodeOptions,
    openai::{
        StreamDecoder, StreamEncoder, Variant, decode_chat, decode_chat_answer, decode_embed_answer, decode_models,
        encode_answer, encode_request,
    },
    sse,
};
use proptest::{collection::vec, option, prelude::*};

/// Text with everything that needs escaping or more than one byte.
fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\n\r\t {}\\[\\]:ü🌍\u{0}\u{2028}]{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{1,8}"
}

fn schema() -> impl Strategy<Value = Json> {
    name().prop_map(|name| Json::from_text(format!(r#"{{"type":"object", "{name}":1.50}}"#)).unwrap())
}

fn source() -> impl Strategy<Value = Source> {
    let data = ("[a-z]{1,5}/[a-z]{1,5}", "[A-Za-z0-9]{0,8}");
    prop_oneof![
        name().prop_map(|name| Source::Url(format!("https://x.test/{name}"))),
        data.prop_map(|(media_type, data)| Source::Data { media_type, data }),
    ]
}

fn user_part() -> impl Strategy<Value = Part> {
    let content = prop_oneof![
        4 => text().prop_map(PartContent::Text),
        1 => (source(), option::of(name())).prop_map(|(source, detail)| PartContent::Image(Image { source, detail })),
        1 => (name(), name()).prop_map(|(data, format)| PartContent::Audio(Audio { data, format })),
        1 => (name(), option::of(text())).prop_map(|(id, filename)| {
            PartContent::File(File { source: Source::File(id), filename })
        }),
    ];
    (content, option::of(schema())).prop_map(|(content, extra)| {
        let mut part = Part::from(content);
        extra.into_iter().for_each(|json| part.extra.insert("x_part", json));
        part
    })
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    let kind = prop_oneof![Just(ToolCallKind::Function), Just(ToolCallKind::Custom)];
    ("call_[a-z]{1,6}", name(), text(), kind).prop_map(|(id, name, arguments, kind)| ToolCall {
        id,
        name,
        arguments,
        kind,
    })
}

/// One that nobody signed, or several that are signed or encrypted: others cannot be told apart.
fn reasoning() -> impl Strategy<Value = Vec<Part>> {
    let text = || "[a-z\"\n]{1,12}";
    let unsigned = text().prop_map(|text| Reasoning { text, ..Reasoning::default() });
    let signed =
        (text(), name()).prop_map(|(text, signature)| Reasoning { text, signature: Some(signature), redacted: None });
    let encrypted = name().prop_map(|data| Reasoning { redacted: Some(data), ..Reasoning::default() });
    let said = prop_oneof![vec(unsigned, 0..2), vec(prop_oneof![signed, encrypted], 1..4)];
    said.prop_map(|said| said.into_iter().map(|reasoning| PartContent::Reasoning(reasoning).into()).collect())
}

/// Reasoning, content, tool calls: the order in which this dialect can say them.
fn assistant_parts() -> impl Strategy<Value = Vec<Part>> {
    let calls = vec(tool_call().prop_map(|call| PartContent::ToolCall(call).into()), 0..3);
    (reasoning(), vec(text().prop_map(Part::text), 0..3), calls)
        .prop_map(|(reasoning, content, calls)| reasoning.into_iter().chain(content).chain(calls).collect())
}

fn message() -> impl Strategy<Value = Message> {
    let result = ("[a-z]{1,6}", vec(text().prop_map(Part::text), 0..3)).prop_map(|(call_id, content)| {
        let result = ToolResult { call_id, content, is_error: false };
        Message::new(Role::Tool, vec![PartContent::ToolResult(result).into()])
    });
    let said = prop_oneof![
        3 => vec(user_part(), 0..3).prop_map(|parts| Message::new(Role::User, parts)),
        2 => assistant_parts().prop_map(|parts| Message::new(Role::Assistant, parts)),
        1 => result,
    ];
    (said, option::of(name()), option::of(schema())).prop_map(|(mut message, name, extra)| {
        message.name = name;
        extra.into_iter().for_each(|json| message.extra.insert("x_message", json));
        message
    })
}

fn response_format() -> impl Strategy<Value = ResponseFormat> {
    prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::JsonObject),
        (name(), schema(), option::of(any::<bool>())).prop_map(|(name, schema, strict)| {
            let (name, description, extra) = (Some(name), None, llm_core::Extra::new());
            ResponseFormat::JsonSchema(llm_core::JsonSchema { name, description, schema, strict, extra })
        }),
    ]
}

fn chat() -> impl Strategy<Value = Chat> {
    let tool = (name(), text(), schema()).prop_map(|(name, text, schema)| Tool::function(name, text, schema));
    let choice = prop_oneof![
        Just(ToolChoice::None),
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Function),
    ];
    let system = (text(), any::<bool>())
        .prop_map(|(text, old)| Message::text(if old { Role::System } else { Role::Developer }, text));
    let said = (vec(system, 0..3), vec(message(), 1..4), vec(tool, 0..3), option::of(choice));
    let limits =
        (option::of(1..u64::from(u32::MAX)), vec(text(), 0..3), option::of(any::<i64>()), option::of(1..=128_u32));
    let sampling = (option::of(0.0..2.0), option::of(-2.0..2.0), option::of(any::<bool>()), option::of(0..1000_u64));
    let form = (option::of(response_format()), option::of("[a-z]{1,6}"), any::<[bool; 2]>(), option::of(any::<bool>()));
    (said, limits, sampling, form, vec((name(), schema()), 0..3)).prop_map(|(said, limits, sampling, form, extra)| {
        let mut chat = Chat::default();
        (chat.system, chat.messages, chat.tools, chat.tool_choice) = said;
        let (stop, n);
        (chat.max_output_tokens, stop, chat.seed, n) = limits;
        chat.stop = Stop(stop);
        chat.n = n.and_then(std::num::NonZeroU32::new);
        let drawn = &mut chat.sampling;
        (drawn.temperature, drawn.frequency_penalty, drawn.logprobs, drawn.top_k) = sampling;
        let (effort, [stream, usage]);
        (chat.response_format, effort, [stream, usage], chat.parallel_tool_calls) = form;
        chat.reasoning_effort = effort.map(|name| ReasoningEffort::from(&*name));
        (chat.stream, chat.include_usage) = (stream, stream && usage);
        extra.into_iter().for_each(|(name, json)| chat.extra.insert(format!("x_{name}"), json));
        chat
    })
}

fn finish() -> impl Strategy<Value = FinishReason> {
    prop_oneof![
        Just(FinishReason::Length),
        Just(FinishReason::ToolCalls),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("bored".into())),
    ]
}

/// One text at most: neighbouring texts cannot be told apart in this dialect.
fn answer() -> impl Strategy<Value = ChatOutput> {
    let calls = vec(tool_call().prop_map(|call| PartContent::ToolCall(call).into()), 0..3);
    let content = "[a-z\"\n🌍]{1,9}".prop_map(Part::text);
    let refusal = "[a-z\"\n🌍]{1,9}".prop_map(|text| PartContent::Refusal(text).into());
    let parts = (reasoning(), option::of(content), option::of(refusal), calls)
        .prop_map(|(one, two, three, calls)| one.into_iter().chain(two).chain(three).chain(calls).collect());
    let logprobs = option::of(Just(Json::from_text(r#"{"content":[{"token":"a"}]}"#).unwrap()));
    let choices = vec((parts, finish(), logprobs), 1..4).prop_map(|choices| {
        let choices = (0..).zip(choices).map(|(index, (parts, finish, logprobs))| Choice {
            index,
            parts,
            finish: Some(finish),
            logprobs,
            ..Choice::default()
        });
        choices.collect::<Vec<_>>()
    });
    let usage = (0..10_000_u64, 0..10_000_u64).prop_map(|(input, output)| Usage {
        cache_read: input / 2,
        cache_write: input / 4,
        reasoning: output / 3,
        ..Usage::reported(input, output)
    });
    (choices, option::of(usage), name()).prop_map(|(choices, usage, id)| {
        let start = Start { id: Some(id.into()), model: Some("m".into()), created: Some(7) };
        ChatOutput { start, choices, usage, ..ChatOutput::default() }
    })
}

/// The frames in which a provider of another dialect might say `answer`, its texts cut into pieces.
fn frames(answer: &ChatOutput) -> Vec<Frame> {
    let frame = |choice, event| Frame::new([ChoiceEvent { choice, event }]);
    let pieces = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    let mut frames = vec![frame(0, Event::Start(answer.start.clone()))];
    for choice in &answer.choices {
        let mut calls = 0..;
        for part in &choice.parts {
            match &part.content {
                PartContent::Text(text) => {
                    frames.extend(pieces(text).into_iter().map(|text| frame(choice.index, Event::Text(text))))
                }
                PartContent::Refusal(text) => {
                    frames.extend(pieces(text).into_iter().map(|text| frame(choice.index, Event::Refusal(text))))
                }
                PartContent::Reasoning(Reasoning { text, signature, redacted }) => {
                    let deltas = pieces(text).into_iter().map(ReasoningDelta::from);
                    frames.extend(deltas.map(|delta| frame(choice.index, Event::Reasoning(delta))));
                    let (text, signature, redacted) = (String::new(), signature.clone(), redacted.clone());
                    frames.push(frame(choice.index, Event::Reasoning(ReasoningDelta { text, signature, redacted })));
                }
                PartContent::ToolCall(call) => {
                    let index = calls.next().unwrap();
                    let (id, name) = (Some(call.id.clone()), Some(call.name.clone()));
                    let first = ToolCallDelta { index, id, name, arguments: String::new(), kind: call.kind };
                    frames.push(frame(choice.index, Event::ToolCall(first)));
                    frames.extend(pieces(&call.arguments).into_iter().map(|arguments| {
                        frame(
                            choice.index,
                            Event::ToolCall(ToolCallDelta { index, arguments, ..ToolCallDelta::default() }),
                        )
                    }));
                }
                other => panic!("{other:?}"),
            }
        }
        frames.extend(choice.logprobs.clone().map(|json| frame(choice.index, Event::Logprobs(json))));
        frames.extend(choice.finish.clone().map(|reason| frame(choice.index, Event::Finish(reason))));
    }
    frames.extend(answer.usage.map(|usage| frame(0, Event::Usage(usage))));
    frames
}

/// Tool calls with the same id cannot be told apart by anybody.
fn has_distinct_ids(answer: &ChatOutput) -> bool {
    answer.choices.iter().all(|choice| {
        let mut ids = choice.parts.iter().filter_map(|part| match &part.content {
            PartContent::ToolCall(call) => Some(&call.id),
            _ => None,
        });
        let mut known = std::collections::HashSet::new();
        ids.all(|id| known.insert(id))
    })
}

fn read_stream(bytes: BytesMut) -> ChatOutput {
    let (mut cutter, mut decoder, mut whole) = (sse::Decoder::new(), StreamDecoder::new(), Accumulator::new());
    cutter.push(bytes.freeze());
    let mut ends = 0;
    while let Some(frame) = cutter.next_frame().unwrap() {
        let frame = decoder.decode(frame).unwrap();
        ends += u32::from(frame.is_last());
        whole.push(frame);
    }
    assert_eq!(ends, 1, "a whole stream has one terminal frame");
    whole.finish()
}

/// For a server that takes all that this dialect can say.
fn options(model: &str) -> EncodeOptions<'_> {
    EncodeOptions { variant: &Variant::COMPATIBLE, ..EncodeOptions::new(model) }
}

proptest! {
    #[test]
    fn requests(chat in chat()) {
        let chat = Chat { dialect: Some(Dialect::OpenAi), ..chat };
        let request = LlmRequest::new("m", Payload::Chat(chat));
        let written = encode_request(&request, &options("m")).unwrap();
        let again = decode_chat(written.clone()).unwrap();
        prop_assert_eq!(again.payload(), request.payload());
        let passed_on = encode_request(&again, &options("m")).unwrap();
        prop_assert_eq!(passed_on, written, "an untouched request is its own bytes");
    }

    #[test]
    fn answers(answer in answer()) {
        let answer = Output::Chat(ChatOutput { dialect: Some(Dialect::OpenAi), ..answer });
        let request = LlmRequest::chat("m").user("x").build();
        let again = decode_chat_answer(encode_answer(&answer, &Head::default(), &request)).unwrap();
        prop_assert_eq!(again, answer);
    }

    #[test]
    fn streams(answer in answer().prop_filter("tool calls have ids of their own", has_distinct_ids)) {
        let request = LlmRequest::chat("m").user("x").stream().build();
        let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request), BytesMut::new());
        frames(&answer).iter().for_each(|frame| encoder.encode(frame, &mut out));
        encoder.finish(&mut out);
        prop_assert_eq!(read_stream(out), answer.clone());

        // The same in one frame, as a whole answer is streamed.
        let events = frames(&answer).into_iter().flat_map(Frame::into_events).collect::<Vec<_>>();
        let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request), BytesMut::new());
        encoder.encode(&Frame::new(events).last(), &mut out);
        prop_assert_eq!(read_stream(out), answer);
    }

    #[test]
    fn splicing_changes_nothing_else(
        chat in chat(),
        model in "[a-z\"\\\\ü/]{1,9}",
        include_usage in any::<bool>(),
        output_ceiling in option::of(1..5000_u64),
    ) {
        let request = LlmRequest::new("m", Payload::Chat(chat));
        let body = encode_request(&request, &options("m")).unwrap();
        let came = decode_chat(body).unwrap();
        let options = EncodeOptions { include_usage, output_ceiling, ..options(&model) };
        let sent = decode_chat(encode_request(&came, &options).unwrap()).unwrap();
        prop_assert_eq!(sent.model(), &model);
        let Payload::Chat(mut expected) = came.payload().clone() else { panic!("a chat is a chat") };
        expected.include_usage |= include_usage && expected.stream;
        expected.max_output_tokens = match (expected.max_output_tokens, output_ceiling) {
            (Some(limit), Some(ceiling)) => Some(limit.min(ceiling)),
            (limit, ceiling) => limit.or(ceiling),
        };
        prop_assert_eq!(sent.payload(), &Payload::Chat(expected));
    }

    #[test]
    fn every_variant_can_be_read_again(chat in chat(), ceiling in option::of(1..5000_u64)) {
        let own = LlmRequest::new("m", Payload::Chat(chat.clone()));
        let own = decode_chat(encode_request(&own, &options("m")).unwrap()).unwrap();
        for dialect in [None, Some(Dialect::OpenAi), Some(Dialect::Anthropic)] {
            let typed = LlmRequest::new("m", Payload::Chat(Chat { dialect, ..chat.clone() }));
            for variant in Variant::ALL {
                let options = EncodeOptions { variant, output_ceiling: ceiling, include_usage: true, ..options("n") };
                let spliced = decode_chat(encode_request(&own, &options).unwrap()).unwrap();
                prop_assert_eq!(spliced.model(), "n");
                match encode_request(&typed, &options) {
                    Ok(written) => prop_assert!(decode_chat(written).is_ok()),
                    Err(error) => prop_assert!(error.detail().is_some_and(|detail| detail.param.is_some())),
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-z0-9 \n]{0,60}") {
        for body in [Bytes::from(bytes), Bytes::from(text)] {
            let _ = decode_chat(body.clone());
            let _ = decode_chat_answer(body.clone());
            let _ = decode_embed_answer(body.clone());
            let _ = decode_models(&body);
            let mut decoder = StreamDecoder::new();
            let _ = decoder.decode(sse::Frame { bytes: body.clone(), event: None, data: Some(body) });
        }
    }

    #[test]
    fn a_damaged_request_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"n":1,"stop":"x"}"#.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        if let Err(error) = decode_chat(Bytes::from(body)) {
            prop_assert_eq!(error.kind(), llm_core::ErrorKind::InvalidRequest);
        }
    }
}
