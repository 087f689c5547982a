//! No stream makes the decoder panic, frames are handed on byte for byte, and what is written from their events can be
//! read in both dialects.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use llm_core::{Frame, Head, LlmRequest};
use llm_wire::{
    anthropic::{StreamDecoder, StreamEncoder},
    openai, sse,
};

fuzz_target!(|bytes: &[u8]| {
    let (mut cutter, mut decoder) = (sse::Decoder::new(), StreamDecoder::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = cutter.next_frame() {
        let wire = frame.bytes.clone();
        let Ok(frame) = decoder.decode(frame) else { break };
        assert_eq!(frame.wire().expect("a decoded frame has bytes").bytes, wire);
        frames.push(Frame::new(frame.into_events()));
    }
    let request = LlmRequest::chat("m").stream().build();
    let head = Head::default();
    let (mut own, mut other) = (StreamEncoder::new(&head, &request), openai::StreamEncoder::new(&head, &request));
    let (mut own_out, mut other_out) = (BytesMut::new(), BytesMut::new());
    for frame in &frames {
        own.encode(frame, &mut own_out);
        other.encode(frame, &mut other_out);
    }
    own.finish(&mut own_out);
    other.finish(&mut other_out);
    let mut again = StreamDecoder::new();
    cutter = sse::Decoder::new();
    cutter.push(own_out.freeze());
    while let Some(frame) = cutter.next_frame().expect("what is written has frames") {
        again.decode(frame).expect("what is written can be read");
    }
    let mut again = openai::StreamDecoder::new();
    cutter = sse::Decoder::new();
    cutter.push(other_out.freeze());
    while let Some(frame) = cutter.next_frame().expect("what is written has frames") {
        // A reason for the end that means a failure is one in the other dialect.
        if again.decode(frame).is_err() {
            return;
        }
    }
});
