//! The blocks of a stream, written one after the other, however their pieces are mixed.

use std::collections::VecDeque;

use bytes::BytesMut;
use llm_core::{CallId, Event, ToolCallDelta};

use super::{answer_encode::invented_call_id, json_extent::JsonExtent, stream_encode::Passed, unsigned::UNSIGNED};
use crate::{json::ObjectWriter, sse};

/// The most blocks that wait for a call to be whole. The tools that a model calls at once are a dozen.
const MOST_WAITING: usize = 256;

/// Blocks that have begun and not ended. The first is being written; the others wait for it to be whole.
pub(super) struct Blocks {
    call: CallId,
    waiting: VecDeque<Block>,
    // The blocks that have been begun on the wire.
    begun: u32,
    has_refused: bool,
    // The tool calls that have begun; one that is not waiting any more is over.
    tool_calls: Vec<u32>,
}

struct Block {
    kind: Kind,
    /// Whether it has been begun on the wire.
    is_begun: bool,
    /// What has not been written of it.
    pending: String,
}

enum Kind {
    Text,
    Thinking { signature: Option<String> },
    Redacted,
    Tool { index: u32, id: Option<String>, name: Option<String>, extent: JsonExtent },
}

impl Blocks {
    pub(super) fn new(call: CallId) -> Self {
        Self { call, waiting: VecDeque::new(), begun: 0, has_refused: false, tool_calls: Vec::new() }
    }

    /// Whether a piece of a refusal has come.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Whether a tool has been called.
    pub(super) fn has_called(&self) -> bool {
        !self.tool_calls.is_empty()
    }

    /// Takes in a piece of content and writes what can be written now.
    pub(super) fn push(&mut self, event: &Event, scratch: &mut BytesMut, out: &mut BytesMut) {
        match event {
            Event::Text(text) => self.push_text(text),
            Event::Refusal(text) => {
                self.has_refused |= !text.is_empty();
                self.push_text(text);
            }
            Event::Reasoning(delta) => {
                if let Some(data) = &delta.redacted {
                    self.waiting.push_back(Block::new(Kind::Redacted, data));
                } else {
                    self.push_thinking(&delta.text, delta.signature.as_deref());
                }
            }
            Event::ToolCall(delta) => self.push_tool_call(delta),
            Event::Start(_) | Event::Logprobs(_) | Event::Usage(_) | Event::Finish(_) | Event::Other(_) => {}
        }
        self.advance(false, scratch, out);
    }

    /// Writes whatever is left.
    pub(super) fn finish(&mut self, scratch: &mut BytesMut, out: &mut BytesMut) {
        self.advance(true, scratch, out);
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.waiting.back_mut() {
            Some(Block { kind: Kind::Text, pending, .. }) => pending.push_str(text),
            _ => self.waiting.push_back(Block::new(Kind::Text, text)),
        }
    }

    fn push_thinking(&mut self, text: &str, signature: Option<&str>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let signature = signature.map(str::to_owned);
        match self.waiting.back_mut() {
            // A signature closes a block: what follows is another one.
            Some(Block { kind: Kind::Thinking { signature: known @ None }, pending, .. }) => {
                pending.push_str(text);
                *known = signature;
            }
            _ => self.waiting.push_back(Block::new(Kind::Thinking { signature }, text)),
        }
    }

    fn push_tool_call(&mut self, delta: &ToolCallDelta) {
        let known = self.waiting.iter_mut().find_map(|block| match &mut block.kind {
            Kind::Tool { index, id, name, extent } if *index == delta.index => {
                *id = id.take().or_else(|| delta.id.clone());
                *name = name.take().or_else(|| delta.name.clone());
                Some((extent, &mut block.pending))
            }
            Kind::Tool { .. } | Kind::Text | Kind::Thinking { .. } | Kind::Redacted => None,
        });
        match known {
            Some((extent, pending)) => {
                extent.add(&delta.arguments);
                pending.push_str(&delta.arguments);
            }
            // Its block has ended, so its arguments were whole: there is nothing more to say.
            None if self.tool_calls.contains(&delta.index) => {}
            None => {
                let mut extent = JsonExtent::default();
                extent.add(&delta.arguments);
                let kind = Kind::Tool { index: delta.index, id: delta.id.clone(), name: delta.name.clone(), extent };
                self.waiting.push_back(Block::new(kind, &delta.arguments));
                self.tool_calls.push(delta.index);
            }
        }
    }

    /// Writes the first block as far as it has come, and those after it as soon as it is over.
    fn advance(&mut self, is_end: bool, scratch: &mut BytesMut, out: &mut BytesMut) {
        loop {
            let is_followed = self.waiting.len() > 1;
            // A call that is not whole while so much waits for it never will be.
            let is_cut = is_end || self.waiting.len() > MOST_WAITING;
            let Some(block) = self.waiting.front_mut() else { return };
            // Readers want the name with the start of a call, and some servers send it later.
            if matches!(block.kind, Kind::Tool { name: None, .. }) && !is_cut {
                return;
            }
            if !std::mem::replace(&mut block.is_begun, true) {
                write_start(block, self.begun, self.call, scratch, out);
                self.begun += 1;
            }
            let index = self.begun - 1;
            block.write_pending(index, scratch, out);
            let is_over = match &block.kind {
                Kind::Text => is_followed,
                Kind::Thinking { signature } => is_followed || signature.is_some(),
                Kind::Redacted => true,
                Kind::Tool { extent, .. } => is_followed && extent.is_whole(),
            };
            if !(is_over || is_cut) {
                return;
            }
            if let Kind::Thinking { signature } = &block.kind {
                let signature = signature.as_deref().unwrap_or(UNSIGNED);
                write_delta(index, "signature_delta", "signature", signature, scratch, out);
            }
            write_stop(index, scratch, out);
            self.waiting.pop_front();
        }
    }

    /// Writes a piece of content into a stream that has been passed on as it came so far: somebody changed this frame.
    pub(super) fn amend(&mut self, event: &Event, passed: Passed, scratch: &mut BytesMut, out: &mut BytesMut) {
        // Without an open block there is nothing that the piece could belong to.
        let Some(index) = passed.begun.checked_sub(1).filter(|_| passed.is_open) else { return };
        match event {
            Event::Text(text) | Event::Refusal(text) => write_delta(index, "text_delta", "text", text, scratch, out),
            Event::Reasoning(delta) => {
                if !delta.text.is_empty() {
                    write_delta(index, "thinking_delta", "thinking", &delta.text, scratch, out);
                }
                if let Some(signature) = &delta.signature {
                    write_delta(index, "signature_delta", "signature", signature, scratch, out);
                }
            }
            Event::ToolCall(delta) => {
                write_delta(index, "input_json_delta", "partial_json", &delta.arguments, scratch, out);
            }
            Event::Start(_) | Event::Logprobs(_) | Event::Usage(_) | Event::Finish(_) | Event::Other(_) => {}
        }
    }
}

impl Block {
    fn new(kind: Kind, pending: &str) -> Self {
        Self { kind, is_begun: false, pending: pending.to_owned() }
    }

    fn write_pending(&mut self, index: u32, scratch: &mut BytesMut, out: &mut BytesMut) {
        let (kind, field) = match &self.kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking { .. } => ("thinking_delta", "thinking"),
            Kind::Tool { .. } => ("input_json_delta", "partial_json"),
            // It came whole with its start.
            Kind::Redacted => return,
        };
        if !self.pending.is_empty() {
            write_delta(index, kind, field, &self.pending, scratch, out);
            self.pending.clear();
        }
    }
}

fn write_start(block: &Block, index: u32, call: CallId, scratch: &mut BytesMut, out: &mut BytesMut) {
    scratch.clear();
    let mut data = ObjectWriter::begin(scratch);
    data.field("type", "content_block_start");
    data.field("index", &index);
    let mut content = data.object("content_block");
    match &block.kind {
        Kind::Text => {
            content.field("type", "text");
            content.field("text", "");
        }
        Kind::Thinking { .. } => {
            content.field("type", "thinking");
            content.field("thinking", "");
            content.field("signature", "");
        }
        Kind::Redacted => {
            content.field("type", "redacted_thinking");
            content.field("data", &block.pending);
        }
        Kind::Tool { index, id, name, extent: _ } => {
            content.field("type", "tool_use");
            let id = id.clone().filter(|id| !id.is_empty());
            content.field("id", &id.unwrap_or_else(|| invented_call_id(call, *index)));
            content.field("name", name.as_deref().unwrap_or_default());
            content.raw("input", "{}");
        }
    }
    content.end();
    data.end();
    sse::encode(Some("content_block_start"), scratch, out);
}

fn write_delta(index: u32, kind: &str, field: &str, text: &str, scratch: &mut BytesMut, out: &mut BytesMut) {
    scratch.clear();
    let mut data = ObjectWriter::begin(scratch);
    data.field("type", "content_block_delta");
    data.field("index", &index);
    let mut delta = data.object("delta");
    delta.field("type", kind);
    delta.field(field, text);
    delta.end();
    data.end();
    sse::encode(Some("content_block_delta"), scratch, out);
}

fn write_stop(index: u32, scratch: &mut BytesMut, out: &mut BytesMut) {
    scratch.clear();
    let mut data = ObjectWriter::begin(scratch);
    data.field("type", "content_block_stop");
    data.field("index", &index);
    data.end();
    sse::encode(Some("content_block_stop"), scratch, out);
}
