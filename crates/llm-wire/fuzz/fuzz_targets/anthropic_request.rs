//! A request that is read can be passed on, and says the same when it is written from its types; in OpenAI's dialect it
//! is refused or can be read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_core::LlmRequest;
use llm_wire::{
    EncodeOptions,
    anthropic::{decode_count_tokens, decode_messages, encode_request},
    openai,
};

fn check(mut request: LlmRequest, bytes: &[u8], decode: fn(Bytes) -> Result<LlmRequest, llm_core::Error>) {
    let model = request.model().to_owned();
    let options = EncodeOptions::new(&model);
    if request.wire().is_some() {
        assert_eq!(encode_request(&request, &options).expect("its own bytes can be sent"), bytes);
        let splices = EncodeOptions { output_ceiling: Some(7), ..EncodeOptions::new("other") };
        let spliced = encode_request(&request, &splices).expect("its own bytes can be sent");
        assert_eq!(decode(spliced).expect("what is spliced can be read").model(), "other");
    }
    if let Ok(written) = openai::encode_request(&request, &options) {
        openai::decode_chat(written).expect("what is written in the other dialect can be read");
    }
    request.payload_mut();
    if let Ok(written) = encode_request(&request, &options) {
        // All messages may have been left out.
        let _ = decode(written);
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = decode_messages(Bytes::copy_from_slice(bytes)) {
        check(request, bytes, decode_messages);
    }
    if let Ok(request) = decode_count_tokens(Bytes::copy_from_slice(bytes)) {
        check(request, bytes, decode_count_tokens);
    }
});
