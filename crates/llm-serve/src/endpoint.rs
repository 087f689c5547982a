//! What can be called, where, and how its requests are read.

use bytes::Bytes;
use llm_core::{Error, LlmRequest};
use llm_wire::{anthropic, openai};

use crate::dialect::CallerDialect;

/// A path to which requests for models are posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    ChatCompletions,
    Embeddings,
    Messages,
    CountTokens,
}

impl Endpoint {
    /// What is at a [relative] path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/chat/completions" => Self::ChatCompletions,
            "/embeddings" => Self::Embeddings,
            "/messages" => Self::Messages,
            "/messages/count_tokens" => Self::CountTokens,
            _ => return None,
        })
    }

    pub(crate) fn dialect(self) -> CallerDialect {
        match self {
            Self::ChatCompletions | Self::Embeddings => CallerDialect::OpenAi,
            Self::Messages | Self::CountTokens => CallerDialect::Anthropic,
        }
    }

    /// Reads the body of a request.
    pub(crate) fn decode(self, body: Bytes) -> Result<LlmRequest, Error> {
        match self {
            Self::ChatCompletions => openai::decode_chat(body),
            Self::Embeddings => openai::decode_embed(body),
            Self::Messages => anthropic::decode_messages(body),
            Self::CountTokens => anthropic::decode_count_tokens(body),
        }
    }
}

/// A path without the version, which routers that nest doors take off, and without a slash at its end.
pub(crate) fn relative(path: &str) -> &str {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}
