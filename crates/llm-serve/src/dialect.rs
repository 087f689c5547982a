//! The dialect that a caller speaks, and everything that depends on it.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Uri};
use llm_core::{Dialect, Error, ErrorKind, Frame, Head, LlmRequest, Output};
use llm_wire::{ModelInfo, anthropic, openai};

use crate::endpoint::{Endpoint, relative};

/// The dialect that a caller speaks, and is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerDialect {
    OpenAi,
    Anthropic,
}

impl CallerDialect {
    /// What the client of a request speaks: what belongs to its path, else what its headers give away. A key in
    /// `x-api-key` gives nothing away, since clients of both send one.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let path = relative(uri.path());
        if let Some(endpoint) = Endpoint::at(path) {
            return endpoint.dialect();
        }
        let is_below_messages = path.strip_prefix("/messages").is_some_and(|rest| rest.starts_with('/'));
        if is_below_messages || headers.contains_key("anthropic-version") { Self::Anthropic } else { Self::OpenAi }
    }

    /// The dialect of wire bytes that need not be encoded for the caller.
    pub(crate) fn wire(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Anthropic => Dialect::Anthropic,
        }
    }

    pub(crate) fn encode_answer(self, output: &Output, head: &Head, request: &LlmRequest) -> Bytes {
        match self {
            Self::OpenAi => openai::encode_answer(output, head, request),
            Self::Anthropic => anthropic::encode_answer(output, head, request),
        }
    }

    pub(crate) fn encode_error(self, error: &Error, request_id: Option<&str>) -> Bytes {
        match self {
            Self::OpenAi => openai::encode_error(error),
            Self::Anthropic => anthropic::encode_error(error, request_id),
        }
    }

    /// The status of a failure. Anthropic's clients have an error of their own for a lack of capacity, by its status.
    pub(crate) fn status(self, kind: ErrorKind) -> StatusCode {
        let status = match self {
            Self::Anthropic if kind == ErrorKind::Overloaded => 529,
            Self::Anthropic | Self::OpenAi => kind.class().status,
        };
        StatusCode::from_u16(status).expect("every kind has the status of an error")
    }

    pub(crate) fn encode_model(self, model: &ModelInfo) -> Bytes {
        match self {
            Self::OpenAi => openai::encode_model(model),
            Self::Anthropic => anthropic::encode_model(model),
        }
    }

    pub(crate) fn stream_encoder(self, head: &Head, request: &LlmRequest) -> StreamEncoder {
        match self {
            Self::OpenAi => StreamEncoder::OpenAi(openai::StreamEncoder::new(head, request)),
            Self::Anthropic => StreamEncoder::Anthropic(anthropic::StreamEncoder::new(head, request)),
        }
    }

    /// What is written into a silence. Anthropic's clients know pings, and may be waiting for one.
    pub(crate) fn heartbeat(self) -> Bytes {
        Bytes::from_static(match self {
            Self::OpenAi => b": \n\n",
            Self::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        })
    }
}

/// Writes an answer as the stream that the caller expects.
#[derive(Debug)]
pub(crate) enum StreamEncoder {
    OpenAi(openai::StreamEncoder),
    Anthropic(anthropic::StreamEncoder),
}

impl StreamEncoder {
    pub(crate) fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(frame, out),
            Self::Anthropic(encoder) => encoder.encode(frame, out),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.finish(out),
            Self::Anthropic(encoder) => encoder.finish(out),
        }
    }

    pub(crate) fn fail(&mut self, error: &Error, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.fail(error, out),
            Self::Anthropic(encoder) => encoder.fail(error, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_caller_speaks_what_belongs_to_the_path_and_then_what_its_headers_say() {
        use CallerDialect::{Anthropic, OpenAi};
        let version = ("anthropic-version", "2023-06-01");
        let rows = [
            ("/v1/chat/completions", None, OpenAi),
            ("/v1/chat/completions", Some(version), OpenAi),
            ("/v1/embeddings/", Some(version), OpenAi),
            ("/v1/messages?beta=true", None, Anthropic),
            ("/messages/", None, Anthropic),
            ("/v1/messages/count_tokens", None, Anthropic),
            ("/v1/messages/batches", None, Anthropic),
            ("/v1/messagesx", None, OpenAi),
            ("/v1/models", None, OpenAi),
            ("/v1/models", Some(version), Anthropic),
            ("/v1/models", Some(("x-api-key", "k")), OpenAi),
            ("/", None, OpenAi),
            ("/", Some(version), Anthropic),
        ];
        for (path, header, expected) in rows {
            let request = Request::get(path);
            let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            let request = request.body(()).unwrap();
            assert_eq!(CallerDialect::of(request.uri(), request.headers()), expected, "{path} {header:?}");
        }
    }
}
