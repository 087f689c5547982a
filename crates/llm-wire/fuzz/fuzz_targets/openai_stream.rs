//! No stream makes the decoder panic, frames are handed on byte for byte, and what is written from their events in
//! Anthropic's dialect can be read.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use llm_core::{Head, LlmRequest};
use llm_wire::{anthropic, openai::StreamDecoder, sse::Decoder};

fuzz_target!(|bytes: &[u8]| {
    let (mut cutter, mut decoder) = (Decoder::new(), StreamDecoder::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    let request = LlmRequest::chat("m").stream().build();
    let (mut other, mut out) = (anthropic::StreamEncoder::new(&Head::default(), &request), BytesMut::new());
    while let Ok(Some(frame)) = cutter.next_frame() {
        let wire = frame.bytes.clone();
        let Ok(frame) = decoder.decode(frame) else { break };
        assert_eq!(frame.wire().expect("a decoded frame has bytes").bytes, wire);
        other.encode(&frame, &mut out);
    }
    other.finish(&mut out);
    let mut again = anthropic::StreamDecoder::new();
    cutter = Decoder::new();
    cutter.push(out.freeze());
    while let Some(frame) = cutter.next_frame().expect("what is written has frames") {
        again.decode(frame).expect("what is written can be read");
    }
});
