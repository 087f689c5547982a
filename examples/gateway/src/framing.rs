//! Follows the framing of HTTP/1 on a connection, and finds what another reader could frame differently.
//!
//! hyper takes a bare line feed for the end of a line, as RFC 9112 (2.2) allows, and of a message with both a length
//! and chunks it takes the chunks (6.3). A proxy in front that reads the bytes in the other way sees one request where
//! the gateway sees two, or a header that it did not check. hyper has no switch for that, and its service no longer sees
//! the bytes; so they are followed on their way to it, to the end of each head and each body, and such a message is
//! refused as a whole.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use memchr::memchr;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// No line of a head, and no line between chunks, is longer: hyper takes no larger head.
const LONGEST_LINE: usize = 64 * 1024;

/// What hyper gets to read in the place of the byte that makes a message ambiguous. No line goes on with a zero byte
/// behind a carriage return, so it answers 400 and closes the connection; of trailers it first awaits the end.
const WRONG: &[u8] = b"\r\0\r\n\r\n";

pin_project! {
    /// A connection on which nothing is ambiguous.
    pub(crate) struct Framed<T> {
        #[pin]
        io: T,
        framing: Framing,
        // What is left to be read of a message that was refused.
        refused: Option<&'static [u8]>,
    }
}

impl<T> Framed<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, framing: Framing::default(), refused: None }
    }
}

impl<T: AsyncRead> AsyncRead for Framed<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        let before = buf.filled().len();
        if this.refused.is_none() {
            ready!(this.io.as_mut().poll_read(cx, buf))?;
            let Err(plain) = this.framing.follow(&buf.filled()[before..]) else { return Poll::Ready(Ok(())) };
            buf.set_filled(before + plain);
            *this.refused = Some(WRONG);
        }
        let wrong = this.refused.get_or_insert_default();
        if !wrong.is_empty() {
            let (now, later) = wrong.split_at(wrong.len().min(buf.remaining()));
            buf.put_slice(now);
            *wrong = later;
            return Poll::Ready(Ok(()));
        }
        // Nothing of it is looked at any more but its end.
        loop {
            ready!(this.io.as_mut().poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
        }
    }
}

impl<T: AsyncWrite> AsyncWrite for Framed<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bufs)
    }
}

/// Where a connection is.
#[derive(Debug)]
struct Framing {
    at: At,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    head: Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// So many bytes of a body, or of a chunk and the line end behind it, are still to come.
    Data {
        left: u64,
        in_chunks: bool,
    },
    ChunkSize,
    Trailers,
    /// HTTP/2 has frames of its own.
    Http2,
}

/// What the lines of a head have said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    is_begun: bool,
    length: Option<u64>,
    is_chunked: bool,
}

/// Something that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ambiguous;

impl Default for Framing {
    fn default() -> Self {
        Self { at: At::Head, line: Vec::new(), head: Head::default() }
    }
}

impl Framing {
    /// Looks at the next bytes of the connection.
    ///
    /// # Errors
    /// With the number of bytes before the one that makes them ambiguous. It always comes before the end of a head.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut seen = 0;
        while seen < bytes.len() {
            let rest = &bytes[seen..];
            seen += match self.at {
                At::Http2 => return Ok(()),
                At::Data { left, in_chunks } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.take_data(left - taken as u64, in_chunks);
                    taken
                }
                At::Head | At::ChunkSize | At::Trailers => match memchr(b'\n', rest) {
                    Some(end) => {
                        self.take_line(&rest[..end]).map_err(|Ambiguous| seen + end)?;
                        end + 1
                    }
                    None if self.line.len() + rest.len() > LONGEST_LINE => return Err(seen),
                    None => {
                        self.line.extend_from_slice(rest);
                        rest.len()
                    }
                },
            };
        }
        Ok(())
    }

    fn take_data(&mut self, left: u64, in_chunks: bool) {
        self.at = match (left, in_chunks) {
            (0, true) => At::ChunkSize,
            (0, false) => At::Head,
            (left, in_chunks) => At::Data { left, in_chunks },
        };
    }

    /// Takes a line up to its line feed.
    fn take_line(&mut self, end: &[u8]) -> Result<(), Ambiguous> {
        let mut begun = std::mem::take(&mut self.line);
        let line = if begun.is_empty() {
            end
        } else {
            begun.extend_from_slice(end);
            &begun[..]
        };
        let line = line.strip_suffix(b"\r").ok_or(Ambiguous)?;
        if memchr(b'\r', line).is_some() {
            return Err(Ambiguous);
        }
        match self.at {
            At::Head if !self.head.is_begun => {
                // Empty lines before a request are none of it (RFC 9112, 2.2).
                self.head.is_begun = !line.is_empty();
                if line == b"PRI * HTTP/2.0" {
                    self.at = At::Http2;
                }
            }
            At::Head if line.is_empty() => {
                let Head { length, is_chunked, .. } = std::mem::take(&mut self.head);
                if is_chunked {
                    self.at = At::ChunkSize;
                } else {
                    self.take_data(length.unwrap_or(0), false);
                }
            }
            At::Head => self.head.take_field(line)?,
            At::ChunkSize => {
                self.at = match chunk_size(line)? {
                    0 => At::Trailers,
                    size => At::Data { left: size.checked_add(2).ok_or(Ambiguous)?, in_chunks: true },
                };
            }
            At::Trailers if line.is_empty() => self.at = At::Head,
            At::Trailers | At::Data { .. } | At::Http2 => {}
        }
        Ok(())
    }
}

impl Head {
    /// Takes a header's line.
    fn take_field(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let colon = memchr(b':', line).ok_or(Ambiguous)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10)?;
            if self.length.replace(length).is_some_and(|other| other != length) {
                return Err(Ambiguous);
            }
        }
        self.is_chunked |= name.eq_ignore_ascii_case(b"transfer-encoding");
        if self.is_chunked && self.length.is_some() { Err(Ambiguous) } else { Ok(()) }
    }
}

/// The size in a line before a chunk, which may have extensions behind it.
fn chunk_size(line: &[u8]) -> Result<u64, Ambiguous> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(line.len());
    number(&line[..end], 16)
}

/// A number of digits alone, without the sign that Rust would take.
fn number(digits: &[u8], radix: u32) -> Result<u64, Ambiguous> {
    let text = std::str::from_utf8(digits).map_err(|_| Ambiguous)?;
    if !text.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Ambiguous);
    }
    u64::from_str_radix(text, radix).map_err(|_| Ambiguous)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\n";

    /// Whether these bytes are plain, however they are cut into pieces, and end between two requests.
    fn is_plain(bytes: &str) -> bool {
        let whole = Framing::default().follow(bytes.as_bytes());
        for size in 1..bytes.len().min(40) {
            let (mut framing, mut seen) = (Framing::default(), 0);
            let pieces = bytes.as_bytes().chunks(size).try_for_each(|piece| {
                framing.follow(piece).map_err(|at| seen + at)?;
                seen += piece.len();
                Ok(())
            });
            assert_eq!(pieces, whole, "{bytes:?} in pieces of {size}");
            let is_between = framing.at == At::Head && !framing.head.is_begun && framing.line.is_empty();
            assert!(pieces.is_err() || is_between, "{bytes:?} ends within: {framing:?}");
        }
        whole.is_ok()
    }

    #[test]
    fn each_request_ends_where_its_framing_says() {
        for rest in [
            "\r\n",
            "content-length: 5\r\n\r\na\nb\nc",
            "Content-Length:\t5 \r\ncontent-length: 5\r\n\r\nhello",
            "content-length: 0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5;a=b\r\nh\nllo\r\nA  \r\n0123456789\r\n0\r\nx: y\r\n\r\n",
        ] {
            assert!(is_plain(&format!("{HEAD}{rest}")), "{rest:?}");
            assert!(is_plain(&format!("\r\n{HEAD}{rest}{HEAD}{rest}")), "{rest:?}, twice");
            assert!(!is_plain(&format!("{HEAD}{rest}GET / HTTP/1.1\n")), "{rest:?}, then a bare line feed");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_found() {
        for rest in [
            "\n",
            "x: y\n\r\n",
            "x: y\r\n\n",
            "x: y\rz\r\n\r\n",
            "x: y\r\r\n\r\n",
            "no field\r\n\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            "content-length: +5\r\n\r\n",
            "content-length: \r\n\r\n",
            "content-length: 5, 5\r\n\r\n",
            "content-length: 99999999999999999999\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n-5\r\n",
            "transfer-encoding: chunked\r\n\r\n0x5\r\n",
            "transfer-encoding: chunked\r\n\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "transfer-encoding: chunked\r\n\r\n0\r\nx: y\n\r\n",
        ] {
            assert!(!is_plain(&format!("{HEAD}{rest}")), "{rest:?}");
        }
        assert!(!is_plain("GET / HTTP/1.1\nhost: a\r\n\r\n"));
        assert!(Framing::default().follow(&[b'x'; LONGEST_LINE + 1]).is_err());
    }

    #[test]
    fn the_place_is_before_the_byte_that_would_end_a_line() {
        let bytes = format!("{HEAD}x: y\nz: 1\r\n\r\n");
        assert_eq!(Framing::default().follow(bytes.as_bytes()), Err(HEAD.len() + 4));
    }

    /// However small the pieces in which it is read.
    #[tokio::test]
    async fn what_is_ambiguous_is_read_as_wrong_to_its_end() {
        for size in [1, 3, 64] {
            let (mut client, server) = tokio::io::duplex(1_000);
            client.write_all(format!("{HEAD}x: y\nz: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            drop(client);
            let (mut framed, mut read, mut piece) = (Framed::new(server), Vec::new(), vec![0; size]);
            while let count @ 1.. = framed.read(&mut piece).await.unwrap() {
                read.extend_from_slice(&piece[..count]);
            }
            assert_eq!(String::from_utf8(read).unwrap(), format!("{HEAD}x: y\r\0\r\n\r\n"), "in pieces of {size}");
        }
    }

    #[test]
    fn http2_is_left_alone() {
        let mut framing = Framing::default();
        assert_eq!(framing.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\n\n\xff"), Ok(()));
        assert_eq!(framing.follow(b"\n\n"), Ok(()));
    }
}
