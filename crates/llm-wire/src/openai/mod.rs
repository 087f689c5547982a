//! Chat Completions, Embeddings and Models of OpenAI, and of everything that calls itself compatible with it.
//!
//! # Requests
//!
//! [`decode_chat`] and [`decode_embed`] give a request that keeps the caller's bytes. As long as nobody changes its
//! payload, [`encode_request`] sends these bytes: only the model name, `stream_options.include_usage` and the output
//! ceiling are spliced in. A request that was built or changed, or came in another dialect, is written from its types.
//!
//! Choices that a reader should know:
//!
//! - `max_completion_tokens` and the older `max_tokens` are one field here; written from types it has the name that the
//!   server heeds. Two different values are refused, as OpenAI does.
//! - System and developer messages before the first other message become [`Chat::system`](llm_core::Chat::system).
//! - Old function calling keeps working between equals: `functions`, `function_call` and the `function_call` of an
//!   assistant turn are unknown fields, and a message of role `function` is kept whole as a
//!   [`Part`](llm_core::Part) of kind [`Other`](llm_core::Other).
//! - Reasoning is read as `reasoning_content` or `reasoning`. What is signed or encrypted has a place in
//!   `reasoning_details`, as OpenRouter has it: from there it is read, in requests, answers and streams, and there it is
//!   written, so that it survives a client of this dialect that sends back what it got. All reasoning of a turn comes
//!   before its text. `reasoning_details` of which nothing is signed are an unknown field, and so are those that cannot
//!   be read.
//! - Marks for the prompt cache and the error flag of tool results are left out, and the trail of the call says so.
//!   What becomes of all other fields between dialects is in [`translation`](crate::translation).
//! - Unknown fields are kept in order and in their own spelling. Those of a nested object (`stream_options`,
//!   `image_url`, a tool's `function`) are kept under the name of that object, and written back into it.
//! - Ranges differ by provider, so only what none takes is refused: negative temperatures, `n` outside 1 to 128,
//!   token limits below 1 (but for `max_tokens` of −1, which servers of one's own take for none).
//!
//! # Servers
//!
//! What calls itself compatible is so up to a point. [`Variant`] says how a server differs, for requests that are written
//! from their types; of a caller's own bytes no more than the two splices depend on it. A field that a server refuses, or
//! ignores although the answer would be another one, is refused here by its name; one that changes nothing is left out,
//! and the trail says so.
//!
//! | variant | limit | `stream_options` | seed | must call | reasoning sent back | pictures | `developer` | refused | left out |
//! |---|---|---|---|---|---|---|---|---|---|
//! | `compatible` | `max_completion_tokens` | yes | `seed` | `required` | `reasoning_content`, `reasoning_details` | by URL | yes | none | none |
//! | `openai` | `max_completion_tokens` | yes | `seed` | `required` | no | by URL | yes | `top_k` | none |
//! | `azure` | `max_completion_tokens` | yes | `seed` | `required` | no | by URL | yes | `top_k` | none |
//! | `openrouter` | `max_completion_tokens` | yes | `seed` | `required` | `reasoning`, `reasoning_details` | by URL | yes | none | none |
//! | `groq` | `max_completion_tokens` | yes | `seed` | `required` | `reasoning` | by URL | yes | `top_k`, `n`, `logprobs`, `logit_bias` | none |
//! | `mistral` | `max_tokens` | no | `random_seed` | `any` | no | by URL | no | `top_k`, `logprobs`, `logit_bias` | `user`, `name` |
//! | `deepseek` | `max_tokens` | yes | `seed` | `required` | `reasoning_content`, on every turn | by URL | no | `top_k` | none |
//! | `xai` | `max_completion_tokens` | yes | `seed` | `required` | no | by URL | yes | `top_k` | none |
//! | `ollama` | `max_tokens` | yes | `seed` | `required` | `reasoning` | bytes only | no | `top_k`, `n`, `logit_bias`, `tool_choice` | none |
//! | `vllm` | `max_completion_tokens` | yes | `seed` | `required` | `reasoning_content` | by URL | no | none | none |
//!
//! A ceiling on output is spliced in under the name that the server heeds, also where the caller used the other one, and so
//! is a caller's own limit: a server that ignored it would answer, and charge, without one.
//! Mistral's streams report usage unasked, so `stream_options` are taken out of what it gets.
//!
//! # Answers
//!
//! Whole answers and streams are read with all the spellings in use: reasoning as `reasoning_content`, `reasoning` or
//! Mistral's content lists, tool calls with missing, numeric or repeated ids, usage anywhere. A failure inside a 200 is an
//! error. A signature in a stream of another dialect closes a piece of reasoning: a delta of `reasoning_details` repeats
//! the text of that piece and has the signature over it.
//!
//! # Sources
//!
//! OpenAI API reference, Chat Completions, Embeddings and Models; the API references of Azure OpenAI, OpenRouter,
//! Groq, Mistral, DeepSeek, xAI, Ollama, vLLM and Gemini's OpenAI endpoint; OpenRouter, "Reasoning tokens"; DeepSeek,
//! "Thinking mode"; Ollama, "OpenAI compatibility"; vLLM, "Reasoning outputs"; WHATWG HTML, "Server-sent events".

mod answer;
mod answer_encode;
mod chunk;
mod embed;
mod encode;
mod error;
mod finish;
mod foreign;
mod message;
mod message_encode;
mod models;
mod part;
mod reasoning;
mod request;
mod splice;
mod stream;
mod stream_encode;
mod tool;
mod tool_join;
mod usage;
mod variant;

use bytes::Bytes;
use llm_core::{Dialect, Error, Head, LlmRequest, Output, Payload};

use crate::EncodeOptions;

pub use answer::decode_chat_answer;
pub use embed::{decode_embed, decode_embed_answer};
pub use error::encode_error;
pub use models::{decode_models, encode_model, encode_models};
pub use request::decode_chat;
pub use stream::StreamDecoder;
pub use stream_encode::StreamEncoder;
pub use variant::{SentReasoning, Variant};

/// The body of a request for a provider.
///
/// A request that came in this dialect and was not changed since is sent as the caller's own bytes with the
/// `options` spliced in; every other byte is as it was.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](llm_core::ErrorKind::InvalidRequest) when the request holds something that this
/// dialect cannot say and that would change the answer; the message names the place.
pub fn encode_request(request: &LlmRequest, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    if let Some(wire) = request.wire().filter(|wire| wire.dialect == Dialect::OpenAi)
        && let Some(spliced) = splice::splice(request, &wire.bytes, options)?
    {
        return Ok(spliced);
    }
    match request.payload() {
        Payload::Chat(chat) => encode::encode_chat(request, chat, options),
        Payload::Embed(embed) => Ok(embed::encode_embed(request, embed, options)),
        Payload::CountTokens(_) => Err(Error::invalid_request("this provider does not count tokens")),
    }
}

/// A whole answer: a `chat.completion` object, or the list of embeddings that `request` asked for.
///
/// What the answer does not say of itself (id, model, time) is taken from `head`, else made up.
pub fn encode_answer(output: &Output, head: &Head, request: &LlmRequest) -> Bytes {
    match output {
        Output::Chat(chat) => answer_encode::encode_chat_answer(chat, head, request),
        Output::Embed(embed) => embed::encode_embed_answer(embed, head, request),
        Output::TokenCount(count) => format!(r#"{{"input_tokens":{}}}"#, count.input_tokens).into(),
    }
}
