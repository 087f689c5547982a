//! Streams of Anthropic's dialect, as they are read and as they are written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::{
    Accumulator, ChatOutput, ChoiceEvent, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmRequest, PartContent,
    ReasoningDelta, ToolCallDelta, Usage,
};
use llm_wire::{
    anthropic::{StreamDecoder, StreamEncoder},
    openai, sse,
};

mod fixtures;

fn read(name: &str) -> Vec<u8> {
    fixtures::read(&format!("anthropic/{name}.sse"))
}

/// The frames of a stream until its end or its error.
fn hear(bytes: &[u8]) -> (Vec<Frame>, Option<Error>) {
    hear_pieces(&[bytes])
}

fn hear_pieces(pieces: &[&[u8]]) -> (Vec<Frame>, Option<Error>) {
    let (mut cutter, mut decoder, mut frames) = (sse::Decoder::new(), StreamDecoder::new(), Vec::new());
    for piece in pieces {
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            match decoder.decode(frame) {
                Ok(frame) => frames.push(frame),
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn whole(frames: &[Frame]) -> ChatOutput {
    let mut whole = Accumulator::new();
    frames.iter().cloned().for_each(|frame| whole.push(frame));
    whole.finish()
}

/// The parts of the answer in a line each, its finish, and its usage.
fn told(output: &ChatOutput) -> (Vec<String>, Option<FinishReason>, Option<Usage>) {
    let choice = output.choices.first();
    let tell = |part: &llm_core::Part| match &part.content {
        PartContent::Text(text) => text.clone(),
        PartContent::Reasoning(reasoning) => {
            format!("({} {:?} {:?})", reasoning.text, reasoning.signature, reasoning.redacted)
        }
        PartContent::ToolCall(call) => format!("{}:{}{}", call.id, call.name, call.arguments),
        other => format!("{other:?}"),
    };
    let parts = choice.into_iter().flat_map(|choice| &choice.parts).map(tell).collect();
    (parts, choice.and_then(|choice| choice.finish.clone()), output.usage)
}

#[test]
fn text_comes_in_pieces_and_pings_say_nothing() {
    let (frames, error) = hear(&read("text"));
    assert!(error.is_none() && frames.last().unwrap().is_last());
    let output = whole(&frames);
    let start = &output.start;
    assert_eq!((start.id.as_deref(), start.model.as_deref()), (Some("msg_01"), Some("claude-sonnet-5")));
    let usage = Usage::reported(15, 12);
    assert_eq!(told(&output), (vec!["Hello, Wörld 🌍".into()], Some(FinishReason::Stop), Some(usage)));
    assert_eq!(frames.iter().filter(|frame| frame.is_content()).count(), 2);
}

#[test]
fn tool_calls_are_numbered_and_one_without_arguments_has_an_object() {
    let (frames, _) = hear(&read("tools"));
    let parts =
        vec!["I will look.".into(), "toolu_a:get_weather{\"city\":\"Oslo\"}".into(), "toolu_b:get_time{}".into()];
    assert_eq!(told(&whole(&frames)), (parts, Some(FinishReason::ToolCalls), Some(Usage::reported(15, 60))));
}

#[test]
fn thinking_keeps_its_signature_and_what_is_encrypted() {
    let (frames, _) = hear(&read("thinking"));
    let parts =
        vec!["(Two and two. Some(\"c2lnbmVk\") None)".into(), "( None Some(\"b3BhcXVl\"))".into(), "Four.".into()];
    let usage = Usage { reasoning: 31, ..Usage::reported(15, 40) };
    assert_eq!(told(&whole(&frames)), (parts, Some(FinishReason::Stop), Some(usage)));
}

#[test]
fn usage_is_overlaid_and_includes_what_was_cached() {
    let usage = |name| whole(&hear(&read(name)).0).usage.unwrap();
    let cached = Usage { cache_read: 2000, cache_write: 300, cache_write_1h: 200, ..Usage::reported(2312, 34) };
    assert_eq!(usage("cached"), cached);
    assert_eq!(usage("growing_usage"), Usage::reported(1591, 88));
    assert_eq!(usage("unknown_events"), Usage::reported(15, 4));
}

#[test]
fn the_placeholder_for_the_output_is_no_report() {
    let (frames, _) = hear(&read("cut"));
    assert_eq!(whole(&frames).usage, Some(Usage::reported(15, 0)));
    assert!(!frames.iter().any(Frame::is_last));
}

#[test]
fn reasons_for_the_end_have_one_meaning() {
    for (name, reason) in [
        ("refusal", FinishReason::ContentFilter),
        ("stop_sequence", FinishReason::Stop),
        ("cached", FinishReason::Length),
        ("unknown_events", FinishReason::Other("pause_turn".into())),
    ] {
        let output = whole(&hear(&read(name)).0);
        assert_eq!(output.choices[0].finish, Some(reason), "{name}");
        let met = output.choices[0].extra.get("stop_sequence").map(|json| json.get().to_owned());
        assert_eq!(met.is_some(), name == "stop_sequence", "{name}");
    }
}

#[test]
fn tools_that_run_at_the_provider_are_no_calls_of_ours() {
    let (frames, _) = hear(&read("growing_usage"));
    let is_call = |item: &ChoiceEvent| matches!(item.event, Event::ToolCall(_));
    assert!(!frames.iter().flat_map(|frame| frame.events()).any(is_call));
    assert_eq!(told(&whole(&frames)).0, ["Blue."]);
}

#[test]
fn an_error_event_is_the_providers_error() {
    for (name, content) in [("error_after_content", 1), ("error_before_content", 0)] {
        let (frames, error) = hear(&read(name));
        assert_eq!(error.unwrap().kind(), ErrorKind::Overloaded, "{name}");
        assert_eq!(frames.iter().filter(|frame| frame.is_content()).count(), content, "{name}");
    }
    // Also where the name of the event is lost on the way.
    let (_, error) = hear(b"data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no\"}}\n\n");
    assert_eq!(error.unwrap().kind(), ErrorKind::Server);
}

#[test]
fn what_is_no_event_of_this_dialect_cannot_be_read() {
    for data in ["{", "[]", "7", "{\"choices\":[]}", "{\"type\":\"content_block_start\",\"index\":0}", "[DONE]"] {
        let (_, error) = hear(format!("data: {data}\n\n").as_bytes());
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Undecodable), "{data}");
    }
}

#[test]
fn more_open_blocks_or_tool_calls_than_make_sense_are_refused() {
    let mut stream = String::new();
    for index in 0..2_000 {
        stream.push_str(&format!(
            "data: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"text\"}}}}\n\n"
        ));
    }
    assert_eq!(hear(stream.as_bytes()).1.unwrap().kind(), ErrorKind::Undecodable);
    let calls: String = (0..2_000)
        .map(|_| {
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n"
        })
        .collect();
    let (frames, error) = hear(calls.as_bytes());
    assert_eq!((frames.len(), error.unwrap().kind()), (1024, ErrorKind::Undecodable));
}

#[test]
fn events_of_tomorrow_may_have_any_shape() {
    let odd = "event: new_thing\ndata: {\"type\":\"new_thing\",\"message\":\"hello\",\"delta\":7}\n\n";
    let (frames, error) = hear(odd.as_bytes());
    assert!(error.is_none() && frames[0].events().is_empty());
    let (_, error) = hear(b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":7}\n\n");
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Undecodable), "known ones may not");
}

#[test]
fn an_empty_input_is_no_arguments_however_it_is_spelled() {
    let block = r#"{"type":"tool_use","id":"a","name":"f","input":{ }}"#;
    let stream = format!(
        "data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{block}}}\n\n\
         data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"partial_json\":\"{{\\\"a\\\":1}}\"}}}}\n\n"
    );
    let (frames, error) = hear(stream.as_bytes());
    assert!(error.is_none());
    assert_eq!(told(&whole(&frames)).0, ["a:f{\"a\":1}"]);
}

#[test]
fn an_answer_that_does_not_say_why_it_ended_gets_the_reason_that_it_shows() {
    for (frame, reason) in [(call(0, Some("a"), "{}"), "tool_use"), (Frame::text("Hi"), "end_turn")] {
        let written = write(&[frame, Frame::default().last()]);
        assert!(written.contains(&format!(r#""stop_reason":"{reason}""#)), "{written}");
    }
}

#[test]
fn a_call_that_never_ends_holds_back_no_more_than_a_little() {
    let mut frames = vec![call(0, Some("a"), "{")];
    let thought = || Frame::event(Event::Reasoning(ReasoningDelta::from("hm".to_owned())));
    frames.extend((0..2_000).flat_map(|_| [Frame::text("x"), thought()]));
    let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request()), BytesMut::new());
    frames.iter().for_each(|frame| encoder.encode(frame, &mut out));
    let written = String::from_utf8(out.to_vec()).unwrap();
    assert!(written.matches("content_block_stop").count() > 3_000 * 2, "names and types of the events");
}

#[test]
fn half_a_character_does_not_lose_the_frame() {
    let frame = r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\ud83d"}}"#;
    let (frames, error) = hear(format!("{frame}\n\n").as_bytes());
    assert!(error.is_none());
    assert_eq!(told(&whole(&frames)).0, ["a\u{fffd}"]);
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    for (name, bytes) in fixtures::anthropic_streams() {
        let (frames, error) = hear(&bytes);
        let kind = error.map(|error| error.kind());
        for cut in 0..bytes.len() {
            let (pieces, error) = hear_pieces(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!((&pieces, error.map(|error| error.kind())), (&frames, kind), "{name} at {cut}");
        }
    }
}

fn request() -> LlmRequest {
    LlmRequest::chat("claude-x").user("hi").stream().build()
}

fn write(frames: &[Frame]) -> String {
    let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request()), BytesMut::new());
    frames.iter().for_each(|frame| encoder.encode(frame, &mut out));
    encoder.finish(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// The frames without their bytes, as a layer leaves them that has changed each, or as another dialect's.
fn without_bytes(frames: &[Frame]) -> Vec<Frame> {
    let strip = |frame: &Frame| {
        let bare = Frame::new(frame.events().to_vec());
        if frame.is_last() { bare.last() } else { bare }
    };
    frames.iter().map(strip).collect()
}

#[test]
fn own_frames_are_passed_on_byte_for_byte() {
    for (name, bytes) in fixtures::anthropic_streams() {
        let (frames, error) = hear(&bytes);
        if error.is_none() && frames.last().unwrap().is_last() {
            assert_eq!(write(&frames).as_bytes(), bytes, "{name}");
        }
    }
}

#[test]
fn what_is_written_from_events_is_read_as_the_same() {
    for (name, bytes) in fixtures::anthropic_streams() {
        let (frames, error) = hear(&bytes);
        if error.is_some() || !frames.last().unwrap().is_last() {
            continue;
        }
        let written = write(&without_bytes(&frames));
        let (again, error) = hear(written.as_bytes());
        assert!(error.is_none() && again.last().unwrap().is_last(), "{name}: {written}");
        let (mut known, again) = (whole(&frames), whole(&again));
        // Blocks of kinds without events are known to this dialect's bytes only.
        known.choices.iter_mut().for_each(|choice| {
            let kept = choice.extra.get("stop_sequence").cloned();
            choice.extra = Default::default();
            kept.into_iter().for_each(|json| choice.extra.insert("stop_sequence", json));
        });
        assert_eq!(again, known, "{name}: {written}");
    }
}

#[test]
fn a_stream_has_the_order_that_readers_expect() {
    let frames = [
        Frame::event(Event::Start(Default::default())),
        Frame::text("Hi"),
        Frame::event(Event::Usage(Usage { cache_read: 3, ..Usage::reported(10, 2) })),
        Frame::event(Event::Finish(FinishReason::Stop)),
        Frame::default().last(),
    ];
    let written = write(&frames);
    let events: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let order = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(events, order);
    assert!(
        written.contains(r#""usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":3"#)
    );
    assert!(written.contains(r#""id":"msg_"#) && written.contains(r#""model":"claude-x""#));
}

fn call(index: u32, id: Option<&str>, arguments: &str) -> Frame {
    let name = id.map(|_| "f".to_owned());
    let id = id.map(str::to_owned);
    Frame::event(Event::ToolCall(ToolCallDelta {
        index,
        id,
        name,
        arguments: arguments.to_owned(),
        ..Default::default()
    }))
}

#[test]
fn tool_calls_that_are_mixed_come_one_after_the_other() {
    let frames = [
        call(0, Some("a"), ""),
        call(1, Some("b"), ""),
        call(0, None, "{\"x\":"),
        call(1, None, "{\"y\":"),
        call(0, None, "1}"),
        call(1, None, "2}"),
        call(2, Some("c"), ""),
        Frame::event(Event::Finish(FinishReason::ToolCalls)),
    ];
    let written = write(&frames);
    let (again, error) = hear(written.as_bytes());
    assert!(error.is_none());
    assert_eq!(told(&whole(&again)).0, ["a:f{\"x\":1}", "b:f{\"y\":2}", "c:f{}"]);
    // Blocks never overlap.
    let mut open = None;
    for line in written.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        match data["type"].as_str().unwrap() {
            "content_block_start" => assert_eq!(open.replace(data["index"].clone()), None),
            "content_block_delta" => assert_eq!(open.as_ref(), Some(&data["index"])),
            "content_block_stop" => assert_eq!(open.take(), Some(data["index"].clone())),
            _ => {}
        }
    }
}

#[test]
fn a_call_begins_with_its_name_however_late_that_comes() {
    let named = ToolCallDelta { index: 0, name: Some("f".into()), ..ToolCallDelta::default() };
    let frames = [
        call(0, None, "{\"x\""),
        Frame::text("and"),
        Frame::event(Event::ToolCall(named)),
        call(0, None, ":1}"),
        Frame::event(Event::Finish(FinishReason::ToolCalls)),
    ];
    let written = write(&frames);
    assert_eq!(written.matches(r#""name":"f""#).count(), 1, "{written}");
    let parts = told(&whole(&hear(written.as_bytes()).0)).0;
    assert!(parts[0].ends_with(":f{\"x\":1}") && parts[1] == "and", "{parts:?}");
}

#[test]
fn nothing_of_a_plain_stream_waits() {
    let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request()), BytesMut::new());
    let frames =
        [Frame::text("a"), Frame::text("b"), call(0, Some("x"), ""), call(0, None, "{\"k\""), call(0, None, ":1}")];
    for frame in &frames {
        encoder.encode(frame, &mut out);
        let written = String::from_utf8(out.split().to_vec()).unwrap();
        let last = written.lines().rfind(|line| line.starts_with("event: ")).unwrap().to_owned();
        let begins = matches!(frame.events()[0].event, Event::ToolCall(ToolCallDelta { id: Some(_), .. }));
        let expected = if begins { "event: content_block_start" } else { "event: content_block_delta" };
        assert_eq!(last, expected, "{written}");
    }
}

#[test]
fn openais_refusal_is_this_dialects_refusal() {
    let frames = [
        Frame::event(Event::Refusal("No.".into())),
        Frame::event(Event::Finish(FinishReason::Stop)),
        Frame::default().last(),
    ];
    let written = write(&frames);
    assert!(written.contains(r#""stop_reason":"refusal""#) && written.contains(r#""text":"No.""#), "{written}");
}

#[test]
fn a_failure_ends_the_stream_without_its_terminator() {
    let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request()), BytesMut::new());
    encoder.encode(&Frame::text("Hel"), &mut out);
    encoder.fail(&Error::new(ErrorKind::Overloaded, "busy"), &mut out);
    encoder.finish(&mut out);
    encoder.encode(&Frame::text("lo"), &mut out);
    let written = String::from_utf8(out.to_vec()).unwrap();
    let end =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    assert!(written.ends_with(end), "{written}");
    assert!(!written.contains("message_stop") && !written.contains("message_delta") && !written.contains("\"lo\""));
}

#[test]
fn a_frame_that_a_layer_changed_fits_into_a_stream_that_is_passed_on() {
    let (mut frames, _) = hear(&read("thinking"));
    for frame in &mut frames {
        if let Some(Event::Text(_)) = frame.events().first().map(|item| &item.event) {
            frame.events_mut()[0].event = Event::Text("Five.".into());
        }
    }
    let (again, error) = hear(write(&frames).as_bytes());
    assert!(error.is_none());
    assert_eq!(told(&whole(&again)).0[2], "Five.");
    assert_eq!(whole(&again).usage, whole(&frames).usage);

    let (mut frames, _) = hear(&read("text"));
    let end = frames.len() - 2;
    frames[end].events_mut().retain(|item| !matches!(item.event, Event::Usage(_)));
    let written = write(&frames);
    assert_eq!(written.matches("event: message_delta").count(), 1, "{written}");
    assert_eq!(told(&whole(&hear(written.as_bytes()).0)).1, Some(FinishReason::Stop));
}

#[test]
fn a_stream_without_its_terminator_gets_one_if_it_had_a_reason_to_end() {
    let (frames, _) = hear(&read("text"));
    let written = write(&frames[..frames.len() - 1]);
    assert_eq!(written.as_bytes(), read("text"), "passed on: nothing is said twice");
    let written = write(&without_bytes(&frames[..frames.len() - 1]));
    assert_eq!(written.matches("event: message_delta").count(), 1);
    assert!(written.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{written}");
}

#[test]
fn unsigned_reasoning_is_thinking_too() {
    let delta = |text: &str| Frame::event(Event::Reasoning(ReasoningDelta::from(text.to_owned())));
    let frames = [delta("Hm, "), delta("so."), Frame::text("Four."), Frame::event(Event::Finish(FinishReason::Stop))];
    let (again, _) = hear(write(&frames).as_bytes());
    assert_eq!(told(&whole(&again)).0, ["(Hm, so. None None)", "Four."]);
}

fn words(choice: &llm_core::Choice) -> String {
    let said = choice.parts.iter().filter_map(|part| match &part.content {
        PartContent::Text(text) | PartContent::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

#[test]
fn every_stream_of_openais_dialect_becomes_one_of_this() {
    for (name, bytes) in fixtures::streams() {
        let (mut cutter, mut decoder) = (sse::Decoder::new(), openai::StreamDecoder::new());
        cutter.push(Bytes::from(bytes));
        let mut frames = Vec::new();
        let mut failed = false;
        while let Some(frame) = cutter.next_frame().unwrap() {
            match decoder.decode(frame) {
                Ok(frame) => frames.push(frame),
                Err(_) => failed = true,
            }
        }
        let known = whole(&frames);
        let has_tools = |part: &llm_core::Part| matches!(part.content, PartContent::ToolCall(_));
        let is_odd = known.choices.len() != 1 || known.choices[0].finish.is_none() || failed;
        if is_odd {
            continue;
        }
        let written = write(&frames);
        let (again, error) = hear(written.as_bytes());
        assert!(error.is_none(), "{name}: {written}");
        let again = whole(&again);
        // A refusal is text here.
        assert_eq!(words(&again.choices[0]), words(&known.choices[0]), "{name}");
        let calls = |output: &ChatOutput| output.choices[0].parts.iter().filter(|part| has_tools(part)).count();
        assert_eq!(calls(&again), calls(&known), "{name}: {written}");
        if let Some(usage) = known.usage {
            let again = again.usage.unwrap();
            assert_eq!(
                (again.input, again.output, again.cache_read),
                (usage.input, usage.output, usage.cache_read),
                "{name}"
            );
        }
    }
}
