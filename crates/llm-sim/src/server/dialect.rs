//! The dialects that the server speaks: all that differs between them is here.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use llm_core::{Dialect, Event, Frame, Head, LlmRequest, Output, Usage};
use llm_wire::{ModelInfo, anthropic, openai, sse};

use crate::trouble::Trouble;

/// The header that every request in Anthropic's dialect has.
pub(super) const VERSION_HEADER: &str = "anthropic-version";

/// Not JSON, and not UTF-8.
pub(super) const GARBAGE: &[u8] = b"{\"choices\":[{\"delta\":{\"content\":\xff\xfe}{";

/// The dialect of a request: told by its path, or where both have something there, by its headers.
pub(super) fn of(path: &str, headers: &HeaderMap) -> Dialect {
    match path {
        "/v1/messages" | "/v1/messages/count_tokens" => Dialect::Anthropic,
        "/v1/chat/completions" | "/v1/embeddings" => Dialect::OpenAi,
        _ if headers.contains_key(VERSION_HEADER) => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    }
}

/// The key that a request brings.
pub(super) fn secret(dialect: Dialect, headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = || text(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match dialect {
        Dialect::OpenAi => bearer(),
        Dialect::Anthropic => text("x-api-key").or_else(bearer),
    }
}

pub(super) fn encode_answer(dialect: Dialect, output: &Output, head: &Head, request: &LlmRequest) -> Bytes {
    match dialect {
        Dialect::OpenAi => openai::encode_answer(output, head, request),
        Dialect::Anthropic => anthropic::encode_answer(output, head, request),
    }
}

pub(super) fn encode_models(dialect: Dialect, models: &[ModelInfo]) -> Bytes {
    match dialect {
        Dialect::OpenAi => openai::encode_models(models),
        // All are on the first page.
        Dialect::Anthropic => anthropic::encode_models(models, false),
    }
}

pub(super) fn encode_model(dialect: Dialect, model: &ModelInfo) -> Bytes {
    match dialect {
        Dialect::OpenAi => openai::encode_model(model),
        Dialect::Anthropic => anthropic::encode_model(model),
    }
}

/// Writes a stream, what goes wrong in it included.
pub(super) enum StreamWriter {
    OpenAi(Box<openai::StreamEncoder>),
    Anthropic(Box<AnthropicWriter>),
}

/// What Anthropic's stream has besides the answer's own frames.
pub(super) struct AnthropicWriter {
    encoder: anthropic::StreamEncoder,
    request_id: String,
    /// What the first event says of the prompt.
    usage: Option<Usage>,
    has_pinged: bool,
}

impl StreamWriter {
    /// A writer of the answer to `request`, which will have used `usage` if nothing goes wrong.
    pub(super) fn new(dialect: Dialect, head: &Head, request: &LlmRequest, usage: Usage, request_id: &str) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi(Box::new(openai::StreamEncoder::new(head, request))),
            Dialect::Anthropic => Self::Anthropic(Box::new(AnthropicWriter {
                encoder: anthropic::StreamEncoder::new(head, request),
                request_id: request_id.to_owned(),
                usage: Some(Usage { output: 0, reasoning: 0, ..usage }),
                has_pinged: false,
            })),
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(frame, out),
            Self::Anthropic(writer) => writer.frame(frame, out),
        }
    }

    /// An error in the middle of the stream.
    pub(super) fn error(&self, trouble: &Trouble, out: &mut BytesMut) {
        match self {
            Self::OpenAi(_) => sse::encode(None, &trouble.object(Dialect::OpenAi, ""), out),
            Self::Anthropic(writer) => {
                sse::encode(Some("error"), &trouble.object(Dialect::Anthropic, &writer.request_id), out);
            }
        }
    }

    pub(super) fn garbage(&self, out: &mut BytesMut) {
        match self {
            Self::OpenAi(_) => sse::encode(None, GARBAGE, out),
            // Clients do not even look at an event without a name.
            Self::Anthropic(_) => sse::encode(Some("content_block_delta"), GARBAGE, out),
        }
    }

    /// A sign of life.
    pub(super) fn ping(&self, out: &mut BytesMut) {
        match self {
            Self::OpenAi(_) => sse::comment("ping", out),
            Self::Anthropic(_) => ping(out),
        }
    }
}

impl AnthropicWriter {
    fn frame(&mut self, frame: &Frame, out: &mut BytesMut) {
        let from = out.len();
        match self.usage.take() {
            // Anthropic tells what the prompt came to as soon as it answers.
            Some(usage) => {
                let mut first = Frame::event(Event::Usage(usage));
                first.events_mut().extend(frame.events().iter().cloned());
                self.encoder.encode(&first, out);
            }
            None => self.encoder.encode(frame, out),
        }
        if !self.has_pinged
            && let Some(end) = end_of(b"event: content_block_start\n", &out[from..])
        {
            self.has_pinged = true;
            let rest = out.split_off(from + end);
            ping(out);
            out.unsplit(rest);
        }
    }
}

fn ping(out: &mut BytesMut) {
    sse::encode(Some("ping"), br#"{"type": "ping"}"#, out);
}

/// Where the first event with this first line ends.
fn end_of(line: &[u8], events: &[u8]) -> Option<usize> {
    let find = |needle: &[u8], from: usize| {
        events[from..].windows(needle.len()).position(|bytes| bytes == needle).map(|at| from + at)
    };
    Some(find(b"\n\n", find(line, 0)?)? + 2)
}
