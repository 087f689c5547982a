//! What is written in Anthropic's dialect is read back as the same, and no bytes make a decoder panic.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::{
    Accumulator, ChatOutput, Choice, Event, FinishReason, Frame, Head, LlmRequest, Output, Part, PartContent,
    Reasoning, ReasoningDelta, ToolCall, ToolCallDelta, Usage,
};
use llm_wire::{
    anthropic::{
        StreamDecoder, StreamEncoder, decode_answer, decode_count_tokens, decode_messages, decode_models,
        decode_token_count, encode_answer,
    },
    sse,
};
use proptest::{collection::vec, option, prelude::*};

mod fixtures;

/// Text with everything that needs escaping or more than one byte, and never empty.
fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\n\r\t {}\\[\\]:ü🌍\u{0}\u{2028}]{1,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{1,8}"
}

fn part() -> impl Strategy<Value = PartContent> {
    let arguments = (name(), text()).prop_map(|(name, text)| serde_json::json!({ name: text }).to_string());
    prop_oneof![
        text().prop_map(PartContent::Text),
        (text(), option::of(name())).prop_map(|(text, signature)| PartContent::Reasoning(Reasoning {
            text,
            signature,
            redacted: None
        })),
        name().prop_map(|data| PartContent::Reasoning(Reasoning { redacted: Some(data), ..Reasoning::default() })),
        (name(), name(), arguments)
            .prop_map(|(id, name, arguments)| PartContent::ToolCall(ToolCall::function(id, name, arguments))),
    ]
}

fn finish() -> impl Strategy<Value = FinishReason> {
    prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::ToolCalls),
        Just(FinishReason::ContentFilter),
        "[a-z]{3}_[a-z]{3}".prop_map(|name| FinishReason::Other(name.into())),
    ]
}

fn usage() -> impl Strategy<Value = Usage> {
    (any::<[u16; 5]>(), any::<[u16; 2]>()).prop_map(|([fresh, read, short, long, output], [thinking, _])| {
        let [fresh, read, short, long, output, thinking] = [fresh, read, short, long, output, thinking].map(u64::from);
        Usage {
            cache_read: read,
            cache_write: short + long,
            cache_write_1h: long,
            reasoning: thinking.min(output),
            ..Usage::reported(fresh + read + short + long, output)
        }
    })
}

prop_compose! {
    fn answer()(parts in vec(part(), 0..6), finish in finish(), usage in usage(), id in name(), model in name()) -> ChatOutput {
        let parts = parts.into_iter().map(Part::from).collect();
        let mut output = ChatOutput {
            choices: vec![Choice { parts, finish: Some(finish), ..Choice::default() }],
            usage: Some(usage),
            ..ChatOutput::default()
        };
        (output.start.id, output.start.model) = (Some(id.into()), Some(model.into()));
        output
    }
}

/// The events of an answer, each cut in two where it can be.
fn frames(output: &ChatOutput) -> Vec<Frame> {
    let half = |text: &str| text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let choice = &output.choices[0];
    let mut events = vec![Event::Start(output.start.clone())];
    let mut calls = 0;
    for part in &choice.parts {
        match &part.content {
            PartContent::Text(text) => {
                let (first, second) = text.split_at(half(text));
                events.extend([first, second].map(|piece| Event::Text(piece.to_owned())));
            }
            PartContent::Reasoning(reasoning) => {
                let Reasoning { text, signature, redacted } = reasoning.clone();
                let (first, second) = text.split_at(half(&text));
                if redacted.is_none() {
                    events.push(Event::Reasoning(ReasoningDelta::from(first.to_owned())));
                }
                events.push(Event::Reasoning(ReasoningDelta { text: second.to_owned(), signature, redacted }));
            }
            PartContent::ToolCall(call) => {
                let (first, second) = call.arguments.split_at(half(&call.arguments));
                let begin = ToolCallDelta {
                    index: calls,
                    id: Some(call.id.clone()),
                    name: Some(call.name.clone()),
                    arguments: first.to_owned(),
                    ..ToolCallDelta::default()
                };
                events.push(Event::ToolCall(begin));
                let arguments = second.to_owned();
                events.push(Event::ToolCall(ToolCallDelta { index: calls, arguments, ..ToolCallDelta::default() }));
                calls += 1;
            }
            _ => {}
        }
    }
    events.extend(choice.finish.clone().map(Event::Finish));
    events.extend(output.usage.map(Event::Usage));
    let last = Frame::default().last();
    events.into_iter().map(Frame::event).chain([last]).collect()
}

/// Neighbouring texts are one block in a stream, and so is reasoning that nobody signed.
fn joined(output: &ChatOutput) -> ChatOutput {
    let mut whole = Accumulator::new();
    frames(output).into_iter().for_each(|frame| whole.push(frame));
    whole.finish()
}

fn request() -> LlmRequest {
    LlmRequest::chat("m").stream().build()
}

fn read_stream(bytes: Bytes) -> ChatOutput {
    let (mut cutter, mut decoder, mut whole) = (sse::Decoder::new(), StreamDecoder::new(), Accumulator::new());
    cutter.push(bytes);
    while let Some(frame) = cutter.next_frame().unwrap() {
        whole.push(decoder.decode(frame).unwrap());
    }
    whole.finish()
}

fn without_origin(mut output: ChatOutput) -> ChatOutput {
    output.dialect = None;
    output
}

proptest! {
    #[test]
    fn an_answer_is_read_as_it_was_written(output in answer()) {
        let bytes = encode_answer(&output.clone().into(), &Head::default(), &request());
        let Output::Chat(read) = decode_answer(bytes).unwrap() else { panic!("a chat is a chat") };
        prop_assert_eq!(without_origin(read), output);
    }

    #[test]
    fn a_stream_is_read_as_it_was_written(output in answer()) {
        let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request()), BytesMut::new());
        frames(&output).iter().for_each(|frame| encoder.encode(frame, &mut out));
        prop_assert_eq!(read_stream(out.freeze()), joined(&output));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in vec(any::<u8>(), 0..4),
        removed in 0..8_usize,
    ) {
        let mut inputs: Vec<Vec<u8>> = fixtures::anthropic_streams().into_iter().map(|(_, bytes)| bytes).collect();
        inputs.push(fixtures::read("anthropic/answer_tool.json"));
        inputs.push(fixtures::read("requests/anthropic.json"));
        let mut bytes = which.get(&inputs).clone();
        let at = at.index(bytes.len());
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, with);
        let body = Bytes::from(bytes);
        let _ = (decode_messages(body.clone()), decode_count_tokens(body.clone()), decode_answer(body.clone()));
        let _ = (decode_token_count(&body), decode_models(&body));
        let (mut cutter, mut decoder) = (sse::Decoder::new(), StreamDecoder::new());
        cutter.push(body);
        while let Ok(Some(frame)) = cutter.next_frame() {
            if decoder.decode(frame).is_err() {
                break;
            }
        }
    }
}
