//! No whole answer makes a decoder panic, and what is read can be written in both dialects.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_core::{Head, LlmRequest};
use llm_wire::{anthropic, openai};

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    let request = LlmRequest::chat("m").build();
    let head = Head::default();
    let read = [
        openai::decode_chat_answer(body.clone()),
        openai::decode_embed_answer(body.clone()),
        anthropic::decode_answer(body.clone()),
        anthropic::decode_token_count(&body),
    ];
    for output in read.into_iter().flatten() {
        let own = openai::encode_answer(&output, &head, &request);
        let other = anthropic::encode_answer(&output, &head, &request);
        for written in [own, other] {
            serde_json::from_slice::<serde::de::IgnoredAny>(&written).expect("what is written is JSON");
        }
    }
    if let Ok(models) = openai::decode_models(bytes) {
        assert_eq!(
            openai::decode_models(&openai::encode_models(&models)).expect("what is written can be read"),
            models
        );
    }
    let _ = anthropic::decode_models(bytes);
});
