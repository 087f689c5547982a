//! Response bodies: an answer as bytes, in its time, and with its faults.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::{
    dialect::{GARBAGE, StreamWriter},
    line::Switch,
};
use crate::{
    log::{Ended, Entry},
    plan::Happening,
    player::Player,
};

/// The body of a response. It ends its entry in the log.
pub(super) struct SimBody {
    source: Source,
    out: BytesMut,
    one_byte_writes: bool,
    entry: Entry,
    switch: Switch,
    tokens: u64,
    /// How the call will have ended once everything is out.
    ended: Ended,
    /// Whether the message is complete, so that its end will be no surprise.
    is_complete: bool,
    /// Lets the connection write what it has before anything else happens.
    pause: bool,
    breaks: Option<Break>,
}

enum Source {
    /// All bytes at once.
    Bytes(Option<Bytes>),
    /// The frames of a stream.
    Frames(Player, StreamWriter),
    /// A whole answer in parts, and how many of its bytes have been taken.
    Parts(Player, Bytes, usize),
}

#[derive(Clone, Copy)]
enum Break {
    Cut,
    Reset,
}

/// The connection is broken on purpose.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl SimBody {
    /// A body of these bytes. `tokens` is how many tokens they are.
    pub(super) fn bytes(bytes: Bytes, tokens: u64, ended: Ended, entry: Entry, switch: Switch) -> Self {
        Self { tokens, ended, ..Self::new(Source::Bytes(Some(bytes)), entry, switch) }
    }

    pub(super) fn frames(player: Player, writer: StreamWriter, entry: Entry, switch: Switch) -> Self {
        Self::new(Source::Frames(player, writer), entry, switch)
    }

    pub(super) fn parts(player: Player, bytes: Bytes, entry: Entry, switch: Switch) -> Self {
        Self::new(Source::Parts(player, bytes, 0), entry, switch)
    }

    fn new(source: Source, entry: Entry, switch: Switch) -> Self {
        Self {
            source,
            out: BytesMut::new(),
            one_byte_writes: false,
            entry,
            switch,
            tokens: 0,
            ended: Ended::Complete,
            is_complete: false,
            pause: false,
            breaks: None,
        }
    }

    pub(super) fn one_byte_writes(mut self, one_byte_writes: bool) -> Self {
        self.one_byte_writes = one_byte_writes;
        self
    }

    /// Reads on until there are bytes to write, a break, or the end. False at the end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let happening = match &mut self.source {
            Source::Bytes(bytes) => {
                let Some(bytes) = bytes.take() else { return Poll::Ready(false) };
                self.out.extend_from_slice(&bytes);
                self.is_complete = true;
                return Poll::Ready(true);
            }
            Source::Frames(player, _) | Source::Parts(player, ..) => ready!(player.poll_next(cx)),
        };
        let Some(happening) = happening else { return Poll::Ready(false) };
        match (happening, &mut self.source) {
            (Happening::Frame(frame), Source::Frames(_, writer)) => {
                writer.frame(&frame, &mut self.out);
                self.tokens += u64::from(frame.is_content());
                self.is_complete = frame.is_last();
            }
            (Happening::UpTo { tokens, of }, Source::Parts(_, bytes, taken)) => {
                let share = bytes.len() as u128 * u128::from(tokens) / u128::from(of.max(1));
                let end = usize::try_from(share).unwrap_or(bytes.len());
                self.out.extend_from_slice(bytes.get(*taken..end).unwrap_or_default());
                *taken = end;
                self.tokens = tokens;
                self.is_complete = tokens == of;
            }
            (Happening::Garbage, source) => {
                match source {
                    Source::Frames(_, writer) => writer.garbage(&mut self.out),
                    Source::Parts(..) | Source::Bytes(_) => self.out.extend_from_slice(GARBAGE),
                }
                self.ended = Ended::Faulted;
            }
            (Happening::Error(trouble), Source::Frames(_, writer)) => {
                writer.error(&trouble, &mut self.out);
                self.ended = Ended::Faulted;
            }
            (Happening::Ping, Source::Frames(_, writer)) => writer.ping(&mut self.out),
            (Happening::Ping, _) => self.out.extend_from_slice(b"\n"),
            (Happening::Cut, _) => self.breaks = Some(Break::Cut),
            (Happening::Reset, _) => self.breaks = Some(Break::Reset),
            // A plan for one form of answer never holds steps of the other.
            (Happening::Frame(_) | Happening::Error(_) | Happening::UpTo { .. }, _) => {}
        }
        self.pause = self.breaks.is_some();
        Poll::Ready(true)
    }

    fn write(&mut self) -> Bytes {
        let bytes = if self.one_byte_writes { self.out.split_to(1) } else { self.out.split() };
        self.pause = self.one_byte_writes;
        self.entry.sent(self.tokens);
        if self.is_complete && self.out.is_empty() {
            // Said with the last byte: a caller that hangs up right after it has not left.
            self.entry.end(self.ended);
        }
        bytes.freeze()
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        loop {
            if std::mem::take(&mut this.pause) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(this.write()))));
            }
            if let Some(breaks) = this.breaks {
                this.entry.end(Ended::Faulted);
                if matches!(breaks, Break::Reset) {
                    this.switch.throw();
                }
                return Poll::Ready(Some(Err(Broken)));
            }
            if !ready!(this.poll_source(cx)) {
                this.entry.end(if this.is_complete { this.ended } else { Ended::Faulted });
                return Poll::Ready(None);
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Bytes(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Source::Bytes(None) => SizeHint::with_exact(self.out.len() as u64),
            Source::Frames(..) | Source::Parts(..) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{
        SimConfig,
        log::{Arrival, Log},
    };

    #[test]
    fn one_byte_writes_let_the_connection_write_before_the_next_byte() {
        let entry = Log::new(&SimConfig::default()).begin(Arrival::default());
        let body = SimBody::bytes(Bytes::from("abc"), 0, Ended::Complete, entry, Switch::default());
        let mut body = body.one_byte_writes(true);
        let mut cx = Context::from_waker(Waker::noop());
        for expected in ["a", "b", "c"] {
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else { panic!("no byte") };
            assert_eq!(frame.data_ref().unwrap(), expected);
            assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        }
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
    }
}
