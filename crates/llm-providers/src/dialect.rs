//! What differs between the languages that providers speak: addresses, headers, and what bytes mean.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use llm_core::{Dialect, Error, Frame, LlmRequest, Output, Payload};
use llm_wire::{EncodeOptions, anthropic, openai, sse};

use crate::{Auth, BaseUrl, ProviderDialect};

/// The header in which Anthropic's dialect sends a key.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The version of Anthropic's API that its dialect here is written for, and the only one in use.
const ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// The addresses of a provider's endpoints, as far as its dialect has them.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) chat: Uri,
    pub(crate) embed: Option<Uri>,
    pub(crate) count_tokens: Option<Uri>,
}

impl ProviderDialect {
    pub(crate) fn endpoints(self, base: &BaseUrl) -> Endpoints {
        match self {
            Self::OpenAi => Endpoints {
                chat: base.endpoint("/chat/completions"),
                embed: Some(base.endpoint("/embeddings")),
                count_tokens: None,
            },
            Self::Anthropic => Endpoints {
                chat: base.versioned_endpoint("/messages"),
                embed: None,
                count_tokens: Some(base.versioned_endpoint("/messages/count_tokens")),
            },
        }
    }

    /// How a key is sent unless the configuration says otherwise.
    pub(crate) fn auth(self) -> Auth {
        match self {
            Self::OpenAi => Auth::Bearer,
            Self::Anthropic => Auth::Header(X_API_KEY.as_str().to_owned()),
        }
    }

    /// Adds the headers that every call needs, unless they are there.
    pub(crate) fn complete(self, headers: &mut HeaderMap) {
        match self {
            Self::OpenAi => {}
            Self::Anthropic => {
                let (name, value) = ANTHROPIC_VERSION;
                headers.entry(name).or_insert(value);
            }
        }
    }

    /// The same in the words of the core: whose bytes these are.
    pub(crate) fn wire(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Anthropic => Dialect::Anthropic,
        }
    }

    pub(crate) fn encode(self, request: &LlmRequest, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
        match self {
            Self::OpenAi => openai::encode_request(request, options),
            Self::Anthropic => anthropic::encode_request(request, options),
        }
    }

    /// Reads the whole answer to `payload`, or the provider's error in its place.
    pub(crate) fn decode(self, payload: &Payload, bytes: Bytes) -> Result<Output, Error> {
        match (self, payload) {
            (Self::OpenAi, Payload::Chat(_)) => openai::decode_chat_answer(bytes),
            (Self::OpenAi, Payload::Embed(_)) => openai::decode_embed_answer(bytes),
            (Self::Anthropic, Payload::Chat(_)) => anthropic::decode_answer(bytes),
            (Self::Anthropic, Payload::CountTokens(_)) => anthropic::decode_token_count(&bytes),
            (Self::OpenAi, Payload::CountTokens(_)) | (Self::Anthropic, Payload::Embed(_)) => {
                Err(Error::internal("an answer came to what was never asked"))
            }
        }
    }

    pub(crate) fn stream_decoder(self) -> StreamDecoder {
        match self {
            Self::OpenAi => StreamDecoder::OpenAi(openai::StreamDecoder::new()),
            Self::Anthropic => StreamDecoder::Anthropic(anthropic::StreamDecoder::new()),
        }
    }
}

/// Reads the frames of one stream, in order.
#[derive(Debug)]
pub(crate) enum StreamDecoder {
    OpenAi(openai::StreamDecoder),
    Anthropic(anthropic::StreamDecoder),
}

impl StreamDecoder {
    pub(crate) fn decode(&mut self, frame: sse::Frame) -> Result<Frame, Error> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(frame),
            Self::Anthropic(decoder) => decoder.decode(frame),
        }
    }
}
