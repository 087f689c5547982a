//! Server-sent events: bytes to frames, and frames to bytes.
//!
//! A frame is everything up to and including a blank line, as the provider sent it. The decoder never loses or changes
//! a byte of it, so that a stream can be handed on exactly as it came, and follows the parsing rules of WHATWG HTML,
//! "Server-sent events": line ends of LF, CRLF or CR in any mix, a byte-order mark at the start, comments, several
//! `data:` lines in one event, one optional space after the colon.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use llm_core::{Error, ErrorKind};
use memchr::{memchr, memchr2};

/// The most bytes a frame may have by default: a terminal event may echo a whole request and its answer.
const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Splits bytes into frames, however the bytes are cut.
///
/// Concatenating [`Frame::bytes`] of all frames and [`rest`](Decoder::rest) gives back the input exactly, but for a
/// byte-order mark at its start. A mark is one only at the very start of a stream, and whoever hands the frames on may
/// have written something before them.
///
/// ```
/// use bytes::Bytes;
/// use llm_wire::sse::Decoder;
///
/// let mut decoder = Decoder::new();
/// decoder.push(Bytes::from_static(b"data: one\n\n: note\n\ndata: tw"));
/// assert_eq!(decoder.next_frame()?.unwrap().data.unwrap(), "one");
/// assert_eq!(decoder.next_frame()?.unwrap().data, None);
/// assert!(decoder.next_frame()?.is_none());
/// decoder.push(Bytes::from_static(b"o\n\n"));
/// assert_eq!(decoder.next_frame()?.unwrap().bytes, "data: two\n\n");
/// # Ok::<(), llm_core::Error>(())
/// ```
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    // Where the current line begins, and from where on its end has not been looked for.
    line_start: usize,
    searched: usize,
    // The byte before `line_start` is a CR that may be the first half of a CRLF.
    after_cr: bool,
    // The frame begins with the LF of a CRLF whose CR ended the frame before.
    begins_with_lf: bool,
    at_start: bool,
}

/// One frame: what stood before a blank line.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame as it came, with its line ends and its blank line. A CRLF that was cut in half at the very end of a
    /// frame leaves its LF to the next one.
    pub bytes: Bytes,
    /// The `event:` field, if there was one that was not empty.
    pub event: Option<Bytes>,
    /// The `data:` lines, joined by LF. Absent in comments and empty frames, which readers pass over.
    pub data: Option<Bytes>,
}

impl Decoder {
    /// A decoder at the beginning of a stream, for frames of up to 16 MiB.
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// A decoder for frames of up to `max_frame_bytes`; less than that is buffered at any time, and what one
    /// [`push`](Self::push) brings.
    pub fn with_limit(max_frame_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit: max_frame_bytes,
            line_start: 0,
            searched: 0,
            after_cr: false,
            begins_with_lf: false,
            at_start: true,
        }
    }

    /// Adds bytes in the order in which they came.
    pub fn push(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// The next frame, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when a frame is larger than the limit; the stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let end = self.find_blank_line();
        if end.unwrap_or(self.buffer.len()) > self.limit {
            return Err(Error::new(ErrorKind::Undecodable, "a frame of the stream is too large"));
        }
        Ok(end.map(|end| self.take_frame(end)))
    }

    /// What is left at the end of the input: an event without its blank line, which readers do not see, or nothing.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.buffer.split().freeze();
        self.begin_frame(false);
        self.without_mark(rest)
    }

    /// Where the first blank line ends.
    fn find_blank_line(&mut self) -> Option<usize> {
        loop {
            if self.after_cr && self.searched < self.buffer.len() {
                self.after_cr = false;
                if self.buffer[self.searched] == b'\n' {
                    self.begins_with_lf |= self.searched == 0;
                    self.searched += 1;
                    self.line_start += 1;
                }
            }
            let Some(found) = memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return None;
            };
            let at = self.searched + found;
            let mut end = at + 1;
            if self.buffer[at] == b'\r' {
                match self.buffer.get(end) {
                    Some(b'\n') => end += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            let is_blank = at == self.line_start;
            self.line_start = end;
            self.searched = end;
            if is_blank {
                return Some(end);
            }
        }
    }

    fn take_frame(&mut self, end: usize) -> Frame {
        let bytes = self.buffer.split_to(end).freeze();
        let skip = usize::from(self.begins_with_lf);
        self.begin_frame(self.after_cr);
        parse(self.without_mark(bytes), skip)
    }

    /// The bytes without the mark that they may begin with if they are the first of the stream.
    fn without_mark(&mut self, mut bytes: Bytes) -> Bytes {
        if std::mem::take(&mut self.at_start) && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.advance(BYTE_ORDER_MARK.len());
        }
        bytes
    }

    fn begin_frame(&mut self, after_cr: bool) {
        self.line_start = 0;
        self.searched = 0;
        self.after_cr = after_cr;
        self.begins_with_lf = false;
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn parse(bytes: Bytes, skip: usize) -> Frame {
    let mut event = None;
    let mut data: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut at = skip;
    while at < bytes.len() {
        let line_end = memchr2(b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |found| at + found);
        let (name_end, value_start) = match memchr(b':', &bytes[at..line_end]) {
            Some(0) => (at, line_end),
            Some(found) => {
                let after = at + found + 1;
                (at + found, after + usize::from(after < line_end && bytes[after] == b' '))
            }
            None => (line_end, line_end),
        };
        let value = || bytes.slice(value_start..line_end);
        match &bytes[at..name_end] {
            b"event" => event = Some(value()).filter(|name| !name.is_empty()),
            b"data" => match (&mut joined, &data) {
                (Some(joined), _) => {
                    joined.put_u8(b'\n');
                    joined.extend_from_slice(&value());
                }
                (None, Some(first)) => {
                    let mut both = BytesMut::with_capacity(bytes.len());
                    both.extend_from_slice(first);
                    both.put_u8(b'\n');
                    both.extend_from_slice(&value());
                    joined = Some(both);
                }
                (None, None) => data = Some(value()),
            },
            _ => {}
        }
        let is_crlf = bytes[line_end..].starts_with(b"\r\n");
        at = line_end + if is_crlf { 2 } else { 1 };
    }
    Frame { event, data: joined.map(BytesMut::freeze).or(data), bytes }
}

/// Writes one event. Line ends in `data` become further `data:` lines; `event` ends at its first line end.
pub fn encode(event: Option<&str>, data: &[u8], out: &mut BytesMut) {
    if let Some(name) = event {
        write_line(b"event: ", name.lines().next().unwrap_or_default().as_bytes(), out);
    }
    write_lines(b"data: ", data, out);
    out.put_u8(b'\n');
}

/// Writes a comment, which readers pass over: a sign of life on an idle stream.
pub fn comment(text: &str, out: &mut BytesMut) {
    write_lines(b": ", text.as_bytes(), out);
    out.put_u8(b'\n');
}

fn write_lines(name: &[u8], mut text: &[u8], out: &mut BytesMut) {
    out.reserve(name.len() + text.len() + 2);
    while let Some(end) = memchr2(b'\n', b'\r', text) {
        write_line(name, &text[..end], out);
        let is_crlf = text[end..].starts_with(b"\r\n");
        text = &text[end + if is_crlf { 2 } else { 1 }..];
    }
    write_line(name, text, out);
}

fn write_line(name: &[u8], line: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name);
    out.extend_from_slice(line);
    out.put_u8(b'\n');
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("buffered", &self.buffer.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.bytes.len())
    }
}
