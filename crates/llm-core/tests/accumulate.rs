//! A whole answer read as a stream and folded again is the same answer.

#![allow(clippy::unwrap_used)]

use llm_core::{
    Body, ChatOutput, Choice, ChoiceEvent, Event, FinishReason, Frame, Json, Output, Part, PartContent, Reasoning,
    Start, ToolCall, ToolCallDelta, Usage,
};
use proptest::prelude::*;

fn part() -> impl Strategy<Value = Part> {
    let reasoning = |(text, signature): (String, Option<String>)| {
        PartContent::Reasoning(Reasoning { text, signature, redacted: None })
    };
    prop_oneof![
        "[a-z ]{1,8}".prop_map(PartContent::Text),
        "[a-z ]{1,8}".prop_map(PartContent::Refusal),
        ("[a-z ]{1,8}", prop::option::of("[a-z]{4}")).prop_map(reasoning),
        ("[a-z]{3}", "[a-z]{3}", ".{0,8}")
            .prop_map(|(id, name, arguments)| PartContent::ToolCall(ToolCall::function(id, name, arguments))),
    ]
    .prop_map(Part::from)
}

/// Neighbours of one kind run together in a stream, so a well-formed answer has none.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec(part(), 0..6).prop_map(|mut parts| {
        parts.dedup_by(|a, b| match (&a.content, &b.content) {
            (PartContent::ToolCall(_), _) => false,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        });
        parts
    })
}

fn output() -> impl Strategy<Value = ChatOutput> {
    (prop::collection::vec(parts(), 1..4), prop::option::of((1_u64..99, 1_u64..99))).prop_map(|(choices, usage)| {
        let choices = (0..).zip(choices).map(|(index, parts)| Choice {
            index,
            parts,
            finish: Some(FinishReason::Stop),
            ..Choice::default()
        });
        ChatOutput {
            start: Start { id: Some("id".into()), model: Some("m".into()), created: Some(7) },
            choices: choices.collect(),
            usage: usage.map(|(input, output)| Usage::reported(input, output)),
            ..ChatOutput::default()
        }
    })
}

proptest! {
    #[test]
    fn an_answer_survives_being_streamed(output in output()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let streamed = runtime.block_on(async {
            let mut body = Body::full(output.clone());
            let mut frames = Vec::new();
            while let Some(frame) = futures_util::StreamExt::next(&mut body).await {
                frames.push(frame);
            }
            Body::stream(futures_util::stream::iter(frames)).collect().await.unwrap()
        });
        prop_assert_eq!(streamed, Output::Chat(output));
    }

    #[test]
    fn tool_calls_join_by_choice_and_index_however_they_interleave(order in prop::collection::vec(0_usize..4, 0..40)) {
        // Four calls: two in each of two choices. Each piece adds one letter to its call's arguments.
        let mut frames: Vec<Frame> = Vec::new();
        let mut expected = [const { String::new() }; 4];
        for call in order {
            let (choice, index) = (call as u32 / 2, call as u32 % 2);
            let is_first = expected[call].is_empty();
            expected[call].push('x');
            let delta = ToolCallDelta {
                index,
                id: is_first.then(|| format!("call-{call}")),
                name: is_first.then(|| "f".to_owned()),
                arguments: "x".to_owned(),
                ..ToolCallDelta::default()
            };
            frames.push(Frame::new([ChoiceEvent { choice, event: Event::ToolCall(delta) }]));
        }
        let mut whole = llm_core::Accumulator::new();
        frames.into_iter().for_each(|frame| whole.push(frame));
        let output = whole.finish();
        let mut seen = 0;
        for part in output.choices.iter().flat_map(|choice| &choice.parts) {
            let PartContent::ToolCall(call) = &part.content else { panic!("only tool calls went in") };
            let number: usize = call.id.strip_prefix("call-").unwrap().parse().unwrap();
            prop_assert_eq!(&call.arguments, &expected[number]);
            seen += 1;
        }
        prop_assert_eq!(seen, expected.iter().filter(|arguments| !arguments.is_empty()).count());
    }
}

#[test]
fn logprobs_of_one_choice_are_joined_in_order() {
    let mut whole = llm_core::Accumulator::new();
    for token in ["a", "b"] {
        let json = Json::from_text(format!(r#"{{"content":[{{"token":"{token}","logprob":-0.50}}],"refusal":null}}"#));
        whole.push(Frame::event(Event::Logprobs(json.unwrap())));
    }
    let logprobs = whole.finish().choices[0].logprobs.clone().unwrap();
    assert_eq!(
        logprobs.get(),
        r#"{"content":[{"token":"a","logprob":-0.50},{"token":"b","logprob":-0.50}],"refusal":null}"#
    );
}
