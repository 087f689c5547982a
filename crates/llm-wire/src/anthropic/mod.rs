//! Messages, token counting and Models of Anthropic, and of everything that speaks its dialect.
//!
//! # Requests
//!
//! [`decode_messages`] and [`decode_count_tokens`] give a request that keeps the caller's bytes. As long as nobody
//! changes its payload, [`encode_request`] sends these bytes: only the model name, the output ceiling and, where a layer
//! asks for them, marks for the prompt cache are spliced in. A request that was built or changed, or came in another dialect, is written from its types.
//!
//! Choices that a reader should know:
//!
//! - `system` is one message of [`Chat::system`](llm_core::Chat::system), a part for each block. Written, the blocks of
//!   all system messages are one list.
//! - Results of tools stay in the user turn in which they came. Written, results that are messages of their own (as in
//!   OpenAI's dialect) and what the user says next are one turn.
//! - `max_tokens` is required here: where the caller set no limit it is the ceiling, else the model's own maximum, else
//!   4,096.
//! - Thinking that nobody signed is handed out with a signature that says so, and left out when it comes back, because
//!   the provider refuses what it did not sign. So are blank texts, and turns of which nothing is left.
//! - The ids of tool calls may hold letters, digits, `_` and `-` here. Every other byte becomes `_` and its two
//!   hexadecimal digits, in the call and in its result.
//! - Documents given as text or as blocks, tools that run at the provider and their results, and whatever else has no
//!   name here are kept whole as [`Other`](llm_core::Other).
//! - Marks for the prompt cache that no caller has set
//!   ([`Context::prompt_cache`](llm_core::Context::prompt_cache)) are four at most: behind the tools, behind the system
//!   prompt, and behind the last two messages, so that each turn of a conversation reads what the one before wrote.
//! - `anthropic-beta` turns features on beside the body: [`Betas`].
//!
//! # Answers
//!
//! Token counts become this workspace's own: [`Usage::input`](llm_core::Usage::input) includes what was read from and
//! written to the prompt cache, which this dialect counts apart. What a stream says of its output before there is any is a
//! placeholder and passed over. Written, arguments that are no JSON object are the text of a field `INVALID_JSON`,
//! as Anthropic's guide to streamed tool calls proposes.
//!
//! # Sources
//!
//! Anthropic API reference: Messages, Count tokens, Models, Errors, Streaming messages, Beta headers.

mod answer;
mod answer_encode;
mod betas;
mod block;
mod block_encode;
mod encode;
mod error;
mod finish;
mod foreign;
mod json_extent;
mod marks;
mod message;
mod message_encode;
mod models;
mod request;
mod splice;
mod stream;
mod stream_blocks;
mod stream_encode;
mod tool;
mod unsigned;
mod usage;

use bytes::Bytes;
use llm_core::{Dialect, Error, Head, LlmRequest, Output, Payload};

pub use answer::{decode_answer, decode_token_count};
pub use betas::Betas;
pub use error::encode_error;
pub use models::{decode_models, encode_model, encode_models};
pub use request::{decode_count_tokens, decode_messages};
pub use stream::StreamDecoder;
pub use stream_encode::StreamEncoder;

use crate::EncodeOptions;

/// The body of a request for a provider: a chat is for `/v1/messages`, a question for a count for
/// `/v1/messages/count_tokens`.
///
/// A request that came in this dialect and was not changed since is sent as the caller's own bytes with the `options`
/// spliced in, and the marks for the prompt cache that the context asks for; every other byte is as it was.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](llm_core::ErrorKind::InvalidRequest) when the request holds something that this
/// dialect cannot say and that would change the answer, such as a request for embeddings; the message names the place.
pub fn encode_request(request: &LlmRequest, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    let body = encode_unmarked(request, options)?;
    match (request.context().prompt_cache(), request.payload()) {
        (Some(ttl), Payload::Chat(_)) => marks::mark(body, ttl),
        (Some(_), Payload::CountTokens(_) | Payload::Embed(_)) | (None, _) => Ok(body),
    }
}

fn encode_unmarked(request: &LlmRequest, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    if let Some(wire) = request.wire().filter(|wire| wire.dialect == Dialect::Anthropic)
        && let Some(spliced) = splice::splice(&wire.bytes, options)?
    {
        return Ok(spliced);
    }
    match request.payload() {
        Payload::Chat(chat) => encode::encode_chat(request, chat, options, false),
        Payload::CountTokens(chat) => encode::encode_chat(request, chat, options, true),
        Payload::Embed(_) => Err(Error::invalid_request("this provider has no embeddings")),
    }
}

/// A whole answer: a `message` object, or the count that was asked for.
///
/// What the answer does not say of itself (id, model) is taken from `head`, else made up. Vectors have no place in this
/// dialect: nobody can ask for them.
pub fn encode_answer(output: &Output, head: &Head, request: &LlmRequest) -> Bytes {
    match output {
        Output::Chat(chat) => answer_encode::encode_chat_answer(chat, head, request),
        Output::TokenCount(count) => format!(r#"{{"input_tokens":{}}}"#, count.input_tokens).into(),
        Output::Embed(_) => Bytes::from_static(b"{}"),
    }
}
