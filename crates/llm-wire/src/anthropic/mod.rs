//! Messages, token counting and Models of Anthropic, and of everything that speaks its dialect.
// STUB: signatures only, replaced within the hour.
#![allow(missing_docs, unused_variables)]

use bytes::{Bytes, BytesMut};
use llm_core::{Error, ErrorKind, Frame, Head, LlmRequest, Output};

use crate::{EncodeOptions, openai::ModelInfo, sse};

/// Reads the body of `POST /v1/messages`. The request keeps the bytes.
pub fn decode_messages(body: Bytes) -> Result<LlmRequest, Error> {
    Err(Error::internal("stub"))
}
/// Reads the body of `POST /v1/messages/count_tokens` into `Payload::CountTokens`. The request keeps the bytes.
pub fn decode_count_tokens(body: Bytes) -> Result<LlmRequest, Error> {
    Err(Error::internal("stub"))
}
/// The body of a request for a provider: Chat goes to `/v1/messages`, CountTokens to `/v1/messages/count_tokens`.
/// Embed is an invalid request (there is no such endpoint).
pub fn encode_request(request: &LlmRequest, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    Err(Error::internal("stub"))
}
/// Reads a whole `message` object; the provider's own error if the body is one.
pub fn decode_answer(body: Bytes) -> Result<Output, Error> {
    Err(Error::internal("stub"))
}
/// Reads `{"input_tokens":n}` into `Output::TokenCount`.
pub fn decode_token_count(body: &[u8]) -> Result<Output, Error> {
    Err(Error::internal("stub"))
}
/// A whole answer: a `message` object, or `{"input_tokens":n}`.
pub fn encode_answer(output: &Output, head: &Head, request: &LlmRequest) -> Bytes {
    Bytes::new()
}
/// `{"type":"error","error":{"type","message"},"request_id"}`.
pub fn encode_error(error: &Error, request_id: Option<&str>) -> Bytes {
    Bytes::new()
}
/// The list of models in Anthropic's shape.
pub fn encode_models(models: &[ModelInfo]) -> Bytes {
    Bytes::new()
}
pub fn encode_model(model: &ModelInfo) -> Bytes {
    Bytes::new()
}
pub fn decode_models(body: &[u8]) -> Result<Vec<ModelInfo>, Error> {
    Err(Error::new(ErrorKind::Undecodable, "stub"))
}

/// Features that a caller turns on with `anthropic-beta: a,b`: names of letters, digits, `-`, `.` and `_`, at most 32.
/// A front door puts it into the request's extensions, and a provider of this dialect sends it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Betas;
impl Betas {
    /// Reads the headers of a request; names that are none are an invalid-request error. `None` when there is no such header.
    pub fn from_headers(headers: &http::HeaderMap) -> Result<Option<Self>, Error> {
        Ok(None)
    }
    /// The value to send.
    pub fn to_header_value(&self) -> http::HeaderValue {
        http::HeaderValue::from_static("")
    }
}

/// Reads the frames of one stream, in order. Mirror of `openai::StreamDecoder`; `message_stop` is the last frame.
#[derive(Debug, Default)]
pub struct StreamDecoder;
impl StreamDecoder {
    pub fn new() -> Self {
        Self
    }
    pub fn decode(&mut self, frame: sse::Frame) -> Result<Frame, Error> {
        Err(Error::internal("stub"))
    }
}

/// Writes an answer as this dialect's stream. Mirror of `openai::StreamEncoder`.
#[derive(Debug)]
pub struct StreamEncoder;
impl StreamEncoder {
    pub fn new(head: &Head, request: &LlmRequest) -> Self {
        Self
    }
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {}
    /// Ends the stream unless it has ended: open block stopped, `message_delta`, `message_stop`.
    pub fn finish(&mut self, out: &mut BytesMut) {}
    /// Ends the stream with `event: error`, unless it has ended.
    pub fn fail(&mut self, error: &Error, out: &mut BytesMut) {}
}
