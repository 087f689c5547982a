//! Stream frames, written.

use std::{fmt, sync::Arc};

use bytes::BytesMut;
use llm_core::{CallId, Dialect, Error, Event, FinishReason, Frame, Head, LlmRequest, Start, Usage};

use super::{
    answer_encode::{Stamp, stop_reason, unsaid_finish},
    error::write_error,
    finish::STOP_SEQUENCE,
    stream_blocks::Blocks,
    usage::encode_usage,
};
use crate::{json::ObjectWriter, sse};

/// Writes an answer as the stream that this dialect's readers expect.
///
/// A frame that came off a wire of this dialect is written as it came. All others are written from their events, as
/// blocks that come one after the other: of tool calls that another dialect mixes, the first one goes out as it comes,
/// and the others when it is whole. Why the answer ended and what it used are one event here, which waits for the end
/// of the stream. There is only one choice; events of others, and [`Event::Other`], have no place and are left out.
///
/// Of the request it keeps no more than a few words, so that no prompt is held in memory while its answer streams.
pub struct StreamEncoder {
    call: CallId,
    asked_model: Arc<str>,
    // What head and stream say of the answer, until it is written.
    start: Start,
    has_started: bool,
    blocks: Blocks,
    usage: Usage,
    finish: Option<FinishReason>,
    stop_sequence: Option<llm_core::Json>,
    // The frames so far came off a wire, and where the last of them stands.
    passed: Option<Passed>,
    is_over: bool,
    scratch: BytesMut,
}

/// How far a stream has come that is passed on as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// The blocks that have begun.
    pub(super) begun: u32,
    /// Whether the last of them has not ended.
    pub(super) is_open: bool,
    /// Whether `message_delta` has been passed on.
    pub(super) has_ended: bool,
}

impl StreamEncoder {
    /// An encoder for the answer to `request`.
    pub fn new(head: &Head, request: &LlmRequest) -> Self {
        let call = request.context().id();
        Self {
            call,
            asked_model: request.model().into(),
            start: Start { id: head.id.clone(), model: head.model.clone(), created: None },
            has_started: false,
            blocks: Blocks::new(call),
            usage: Usage::default(),
            finish: None,
            stop_sequence: None,
            passed: None,
            is_over: false,
            scratch: BytesMut::new(),
        }
    }

    /// Writes a frame. After the end of the stream nothing is written any more.
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        match frame.wire().filter(|wire| wire.dialect == Dialect::Anthropic) {
            Some(wire) => self.pass_on(frame, &wire.bytes, out),
            None => {
                for item in frame.events().iter().filter(|item| item.choice == 0) {
                    self.encode_event(&item.event, out);
                }
                // Not before: what this frame says of the input belongs into it.
                if frame.events().iter().any(|item| matches!(item.event, Event::Start(_))) {
                    self.begin(out);
                }
                if frame.is_last() {
                    self.finish(out);
                }
            }
        }
    }

    /// Ends the stream, unless it has ended: what is held back, why it ended, what it used, and `message_stop`.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        self.begin(out);
        self.blocks.finish(&mut self.scratch, out);
        if !self.passed.is_some_and(|passed| passed.has_ended) {
            self.write_end(out);
        }
        self.is_over = true;
        sse::encode(Some("message_stop"), br#"{"type":"message_stop"}"#, out);
    }

    /// Ends the stream with an error, unless it has ended. No `message_stop` follows, so that nobody can take what came
    /// before for a whole answer.
    pub fn fail(&mut self, error: &Error, out: &mut BytesMut) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        self.scratch.clear();
        write_error(error, None, &mut self.scratch);
        sse::encode(Some("error"), &self.scratch, out);
    }

    fn pass_on(&mut self, frame: &Frame, bytes: &[u8], out: &mut BytesMut) {
        // Should a later frame of this stream have to be written from its events, it must fit what went before.
        let passed = self.passed.get_or_insert_default();
        if names_event(bytes, b"content_block_start") {
            (passed.begun, passed.is_open) = (passed.begun + 1, true);
        } else if names_event(bytes, b"content_block_stop") {
            passed.is_open = false;
        } else if names_event(bytes, b"message_delta") {
            passed.has_ended = true;
        }
        let lacks_end = frame.is_last() && !passed.has_ended && self.finish.is_some();
        self.has_started = true;
        self.is_over = frame.is_last();
        if lacks_end {
            self.write_end(out);
        }
        out.extend_from_slice(bytes);
    }

    fn encode_event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start(start) => {
                self.start.id = start.id.clone().or(self.start.id.take());
                self.start.model = start.model.clone().or(self.start.model.take());
            }
            Event::Usage(usage) => self.usage.merge(usage),
            Event::Finish(reason) => {
                self.finish.get_or_insert_with(|| reason.clone());
            }
            Event::Other(other) if other.kind == STOP_SEQUENCE => self.stop_sequence = Some(other.json.clone()),
            Event::Other(_) | Event::Logprobs(_) => {}
            Event::Text(_) | Event::Refusal(_) | Event::Reasoning(_) | Event::ToolCall(_) => {
                self.begin(out);
                match self.passed {
                    Some(passed) => self.blocks.amend(event, passed, &mut self.scratch, out),
                    None => self.blocks.push(event, &mut self.scratch, out),
                }
            }
        }
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        self.scratch.clear();
        let mut data = ObjectWriter::begin(&mut self.scratch);
        data.field("type", "message_start");
        let mut message = data.object("message");
        Stamp::new(&self.start, self.call, &self.asked_model).write(&mut message);
        message.raw("content", "[]");
        message.raw("stop_reason", "null");
        message.raw("stop_sequence", "null");
        encode_usage(&Usage { output: 0, reasoning: 0, ..self.usage }, message.object("usage"));
        message.end();
        data.end();
        sse::encode(Some("message_start"), &self.scratch, out);
    }

    fn write_end(&mut self, out: &mut BytesMut) {
        self.scratch.clear();
        let mut data = ObjectWriter::begin(&mut self.scratch);
        data.field("type", "message_delta");
        let mut delta = data.object("delta");
        let finish = self.finish.take().unwrap_or(unsaid_finish(self.blocks.has_called()));
        let reason = stop_reason(&finish, self.stop_sequence.is_some(), self.blocks.has_refused());
        delta.field("stop_reason", reason);
        delta.field("stop_sequence", &self.stop_sequence);
        delta.end();
        encode_usage(&self.usage, data.object("usage"));
        data.end();
        sse::encode(Some("message_delta"), &self.scratch, out);
    }
}

/// Whether a frame begins with the name of this event, as the provider writes it.
fn names_event(bytes: &[u8], name: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"event:") else { return false };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r"))
}

impl fmt::Debug for StreamEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEncoder")
            .field("start", &self.start)
            .field("has_started", &self.has_started)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
