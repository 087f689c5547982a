//! Server-sent events, cut and spelled in every way.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::ErrorKind;
use llm_wire::sse::{self, Decoder};
use proptest::prelude::*;

mod fixtures;

/// Event name and data of every frame that has data.
type Seen = Vec<(Option<Bytes>, Bytes)>;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes `pieces`, and checks on the way that not one byte but a mark at the start is lost or changed.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut decoder, mut seen, mut input, mut output) = (Decoder::new(), Seen::new(), Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = decoder.next_frame().unwrap() {
            output.extend_from_slice(&frame.bytes);
            seen.extend(frame.data.map(|data| (frame.event, data)));
        }
    }
    output.extend_from_slice(&decoder.rest());
    assert_eq!(input.strip_prefix(MARK).unwrap_or(&input), output);
    seen
}

fn data(text: &str) -> Vec<String> {
    decode([text.as_bytes()]).into_iter().map(|(_, data)| String::from_utf8(data.to_vec()).unwrap()).collect()
}

fn with_line_ends(text: &[u8], line_end: &str) -> Vec<u8> {
    String::from_utf8_lossy(text).replace('\n', line_end).into_bytes()
}

#[test]
fn every_cut_of_every_fixture_gives_the_same_frames() {
    for (name, bytes) in fixtures::streams() {
        let whole = decode([&bytes[..]]);
        assert!(whole.len() >= 2, "{name}");
        for line_end in ["\n", "\r\n", "\r"] {
            let bytes = with_line_ends(&bytes, line_end);
            for at in 0..=bytes.len() {
                assert_eq!(decode([&bytes[..at], &bytes[at..]]), whole, "{name} cut at {at}, line end {line_end:?}");
            }
            assert_eq!(decode(bytes.chunks(1)), whole, "{name} byte by byte, line end {line_end:?}");
        }
        let marked = [MARK, &bytes[..]].concat();
        assert_eq!(decode([&marked[..]]), whole, "{name} with a byte-order mark");
        assert_eq!(decode(marked.chunks(1)), whole, "{name} with a byte-order mark, byte by byte");
    }
}

#[test]
fn fields_are_read_by_the_rules() {
    assert_eq!(data("data:bare\n\ndata: spaced\n\ndata:  two\n\n"), ["bare", "spaced", " two"]);
    assert_eq!(data("data: a\ndata:b\ndata\ndata: c\n\n"), ["a\nb\n\nc"]);
    assert_eq!(data("data\n\ndata:\n\n"), ["", ""]);
    assert_eq!(data(": note\n\n:\n\nid: 3\nretry: 10\nx: y\n\n\n\n"), [""; 0]);
    assert_eq!(data("datax: no\n data: no\nDATA: no\n\n"), [""; 0]);
    assert_eq!(data("data: a:b: c\n\n"), ["a:b: c"]);
    assert_eq!(data("data: not dispatched"), [""; 0]);
    assert_eq!(data("data: not dispatched\n"), [""; 0]);
    assert_eq!(data("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n"), ["a", "b", "c"], "mixed line ends");
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"], "a mark in the middle is part of a name");
}

#[test]
fn a_byte_order_mark_is_not_handed_on() {
    let stream = [MARK, b"data: a\n\ndata: b\n\n"].concat();
    for size in [1, 4, stream.len()] {
        let mut decoder = Decoder::new();
        stream.chunks(size).for_each(|piece| decoder.push(Bytes::copy_from_slice(piece)));
        // A door that has written a heartbeat is past the start, where a mark would spoil the field's name.
        let mut handed_on = b": \n\n".to_vec();
        while let Some(frame) = decoder.next_frame().unwrap() {
            handed_on.extend_from_slice(&frame.bytes);
        }
        assert_eq!(data(std::str::from_utf8(&handed_on).unwrap()), ["a", "b"]);
    }
    let mut unfinished = Decoder::new();
    unfinished.push(Bytes::from([MARK, b"{}"].concat()));
    assert!(unfinished.next_frame().unwrap().is_none());
    assert_eq!(unfinished.rest(), "{}");
}

#[test]
fn the_last_event_name_counts_and_an_empty_one_is_none() {
    let seen = decode([&b"event: a\nevent: b\ndata: 1\n\nevent:\ndata: 2\n\ndata: 3\n\n"[..]]);
    let names: Vec<_> = seen.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Some(Bytes::from_static(b"b")), None, None]);
}

#[test]
fn a_frame_is_there_as_soon_as_its_blank_line_is() {
    for end in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\r"] {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::from(format!("data: now{end}")));
        assert_eq!(decoder.next_frame().unwrap().unwrap().data.unwrap(), "now", "{end:?}");
    }
}

#[test]
fn a_large_event_in_small_pieces_is_read_in_linear_time() {
    let large = format!("data: {}\n\n", "x".repeat(200_000));
    let seen = decode(large.as_bytes().chunks(7));
    assert_eq!(seen[0].1.len(), 200_000);
    let lines = "data: y\n".repeat(50_000) + "\n";
    assert_eq!(decode(lines.as_bytes().chunks(1000))[0].1.len(), 99_999);
}

#[test]
fn a_frame_over_the_limit_is_refused_whole_or_growing() {
    let mut growing = Decoder::with_limit(16);
    growing.push(Bytes::from_static(b"data: 0123456789"));
    assert!(growing.next_frame().unwrap().is_none(), "16 bytes are allowed");
    growing.push(Bytes::from_static(b"0"));
    assert_eq!(growing.next_frame().unwrap_err().kind(), ErrorKind::Undecodable);

    let mut whole = Decoder::with_limit(16);
    whole.push(Bytes::from_static(b"data: 1\n\ndata: 012345678901234\n\n"));
    assert!(whole.next_frame().unwrap().is_some());
    assert_eq!(whole.next_frame().unwrap_err().kind(), ErrorKind::Undecodable);
}

#[test]
fn comments_are_passed_over_whatever_they_say() {
    let mut out = BytesMut::new();
    sse::comment("still\nhere\r\n", &mut out);
    assert_eq!(out, ": still\n: here\n: \n\n");
    assert!(decode([&out[..]]).is_empty());
}

#[test]
fn debug_shows_no_content() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(b"data: canary\n\ndata: canary"));
    let frame = decoder.next_frame().unwrap().unwrap();
    assert!(!format!("{frame:?} {decoder:?}").contains("canary"));
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: "),
        Just("data:"),
        Just("event: e"),
        Just(":"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("x"),
        Just(" "),
        Just("\u{feff}"),
        Just("ü"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_give_the_same_frames(stream in any_stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(decode(pieces), decode([&stream[..]]));
    }

    #[test]
    fn what_is_written_is_read_back(event in prop::option::of("[a-z.]{1,9}"), text in "[a-zü \\n:{}]{0,40}") {
        let mut out = BytesMut::new();
        sse::encode(event.as_deref(), text.as_bytes(), &mut out);
        sse::encode(None, b"next", &mut out);
        let seen = decode([&out[..]]);
        prop_assert_eq!(seen.len(), 2);
        prop_assert_eq!(&seen[0].1[..], text.as_bytes());
        prop_assert_eq!(seen[0].0.as_deref(), event.as_deref().map(str::as_bytes));
        prop_assert_eq!(&seen[1].1[..], b"next");
    }
}
