//! Stream frames, read.

use std::{borrow::Cow, sync::Arc};

use llm_core::{
    Dialect, Error, ErrorKind, Event, Frame, Json, Other, ReasoningDelta, Start, ToolCallDelta, ToolCallKind,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    finish::{STOP_SEQUENCE, decode_finish},
    unsigned::given,
    usage::Report,
};
use crate::{
    json::{said, without_lone_surrogates},
    sse,
    stream_error::{error_event, frame_error, undecodable},
};

/// The most blocks that may be open at once. They come one after the other.
const MAX_OPEN: usize = 64;

/// The most tool calls of an answer; whoever sends more means harm.
const MAX_CALLS: u32 = 1024;

/// Reads the frames of one stream, in order.
///
/// Frames of a type that is not known, pings among them, have no events; every frame carries its own bytes, so that a
/// caller of this dialect gets them all the same. `message_stop` is the [last](Frame::is_last).
#[derive(Debug, Default)]
pub struct StreamDecoder {
    usage: Report,
    is_finished: bool,
    tool_calls: u32,
    open: Vec<Open>,
}

/// A block that has begun and not ended.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking,
    Tool { index: u32, has_arguments: bool },
    Other,
}

// What may be odd is kept unread: it is taken where it makes sense, and passed over where it does not.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_sequence: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

impl StreamDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// The provider's own error where the frame is one; [`ErrorKind::Undecodable`] for a frame that is no event of this
    /// dialect. Nothing that comes after it is part of an answer.
    pub fn decode(&mut self, frame: sse::Frame) -> Result<Frame, Error> {
        let sse::Frame { bytes, event, data } = frame;
        let data = data.as_deref().unwrap_or_default().trim_ascii();
        let mut events = Frame::default();
        if event.as_deref() == Some(b"error") {
            return Err(error_event(data));
        }
        if !data.is_empty() {
            let is_last = self.decode_data(data, event.as_deref(), &mut events)?;
            if is_last {
                events = events.last();
            }
        }
        Ok(events.with_wire(Dialect::Anthropic, bytes))
    }

    /// Says whether the stream is complete with this frame.
    fn decode_data(&mut self, data: &[u8], event: Option<&[u8]>, events: &mut Frame) -> Result<bool, Error> {
        // Checked once as a whole, and not string by string.
        let text = std::str::from_utf8(data).ok();
        let Some(read) = text.and_then(|text| serde_json::from_str::<Data<'_>>(text).ok()) else {
            return match without_lone_surrogates(data) {
                Some(mended) => self.decode_data(&mended, event, events),
                None => Err(frame_error(data)),
            };
        };
        let kind = said(read.kind);
        let kind = kind.as_deref().map(str::as_bytes).or(event).ok_or_else(|| frame_error(data))?;
        match kind {
            b"message_start" => self.start(part(read.message)?, events),
            b"content_block_start" => {
                let block = read.content_block.ok_or_else(undecodable)?;
                self.begin_block(read.index.unwrap_or_default(), block, events)?;
            }
            b"content_block_delta" => {
                self.continue_block(read.index.unwrap_or_default(), part(read.delta)?, events);
            }
            b"content_block_stop" => self.end_block(read.index.unwrap_or_default(), events),
            b"message_delta" => self.end_message(part(read.delta)?, read.usage, events),
            b"message_stop" => return Ok(true),
            b"error" => return Err(frame_error(data)),
            _ => {}
        }
        Ok(false)
    }

    fn start(&mut self, message: Message<'_>, events: &mut Frame) {
        let start =
            Start { id: said(message.id).map(Arc::from), model: said(message.model).map(Arc::from), created: None };
        say(events, Event::Start(start));
        if let Some(usage) = message.usage {
            self.usage.overlay(usage.get());
            self.usage = self.usage.without_output();
            self.report(events);
        }
    }

    fn begin_block(&mut self, index: u32, raw: &RawValue, events: &mut Frame) -> Result<(), Error> {
        let block: Block<'_> = serde_json::from_str(raw.get()).map_err(|_| undecodable())?;
        let kind = said(block.kind).ok_or_else(undecodable)?;
        let kind = match &*kind {
            "text" => {
                say_text(block.text, events);
                Kind::Text
            }
            "thinking" => {
                say_thinking(block.thinking, block.signature, events);
                Kind::Thinking
            }
            "redacted_thinking" => {
                let redacted = said(block.data).map(Cow::into_owned);
                say(events, Event::Reasoning(ReasoningDelta { redacted, ..ReasoningDelta::default() }));
                Kind::Other
            }
            "tool_use" => {
                if self.tool_calls == MAX_CALLS {
                    return Err(Error::new(ErrorKind::Undecodable, "the answer has too many tool calls"));
                }
                let index = self.tool_calls;
                self.tool_calls += 1;
                // The object is empty, and its text comes in pieces, unless the whole of it is here.
                let is_empty = |input: &str| input.trim_matches(['{', '}']).trim().is_empty();
                let arguments = block.input.map(RawValue::get).filter(|input| !is_empty(input)).unwrap_or_default();
                say(
                    events,
                    Event::ToolCall(ToolCallDelta {
                        index,
                        id: said(block.id).map(Cow::into_owned),
                        name: said(block.name).map(Cow::into_owned),
                        arguments: arguments.to_owned(),
                        kind: ToolCallKind::Function,
                    }),
                );
                Kind::Tool { index, has_arguments: !arguments.is_empty() }
            }
            other => {
                say(events, Event::Other(Other { kind: other.to_owned(), json: Json::from(raw) }));
                Kind::Other
            }
        };
        if self.open.len() == MAX_OPEN {
            return Err(undecodable());
        }
        self.open.retain(|open| open.index != index);
        self.open.push(Open { index, kind });
        Ok(())
    }

    fn continue_block(&mut self, index: u32, delta: Delta<'_>, events: &mut Frame) {
        let open = self.open.iter_mut().find(|open| open.index == index);
        match open.map(|open| &mut open.kind) {
            Some(Kind::Tool { index, has_arguments }) => {
                if let Some(arguments) = said(delta.partial_json) {
                    *has_arguments = true;
                    let arguments = arguments.into_owned();
                    say(events, Event::ToolCall(ToolCallDelta { index: *index, arguments, ..Default::default() }));
                }
            }
            // A block that never began is taken for what its pieces are.
            Some(Kind::Text | Kind::Thinking) | None => {
                say_text(delta.text, events);
                say_thinking(delta.thinking, delta.signature, events);
            }
            Some(Kind::Other) => {}
        }
    }

    fn end_block(&mut self, index: u32, events: &mut Frame) {
        let Some(at) = self.open.iter().position(|open| open.index == index) else { return };
        // A call without arguments says nothing of them, and readers of other dialects want an object.
        if let Kind::Tool { index, has_arguments: false } = self.open.remove(at).kind {
            say(events, Event::ToolCall(ToolCallDelta { index, arguments: "{}".to_owned(), ..Default::default() }));
        }
    }

    fn end_message(&mut self, delta: Delta<'_>, usage: Option<&RawValue>, events: &mut Frame) {
        if let Some(usage) = usage {
            self.usage.overlay(usage.get());
            self.report(events);
        }
        if let Some(json) = delta.stop_sequence {
            say(events, Event::Other(Other { kind: STOP_SEQUENCE.to_owned(), json: Json::from(json) }));
        }
        let reason = said(delta.stop_reason).and_then(|name| decode_finish(&name));
        if let Some(reason) = reason.filter(|_| !self.is_finished) {
            self.is_finished = true;
            say(events, Event::Finish(reason));
        }
    }

    fn report(&self, events: &mut Frame) {
        if let Some(usage) = self.usage.usage() {
            say(events, Event::Usage(usage));
        }
    }
}

/// What a known event says in one of its fields; nothing if it has none.
fn part<'a, T: Default + Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Error> {
    raw.map_or_else(|| Ok(T::default()), |raw| serde_json::from_str(raw.get()).map_err(|_| undecodable()))
}

fn say(events: &mut Frame, event: Event) {
    events.events_mut().push(llm_core::ChoiceEvent { choice: 0, event });
}

fn say_text(text: Option<&RawValue>, events: &mut Frame) {
    if let Some(text) = said(text) {
        say(events, Event::Text(text.into_owned()));
    }
}

fn say_thinking(text: Option<&RawValue>, signature: Option<&RawValue>, events: &mut Frame) {
    let (text, signature) = (said(text), said(signature).and_then(given));
    if text.is_some() || signature.is_some() {
        let text = text.map(Cow::into_owned).unwrap_or_default();
        let delta = ReasoningDelta { text, signature: signature.map(Cow::into_owned), redacted: None };
        say(events, Event::Reasoning(delta));
    }
}
