//! Stream frames, written.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::BytesMut;
use llm_core::{
    CallId, ChoiceEvent, Dialect, Error, Event, Extra, FinishReason, Frame, Head, LlmRequest, Payload, Reasoning,
    ReasoningDelta, Start, ToolCallDelta, ToolCallKind, Usage,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    answer_encode::{Stamp, invented_call_id},
    error::write_error,
    finish::encode_finish,
    reasoning::encode_detail,
    tool::kind_names,
    usage::encode_usage,
};
use crate::{
    json::{ArrayWriter, ObjectWriter},
    sse,
};

/// Writes an answer as the stream that this dialect's readers expect.
///
/// A frame that came off a wire of this dialect is written as it came, but for a chunk that only reports usage to a
/// caller who did not ask for it: many clients take `choices[0]` of every chunk. All other frames are written from
/// their events; a caller who did not ask for usage never gets a chunk without choices from them.
/// [`Event::Other`] has no place in this dialect and is left out.
///
/// Of the request it keeps no more than a few words, so that no prompt is held in memory while its answer streams.
pub struct StreamEncoder {
    call: CallId,
    asked_model: Arc<str>,
    // What head and stream say of the answer; settled in `stamp` when the first chunk is written.
    start: Start,
    stamp: Option<Stamp>,
    wants_usage: bool,
    // Reported by events and not written yet.
    usage: Option<Usage>,
    begun: BTreeMap<u32, Begun>,
    is_over: bool,
    scratch: BytesMut,
}

/// A choice that has begun.
#[derive(Default)]
struct Begun {
    /// Its tool calls, by their index.
    calls: BTreeMap<u32, BegunCall>,
    /// The text of the reasoning that goes on: a signature is over all of it, and is written with all of it.
    thought: String,
    /// How many pieces of reasoning were signed or encrypted.
    details: u32,
}

impl Begun {
    /// Writes `reasoning_details` if a piece of reasoning ends with this event.
    fn write_details(&mut self, event: &ReasoningDelta, delta: &mut ObjectWriter<'_>) {
        self.thought.push_str(&event.text);
        let ReasoningDelta { text: _, signature, redacted } = event.clone();
        if signature.is_none() && redacted.is_none() {
            return;
        }
        let text = std::mem::take(&mut self.thought);
        let mut list = delta.array("reasoning_details");
        encode_detail(&Reasoning { text, signature, redacted }, &Extra::new(), self.details, &mut list);
        list.end();
        self.details += 1;
    }
}

/// A tool call that has begun. Readers join what fragments say, so its name is said once, if late.
struct BegunCall {
    kind: ToolCallKind,
    has_name: bool,
}

impl BegunCall {
    fn new(kind: ToolCallKind) -> Self {
        Self { kind, has_name: false }
    }

    /// The name of this fragment if no fragment before it had one.
    fn first_name<'d>(&mut self, delta: &'d ToolCallDelta) -> Option<&'d String> {
        let name = delta.name.as_ref().filter(|name| !name.is_empty() && !self.has_name)?;
        self.has_name = true;
        Some(name)
    }
}

impl StreamEncoder {
    /// An encoder for the answer to `request`.
    pub fn new(head: &Head, request: &LlmRequest) -> Self {
        let wants_usage = match request.payload() {
            Payload::Chat(chat) => chat.include_usage,
            Payload::Embed(_) | Payload::CountTokens(_) => false,
        };
        Self {
            call: request.context().id(),
            asked_model: request.model().into(),
            start: Start { id: head.id.clone(), model: head.model.clone(), created: head.created },
            stamp: None,
            wants_usage,
            usage: None,
            begun: BTreeMap::new(),
            is_over: false,
            scratch: BytesMut::new(),
        }
    }

    /// Writes a frame. After the end of the stream nothing is written any more.
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        match frame.wire().filter(|wire| wire.dialect == Dialect::OpenAi) {
            Some(wire) => self.pass_on(frame, &wire.bytes, out),
            None => {
                for group in frame.events().chunk_by(fit_one_chunk) {
                    self.encode_group(group, out);
                }
                if frame.is_last() {
                    self.finish(out);
                }
            }
        }
    }

    /// Ends the stream, unless it has ended: with the usage report if the caller asked for one and has none yet, and
    /// `data: [DONE]`.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        self.write_usage(out);
        self.is_over = true;
        sse::encode(None, b"[DONE]", out);
    }

    /// Ends the stream with an error, unless it has ended. No terminator follows, so that nobody can take what came
    /// before for a whole answer.
    pub fn fail(&mut self, error: &Error, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        self.scratch.clear();
        let mut body = ObjectWriter::begin(&mut self.scratch);
        write_error(error, body.object("error"));
        body.end();
        sse::encode(None, &self.scratch, out);
    }

    fn pass_on(&mut self, frame: &Frame, bytes: &[u8], out: &mut BytesMut) {
        if !self.wants_usage && is_bare_usage(frame, bytes) {
            return;
        }
        // Should a later frame of this stream have to be written from its events, it must fit what went before.
        for ChoiceEvent { choice, event } in frame.events() {
            match event {
                Event::Start(start) => self.see_start(start),
                Event::ToolCall(delta) => {
                    let begun = self.begun.entry(*choice).or_default();
                    begun.calls.entry(delta.index).or_insert_with(|| BegunCall::new(delta.kind)).first_name(delta);
                }
                Event::Usage(_) => self.usage = None,
                Event::Text(_) | Event::Reasoning(_) | Event::Refusal(_) | Event::Logprobs(_) | Event::Finish(_) => {
                    self.begun.entry(*choice).or_default();
                }
                Event::Other(_) => {}
            }
        }
        if frame.is_last() {
            self.write_usage(out);
            self.is_over = true;
        }
        out.extend_from_slice(bytes);
    }

    fn see_start(&mut self, start: &Start) {
        let known = &mut self.start;
        known.id = start.id.clone().or(known.id.take());
        known.model = start.model.clone().or(known.model.take());
        known.created = start.created.or(known.created);
    }

    fn encode_group(&mut self, group: &[ChoiceEvent], out: &mut BytesMut) {
        let [ChoiceEvent { choice, event }, ..] = group else { return };
        let choice = *choice;
        match event {
            Event::Start(start) => {
                self.see_start(start);
                if !self.begun.contains_key(&choice) {
                    self.write_choice(choice, &[], None, out);
                }
            }
            Event::Usage(usage) if self.wants_usage => self.usage.get_or_insert_default().merge(usage),
            Event::Usage(_) | Event::Other(_) => {}
            Event::Reasoning(delta) if says_nothing(delta) => {}
            Event::Finish(reason) => self.write_choice(choice, &[], Some(reason), out),
            Event::Text(_) | Event::Reasoning(_) | Event::Refusal(_) | Event::ToolCall(_) | Event::Logprobs(_) => {
                self.write_choice(choice, group, None, out);
            }
        }
    }

    fn write_usage(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.take() {
            self.write_chunk(Some(&usage), out, |_, choices| choices.end());
        }
    }

    fn write_choice(&mut self, index: u32, events: &[ChoiceEvent], finish: Option<&FinishReason>, out: &mut BytesMut) {
        self.write_chunk(None, out, |encoder, mut choices| {
            let mut choice = choices.object();
            choice.field("index", &index);
            let mut delta = choice.object("delta");
            if !encoder.begun.contains_key(&index) {
                delta.field("role", "assistant");
                if events.is_empty() {
                    delta.field("content", "");
                }
            }
            let begun = encoder.begun.entry(index).or_default();
            write_delta(events, begun, encoder.call, &mut delta);
            delta.end();
            let logprobs = events.iter().find_map(|item| match &item.event {
                Event::Logprobs(json) => Some(json),
                _ => None,
            });
            choice.field("logprobs", &logprobs);
            choice.field("finish_reason", &finish.map(encode_finish));
            choice.end();
            choices.end();
        });
    }

    fn write_chunk(
        &mut self,
        usage: Option<&Usage>,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut Self, ArrayWriter<'_>),
    ) {
        let stamp = self.stamp.take().unwrap_or_else(|| Stamp::new(self.start.clone(), self.call, &self.asked_model));
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let mut chunk = ObjectWriter::begin(&mut scratch);
        stamp.write("chat.completion.chunk", &mut chunk);
        fill(self, chunk.array("choices"));
        match usage {
            Some(usage) => encode_usage(usage, chunk.object("usage")),
            None if self.wants_usage => chunk.raw("usage", "null"),
            None => {}
        }
        chunk.end();
        sse::encode(None, &scratch, out);
        self.scratch = scratch;
        self.stamp = Some(stamp);
    }
}

impl fmt::Debug for StreamEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEncoder")
            .field("start", &self.start)
            .field("choices", &self.begun.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

fn says_nothing(delta: &ReasoningDelta) -> bool {
    delta.text.is_empty() && delta.signature.is_none() && delta.redacted.is_none()
}

/// The order of the fields of a delta; what comes in this order fits one chunk.
fn rank(event: &Event) -> Option<u8> {
    match event {
        Event::Reasoning(delta) if says_nothing(delta) => None,
        Event::Reasoning(_) => Some(0),
        Event::Text(_) => Some(1),
        Event::Refusal(_) => Some(2),
        Event::ToolCall(_) => Some(3),
        Event::Logprobs(_) => Some(4),
        Event::Start(_) | Event::Usage(_) | Event::Finish(_) | Event::Other(_) => None,
    }
}

fn fit_one_chunk(first: &ChoiceEvent, second: &ChoiceEvent) -> bool {
    let is_ordered = match (rank(&first.event), rank(&second.event)) {
        (Some(first), Some(second)) => first < second,
        _ => false,
    };
    first.choice == second.choice && is_ordered
}

fn write_delta(events: &[ChoiceEvent], begun: &mut Begun, call: CallId, delta: &mut ObjectWriter<'_>) {
    for ChoiceEvent { choice, event } in events {
        // Whatever is said after it ends a piece of reasoning, whether or not it was signed.
        if !matches!(event, Event::Reasoning(_) | Event::Logprobs(_)) {
            begun.thought.clear();
        }
        match event {
            Event::Text(text) => delta.field("content", text),
            Event::Refusal(text) => delta.field("refusal", text),
            Event::Reasoning(reasoning) => {
                delta.optional("reasoning_content", Some(&reasoning.text).filter(|text| !text.is_empty()));
                begun.write_details(reasoning, delta);
            }
            Event::ToolCall(tool_call) => {
                let mut list = delta.array("tool_calls");
                let id = || invented_call_id(call, *choice, tool_call.index);
                write_tool_call(tool_call, begun, id, list.object());
                list.end();
            }
            // Logprobs stand beside the delta, the others in chunks of their own.
            Event::Logprobs(_) | Event::Start(_) | Event::Usage(_) | Event::Finish(_) | Event::Other(_) => {}
        }
    }
}

fn write_tool_call(
    call: &ToolCallDelta,
    begun: &mut Begun,
    invent_id: impl FnOnce() -> String,
    mut object: ObjectWriter<'_>,
) {
    let is_first = !begun.calls.contains_key(&call.index);
    let known = begun.calls.entry(call.index).or_insert_with(|| BegunCall::new(call.kind));
    let (kind, text_name) = kind_names(known.kind);
    object.field("index", &call.index);
    if is_first {
        let id = call.id.clone().filter(|id| !id.is_empty());
        object.field("id", &id.unwrap_or_else(invent_id));
        object.field("type", kind);
    }
    let mut nested = object.object(kind);
    nested.optional("name", known.first_name(call));
    nested.field(text_name, &call.arguments);
    nested.end();
    object.end();
}

/// Whether the frame is a chunk without choices that only reports usage.
fn is_bare_usage(frame: &Frame, bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow, default)]
        choices: Option<Vec<&'a RawValue>>,
    }
    let is_usage = |item: &ChoiceEvent| matches!(item.event, Event::Usage(_));
    let is_passive = |item: &ChoiceEvent| matches!(item.event, Event::Usage(_) | Event::Start(_));
    if !(frame.events().iter().any(is_usage) && frame.events().iter().all(is_passive)) {
        return false;
    }
    let mut decoder = sse::Decoder::new();
    decoder.push(bytes::Bytes::copy_from_slice(bytes));
    let Ok(Some(sse::Frame { data: Some(data), .. })) = decoder.next_frame() else { return false };
    serde_json::from_slice::<Chunk<'_>>(&data).is_ok_and(|chunk| chunk.choices.is_none_or(|choices| choices.is_empty()))
}
