//! However a stream is cut, no byte but a mark at the start is lost and the events are the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_wire::sse::Decoder;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<(Option<Bytes>, Bytes)>) {
    let (mut decoder, mut bytes, mut seen) = (Decoder::new(), Vec::new(), Vec::new());
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Ok(Some(frame)) = decoder.next_frame() {
            bytes.extend_from_slice(&frame.bytes);
            seen.extend(frame.data.map(|data| (frame.event, data)));
        }
    }
    bytes.extend_from_slice(&decoder.rest());
    (bytes, seen)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, bytes) = input;
    let whole = decode(std::iter::once(&bytes[..]));
    assert_eq!(whole.0, bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    assert_eq!(decode(bytes.chunks(usize::from(size).max(1))), whole);
});
