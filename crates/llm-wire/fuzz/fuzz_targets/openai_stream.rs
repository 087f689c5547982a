//! No stream makes the decoder panic, and frames are handed on byte for byte.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_wire::{openai::StreamDecoder, sse::Decoder};

fuzz_target!(|bytes: &[u8]| {
    let (mut cutter, mut decoder) = (Decoder::new(), StreamDecoder::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    while let Ok(Some(frame)) = cutter.next_frame() {
        let wire = frame.bytes.clone();
        let Ok(frame) = decoder.decode(frame) else { return };
        assert_eq!(frame.wire().expect("a decoded frame has bytes").bytes, wire);
    }
});
