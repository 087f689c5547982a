//! A stream as it is kept: its frames in a few blocks of memory.
//!
//! A frame by itself takes up a few hundred bytes besides what it says, and the bytes of its wire hold on to the buffer
//! that they were read into. Most frames are a piece of text; here such a frame is sixteen bytes and its text.

use bytes::Bytes;
use llm_core::{ChoiceEvent, Dialect, Event, Frame, Output, ReasoningDelta, ToolCallDelta, ToolCallKind};

use crate::weight;

/// The frames of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    text: Box<str>,
    wire: Bytes,
    dialect: Option<Dialect>,
    pieces: Box<[Piece]>,
    odd: Box<[Box<[ChoiceEvent]>]>,
}

/// A frame: where its text and its bytes end, which begin where those of the one before end.
#[derive(Clone, Copy, Debug)]
struct Piece {
    text: u32,
    wire: u32,
    choice: u16,
    says: Says,
    is_last: bool,
}

/// What a frame says about its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Text,
    Reasoning,
    /// More of the arguments of this tool call.
    Arguments(u16),
    /// Anything else: the next of the odd ones.
    Odd,
}

impl Recording {
    /// Keeps these frames, of which those that say nothing to anybody are left out. None if there are too many bytes to
    /// count.
    pub(crate) fn new<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Option<Self> {
        let (mut text, mut wire, mut dialect) = (String::new(), Vec::new(), None);
        let (mut pieces, mut odd) = (Vec::new(), Vec::new());
        for frame in frames {
            let (says, choice) = match frame.events() {
                [] if frame.wire().is_none() && !frame.is_last() => continue,
                [] => (Says::Nothing, 0),
                [only] => match plain(only) {
                    Some((says, piece, choice)) => {
                        text.push_str(piece);
                        (says, choice)
                    }
                    None => (Says::Odd, 0),
                },
                _ => (Says::Odd, 0),
            };
            if says == Says::Odd {
                odd.push(frame.events().into());
            }
            if let Some(own) = frame.wire()
                && *dialect.get_or_insert(own.dialect) == own.dialect
            {
                wire.extend_from_slice(&own.bytes);
            }
            let piece = Piece {
                text: u32::try_from(text.len()).ok()?,
                wire: u32::try_from(wire.len()).ok()?,
                choice,
                says,
                is_last: frame.is_last(),
            };
            pieces.push(piece);
        }
        // A copy, because a vector that becomes bytes keeps what it had in reserve.
        let wire = Bytes::from(wire.into_boxed_slice());
        Some(Self { text: text.into(), wire, dialect, pieces: pieces.into(), odd: odd.into() })
    }

    /// A whole answer as a stream of one event a frame.
    pub(crate) fn of_output(output: Output) -> Option<Self> {
        use futures_util::{FutureExt, StreamExt};
        let frame = llm_core::Body::full(output).next().now_or_never()??.ok()?;
        let mut frames: Vec<_> = frame.into_events().map(|event| Frame::new([event])).collect();
        frames.push(Frame::default().last());
        Self::new(&frames)
    }

    /// Reads the frames from the first.
    pub(crate) fn play(&self) -> Place {
        Place::default()
    }

    /// The next frame; none at the end.
    pub(crate) fn next(&self, place: &mut Place) -> Option<Frame> {
        let piece = self.pieces.get(place.piece)?;
        let text = &self.text[place.text..piece.text as usize];
        let wire = place.wire..piece.wire as usize;
        let one = |event| Frame::new([ChoiceEvent { choice: piece.choice.into(), event }]);
        let mut frame = match piece.says {
            Says::Nothing => Frame::default(),
            Says::Text => one(Event::Text(text.to_owned())),
            Says::Reasoning => one(Event::Reasoning(ReasoningDelta::from(text.to_owned()))),
            Says::Arguments(index) => {
                let arguments = text.to_owned();
                one(Event::ToolCall(ToolCallDelta { index: index.into(), arguments, ..ToolCallDelta::default() }))
            }
            Says::Odd => {
                place.odd += 1;
                Frame::new(self.odd[place.odd - 1].iter().cloned())
            }
        };
        if let Some(dialect) = self.dialect
            && !wire.is_empty()
        {
            frame = frame.with_wire(dialect, self.wire.slice(wire));
        }
        (place.piece, place.text, place.wire) = (place.piece + 1, piece.text as usize, piece.wire as usize);
        Some(if piece.is_last { frame.last() } else { frame })
    }

    /// How much memory it takes up besides its own few fields.
    pub(crate) fn bytes(&self) -> usize {
        let odd: usize = self.odd.iter().map(|events| weight::events(events)).sum();
        self.text.len() + self.wire.len() + size_of_val(&*self.pieces) + size_of_val(&*self.odd) + odd
    }
}

/// How far a recording has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    piece: usize,
    text: usize,
    wire: usize,
    odd: usize,
}

/// What a frame of one event says, if that is a piece of something and no more.
fn plain(item: &ChoiceEvent) -> Option<(Says, &str, u16)> {
    let choice = u16::try_from(item.choice).ok()?;
    let (says, text) = match &item.event {
        Event::Text(text) => (Says::Text, text),
        Event::Reasoning(ReasoningDelta { text, signature: None, redacted: None }) => (Says::Reasoning, text),
        Event::ToolCall(ToolCallDelta { index, id: None, name: None, arguments, kind: ToolCallKind::Function }) => {
            (Says::Arguments(u16::try_from(*index).ok()?), arguments)
        }
        Event::Reasoning(_)
        | Event::ToolCall(_)
        | Event::Start(_)
        | Event::Refusal(_)
        | Event::Logprobs(_)
        | Event::Usage(_)
        | Event::Finish(_)
        | Event::Other(_) => return None,
    };
    Some((says, text, choice))
}

#[cfg(test)]
mod tests {
    use llm_core::{
        Accumulator, ChatOutput, Choice, FinishReason, Json, Other, Part, PartContent, Start, ToolCall, Usage,
    };
    use proptest::prelude::*;

    use super::*;

    fn played(recording: &Recording) -> Vec<Frame> {
        let mut place = recording.play();
        std::iter::from_fn(|| recording.next(&mut place)).collect()
    }

    #[test]
    fn a_usual_frame_takes_sixteen_bytes_and_its_text() {
        assert_eq!(size_of::<Piece>(), 16);
        let frames: Vec<_> = (0..100).map(|_| Frame::text("word ")).collect();
        assert_eq!(Recording::new(&frames).unwrap().bytes(), 100 * (16 + 5));
    }

    #[test]
    fn bytes_do_not_hold_on_to_the_buffer_they_came_in() {
        let buffer = Bytes::from(vec![b'x'; 100_000]);
        let frame = Frame::text("a").with_wire(Dialect::OpenAi, buffer.slice(10..20));
        let recording = Recording::new([&frame]).unwrap();
        drop(frame);
        assert!(buffer.try_into_mut().is_ok(), "nobody else holds the buffer");
        assert_eq!(played(&recording)[0].wire().unwrap().bytes.len(), 10);
    }

    #[test]
    fn pings_are_left_out_and_frames_with_bytes_are_not() {
        let pinged = Frame::default().with_wire(Dialect::OpenAi, Bytes::from_static(b": hi\n\n"));
        let frames = [Frame::default(), pinged.clone(), Frame::default().last()];
        assert_eq!(played(&Recording::new(&frames).unwrap()), [pinged, Frame::default().last()]);
    }

    #[test]
    fn a_whole_answer_becomes_a_stream_that_says_the_same() {
        let call = ToolCall::function("call_1", "look", r#"{"at":"sky"}"#);
        let choice = Choice {
            parts: vec![Part::text("Blue."), PartContent::ToolCall(call).into()],
            finish: Some(FinishReason::ToolCalls),
            ..Choice::default()
        };
        let output = ChatOutput { choices: vec![choice], usage: Some(Usage::reported(3, 4)), ..ChatOutput::default() };
        let frames = played(&Recording::of_output(Output::Chat(output.clone())).unwrap());
        assert!(frames.len() > 4 && frames.iter().all(|frame| frame.events().len() <= 1));
        let mut whole = Accumulator::new();
        frames.into_iter().for_each(|frame| whole.push(frame));
        assert_eq!(whole.finish(), output);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let text = || "[a-cé]{0,4}";
        let delta = (0..3_u32, proptest::option::of("id"), proptest::option::of("name"), text(), any::<bool>());
        prop_oneof![
            text().prop_map(Event::Text),
            text().prop_map(Event::Refusal),
            (text(), proptest::option::of("s"), proptest::option::of("r")).prop_map(|(text, signature, redacted)| {
                Event::Reasoning(ReasoningDelta { text, signature, redacted })
            }),
            delta.prop_map(|(index, id, name, arguments, is_custom)| {
                let kind = if is_custom { ToolCallKind::Custom } else { ToolCallKind::Function };
                Event::ToolCall(ToolCallDelta { index: index * 40_000, id, name, arguments, kind })
            }),
            Just(Event::Start(Start { id: Some("1".into()), ..Start::default() })),
            Just(Event::Logprobs(Json::from_text("[1]").unwrap())),
            Just(Event::Usage(Usage::reported(1, 2))),
            Just(Event::Finish(FinishReason::Stop)),
            Just(Event::Other(Other { kind: "x".into(), json: Json::from_text("{}").unwrap() })),
        ]
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let choice = prop_oneof![Just(0_u32), Just(1), Just(100_000)];
        let item = (choice, any_event()).prop_map(|(choice, event)| ChoiceEvent { choice, event });
        let events = proptest::collection::vec(item, 0..3);
        (events, proptest::option::of("[xy]{1,4}"), any::<bool>()).prop_map(|(events, wire, is_last)| {
            let mut frame = Frame::new(events);
            if let Some(wire) = wire {
                frame = frame.with_wire(Dialect::Anthropic, Bytes::from(wire));
            }
            if is_last { frame.last() } else { frame }
        })
    }

    proptest! {
        #[test]
        fn what_was_kept_is_what_was_said(frames in proptest::collection::vec(any_frame(), 0..12)) {
            let said: Vec<_> = frames.iter().filter(|frame| **frame != Frame::default()).cloned().collect();
            prop_assert_eq!(played(&Recording::new(&frames).unwrap()), said);
        }
    }
}
