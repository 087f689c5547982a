//! A request that is read can be passed on, and says the same when it is written from its types; in Anthropic's dialect
//! it is refused or can be read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_wire::{
    EncodeOptions, anthropic,
    openai::{Variant, decode_chat, decode_embed, encode_request},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut request) = decode_embed(Bytes::copy_from_slice(bytes)) {
        let model = request.model().to_owned();
        let options = EncodeOptions::new(&model);
        assert_eq!(encode_request(&request, &options).expect("its own bytes can be sent"), bytes);
        request.payload_mut();
        let written = encode_request(&request, &options).expect("every embedding can be written");
        decode_embed(written).expect("what is written can be read");
    }
    let Ok(mut request) = decode_chat(Bytes::copy_from_slice(bytes)) else { return };
    let model = request.model().to_owned();
    let options = EncodeOptions::new(&model);
    assert_eq!(encode_request(&request, &options).expect("its own bytes can be sent"), bytes);
    let splices = EncodeOptions { include_usage: true, output_ceiling: Some(7), ..EncodeOptions::new("other") };
    let spliced = encode_request(&request, &splices).expect("its own bytes can be sent");
    assert_eq!(decode_chat(spliced).expect("what is spliced can be read").model(), "other");
    if let Ok(written) = anthropic::encode_request(&request, &options) {
        // All messages may have been left out.
        let _ = anthropic::decode_messages(written);
    }
    for variant in Variant::ALL {
        let spliced = encode_request(&request, &EncodeOptions { variant, ..splices });
        decode_chat(spliced.expect("its own bytes can be sent")).expect("what is spliced can be read");
    }
    request.payload_mut();
    for variant in Variant::ALL {
        if let Ok(written) = encode_request(&request, &EncodeOptions { variant, ..options }) {
            decode_chat(written).expect("what is written can be read");
        }
    }
});
