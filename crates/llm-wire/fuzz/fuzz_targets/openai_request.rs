//! A request that is read can be passed on, and says the same when it is written from its types.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_wire::{
    EncodeOptions,
    openai::{decode_chat, encode_request},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut request) = decode_chat(Bytes::copy_from_slice(bytes)) else { return };
    let model = request.model().to_owned();
    let options = EncodeOptions::new(&model);
    assert_eq!(encode_request(&request, &options).expect("its own bytes can be sent"), bytes);
    let splices = EncodeOptions { model: "other", include_usage: true, output_ceiling: Some(7), ..EncodeOptions::new("other") };
    let spliced = encode_request(&request, &splices).expect("its own bytes can be sent");
    assert_eq!(decode_chat(spliced).expect("what is spliced can be read").model(), "other");
    request.payload_mut();
    if let Ok(written) = encode_request(&request, &options) {
        decode_chat(written).expect("what is written can be read");
    }
});
