//! The dialects that are measured, one table each. All else here goes through these tables.

mod anthropic;
mod openai;

use bytes::{Bytes, BytesMut};
use llm_core::{Error, Frame, Head, LlmRequest, Output};
use llm_wire::{EncodeOptions, sse};

/// Reads the frames of one stream, in order.
pub type FrameDecoder = Box<dyn FnMut(sse::Frame) -> Result<Frame, Error>>;

/// Writes the frames of one stream, in order.
pub type FrameEncoder = Box<dyn FnMut(&Frame, &mut BytesMut)>;

/// What can be done in a dialect, and canned input for it.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Its name in the tables.
    pub name: &'static str,
    /// Reads a request.
    pub decode_request: fn(Bytes) -> Result<LlmRequest, Error>,
    /// Writes a request.
    pub encode_request: fn(&LlmRequest, &EncodeOptions<'_>) -> Result<Bytes, Error>,
    /// Reads a whole answer.
    pub decode_answer: fn(Bytes) -> Result<Output, Error>,
    /// Writes a whole answer.
    pub encode_answer: fn(&Output, &Head, &LlmRequest) -> Bytes,
    /// Begins to read a stream.
    pub frame_decoder: fn() -> FrameDecoder,
    /// Begins to write a stream.
    pub frame_encoder: fn(&Head, &LlmRequest) -> FrameEncoder,
    /// A streamed chat request of about so many bytes, with a tool.
    pub request: fn(usize) -> String,
    /// A whole answer of about so many bytes.
    pub answer: fn(usize) -> String,
    /// The events of a stream.
    pub stream: fn() -> Vec<String>,
}

/// All of them.
pub const DIALECTS: [Dialect; 2] = [openai::DIALECT, anthropic::DIALECT];

/// The dialect that the origin and the load generator speak.
pub const OPENAI: Dialect = openai::DIALECT;

/// Every way from one dialect to another.
pub fn translations() -> impl Iterator<Item = (Dialect, Dialect)> {
    let others = |from: Dialect| DIALECTS.into_iter().filter(move |to| to.name != from.name).map(move |to| (from, to));
    DIALECTS.into_iter().flat_map(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canned::EVENTS;

    #[test]
    fn canned_input_is_what_it_says() {
        for dialect in DIALECTS {
            for size in [1_000, 10_000, 100_000] {
                let request = (dialect.request)(size);
                assert!(request.len().abs_diff(size) < size / 10, "{}: {} for {size}", dialect.name, request.len());
                let decoded = (dialect.decode_request)(request.into()).expect("it is a request");
                assert!(decoded.is_stream());
                let answer = (dialect.answer)(size);
                assert!(answer.len().abs_diff(size) < size / 10, "{}: {} for {size}", dialect.name, answer.len());
                let decoded = (dialect.decode_answer)(answer.into()).expect("it is an answer");
                assert!(decoded.first_text().len() > size / 2);
            }
            assert_eq!((dialect.stream)().len(), EVENTS, "{}", dialect.name);
        }
    }
}
