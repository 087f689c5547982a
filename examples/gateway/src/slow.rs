//! Cuts connections of clients that take too long over a request head, do not read their answer, are gone, or have
//! asked for nothing in a long time; and only those.
//!
//! hyper's own limit on heads also runs while a kept-alive connection is idle, and would cut clients that do nothing
//! wrong. This one runs from the first byte of a head to the request it makes; between requests another one runs, which
//! is long, so that connections do not pile up that nobody uses.
//!
//! hyper sees an HTTP/1 client leave only while it holds no unread byte of that client's. Behind a stray line end, or
//! the next request of a pipeline, the end of the connection would stay unread until the answer is over. So while a
//! request is being served, what hyper does not read is read ahead here. As with hyper, a client that closes only its
//! sending half is taken for gone: it looks the same, and clients that go on reading after that are very rare.

use std::{
    io,
    mem::{self, MaybeUninit},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The most bytes read ahead. Whether a client has left behind more than that is not known before its answer is over.
const MOST_AHEAD: usize = 64 * 1024;

/// What a connection's service tells its reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    connected: Instant,
    begun: AtomicU64,
    served: AtomicU64,
    /// When the last answer was over, in milliseconds since the connection was there.
    served_at: AtomicU64,
    is_http2: AtomicBool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            connected: Instant::now(),
            begun: AtomicU64::default(),
            served: AtomicU64::default(),
            served_at: AtomicU64::default(),
            is_http2: AtomicBool::default(),
        }
    }
}

impl Heads {
    /// A whole head has arrived. As long as the answer lives, what is read belongs to the request's body.
    ///
    /// On HTTP/2 requests share the connection with frames of all kinds, so after the first one nothing is timed.
    pub(crate) fn note(&self, is_http2: bool) -> Serving {
        self.0.begun.fetch_add(1, Relaxed);
        self.0.is_http2.store(is_http2, Relaxed);
        Serving(Arc::clone(&self.0))
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Relaxed)
    }

    fn is_timed(&self) -> bool {
        !self.0.is_http2.load(Relaxed) && !self.is_serving()
    }

    /// Since when there is nothing to do, after a request.
    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.begun() > 0 && !self.is_serving();
        is_idle.then(|| self.0.connected + Duration::from_millis(self.0.served_at.load(Relaxed)))
    }

    fn is_serving(&self) -> bool {
        self.begun() != self.0.served.load(Relaxed)
    }

    /// An HTTP/2 connection is always read from.
    fn may_go_unread(&self) -> bool {
        !self.0.is_http2.load(Relaxed) && self.is_serving()
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Seen>);

impl Drop for Serving {
    fn drop(&mut self) {
        // Nobody may read on for a while: whoever does looks at the clock.
        let served_at = u64::try_from(self.0.connected.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.served_at.store(served_at, Relaxed);
        self.0.served.fetch_add(1, Relaxed);
    }
}

pin_project! {
    /// A connection on which nothing may be slow.
    pub(crate) struct CutSlow<T> {
        #[pin]
        io: T,
        limits: SlowLimits,
        heads: Heads,
        // How many heads had come when the next one began, and from when on its rest is awaited, a timer.
        head: Option<(u64, Option<Pin<Box<Sleep>>>)>,
        // Set for when the connection will have been idle for too long, or for when to look again.
        idle: Option<Pin<Box<Sleep>>>,
        // Runs while the client takes nothing.
        write: Option<Pin<Box<Sleep>>>,
        ahead: BytesMut,
        // The last read found nothing, so the end of the connection will wake whoever polls it.
        is_read_awaited: bool,
    }
}

/// How slow a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowLimits {
    /// From the first byte of a request head to its last, and from the connection to its first head.
    pub(crate) head: Duration,
    /// From the end of an answer to the next request. On HTTP/2 pings do not count.
    pub(crate) idle: Duration,
    /// For how long a client may take nothing of an answer that waits for it.
    pub(crate) write: Duration,
}

impl<T> CutSlow<T> {
    pub(crate) fn new(io: T, limits: SlowLimits, heads: Heads) -> Self {
        let head = Some((0, Some(Box::pin(sleep(limits.head)))));
        Self { io, limits, heads, head, idle: None, write: None, ahead: BytesMut::new(), is_read_awaited: false }
    }
}

/// Reads what has come so far.
fn read_ahead<T: AsyncRead>(mut io: Pin<&mut T>, ahead: &mut BytesMut, cx: &mut Context<'_>) -> io::Result<()> {
    while ahead.len() < MOST_AHEAD {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        if io.as_mut().poll_read(cx, &mut chunk)?.is_pending() {
            break;
        }
        if chunk.filled().is_empty() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client left before its answer was over"));
        }
        ahead.extend_from_slice(chunk.filled());
    }
    Ok(())
}

/// Passes on what a write came to, unless the client has been taking nothing for too long.
fn within<R>(
    polled: Poll<io::Result<R>>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Result<R>> {
    if polled.is_ready() {
        *timer = None;
        return polled;
    }
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
    timer.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
}

impl<T: AsyncRead> AsyncRead for CutSlow<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let begun = this.heads.begun();
        if this.head.as_ref().is_some_and(|(awaited_after, _)| *awaited_after != begun) {
            *this.head = None;
        }
        let before = buf.filled().len();
        let read = if this.ahead.is_empty() {
            this.io.poll_read(cx, buf)
        } else {
            buf.put_slice(&this.ahead.split_to(this.ahead.len().min(buf.remaining())));
            Poll::Ready(Ok(()))
        };
        *this.is_read_awaited = read.is_pending();
        if let Poll::Ready(read) = read {
            if buf.filled().len() > before && this.head.is_none() && this.heads.is_timed() {
                *this.head = Some((begun, None));
            }
            return Poll::Ready(read);
        }
        // Nearly every head comes at once, and needs no timer.
        let limit = this.limits.head;
        let timer = this.head.as_mut().map(|(_, timer)| timer.get_or_insert_with(|| Box::pin(sleep(limit))));
        if timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request head took too long")));
        }
        let limit = this.limits.idle;
        let idle = this.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
        while idle.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let until = this.heads.idle_since().unwrap_or(now) + limit;
            if until <= now {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the connection was idle for too long",
                )));
            }
            idle.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite> AsyncWrite for CutSlow<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        within(this.io.poll_write(cx, buf), this.write, this.limits.write, cx)
    }

    /// hyper reads, if it wants to, and then flushes each time that something happens on a connection.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        if !mem::take(this.is_read_awaited) && this.heads.may_go_unread() {
            read_ahead(this.io.as_mut(), this.ahead, cx)?;
        }
        within(this.io.poll_flush(cx), this.write, this.limits.write, cx)
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
        let this = self.project();
        within(this.io.poll_write_vectored(cx, bufs), this.write, this.limits.write, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(600);

    fn connection() -> (DuplexStream, CutSlow<DuplexStream>, Heads) {
        let (client, server) = duplex(64);
        let heads = Heads::default();
        (client, CutSlow::new(server, SlowLimits { head: LIMIT, idle: IDLE, write: LIMIT }, heads.clone()), heads)
    }

    async fn read(server: &mut CutSlow<DuplexStream>) -> io::Result<usize> {
        server.read(&mut [0; 64]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_cut_at_the_limit() {
        let (mut client, mut server, _) = connection();
        let begun = Instant::now();
        let trickle = async {
            loop {
                client.write_all(b"G").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            #[allow(unreachable_code)]
            Ok::<_, io::Error>(())
        };
        let cut = async { while read(&mut server).await.is_ok() {} };
        tokio::select! {
            _ = trickle => unreachable!("the client goes on"),
            () = cut => {}
        }
        assert_eq!(begun.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_at_once_sets_no_timer() {
        let (mut client, mut server, heads) = connection();
        for _ in 0..2 {
            client.write_all(b"head").await.unwrap();
            read(&mut server).await.unwrap();
            let serving = heads.note(false);
            assert!(tokio::time::timeout(LIMIT * 2, read(&mut server)).await.is_err());
            assert!(server.head.is_none(), "nothing is awaited of a head");
            drop(serving);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_left_alone_between_requests() {
        let (mut client, mut server, heads) = connection();
        client.write_all(b"head").await.unwrap();
        read(&mut server).await.unwrap();
        drop(heads.note(false));
        assert!(tokio::time::timeout(IDLE / 2, read(&mut server)).await.is_err(), "it waits");
        client.write_all(b"h").await.unwrap();
        read(&mut server).await.unwrap();
        let begun = Instant::now();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), LIMIT, "the next head is timed again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_forgotten_when_no_request_comes() {
        for is_http2 in [false, true] {
            let (mut client, mut server, heads) = connection();
            client.write_all(b"head").await.unwrap();
            read(&mut server).await.unwrap();
            let serving = heads.note(is_http2);
            let (ended, begun) = (IDLE * 7 / 3, Instant::now());
            let answer = async {
                sleep(ended).await;
                drop(serving);
                std::future::pending::<()>().await;
            };
            // The reader is not told when the answer is over.
            tokio::select! {
                _ = read(&mut server) => panic!("closed after {:?}", begun.elapsed()),
                () = answer => {}
                () = sleep(ended + IDLE / 2) => {}
            }
            if is_http2 {
                client.write_all(b"ping").await.unwrap();
                read(&mut server).await.unwrap();
            }
            assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(begun.elapsed().as_secs(), (ended + IDLE).as_secs(), "HTTP/2: {is_http2}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_its_time() {
        let (mut client, mut server, heads) = connection();
        client.write_all(b"head").await.unwrap();
        read(&mut server).await.unwrap();
        let _serving = heads.note(false);
        client.write_all(b"body").await.unwrap();
        read(&mut server).await.unwrap();
        assert!(tokio::time::timeout(LIMIT * 9, read(&mut server)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_unread_bytes_behind_is_seen_to_leave() {
        let (mut client, mut server, heads) = connection();
        client.write_all(b"head").await.unwrap();
        read(&mut server).await.unwrap();
        let _serving = heads.note(false);
        client.write_all(b"more").await.unwrap();
        server.flush().await.unwrap();
        drop(client);
        assert_eq!(server.flush().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_ahead_is_read_in_order() {
        let (mut client, mut server, heads) = connection();
        client.write_all(b"head").await.unwrap();
        read(&mut server).await.unwrap();
        let serving = heads.note(false);
        client.write_all(b"the next ").await.unwrap();
        server.flush().await.unwrap();
        client.write_all(b"request").await.unwrap();
        drop(serving);
        server.flush().await.unwrap();
        let mut next = [0; 16];
        server.read_exact(&mut next).await.unwrap();
        assert_eq!(&next, b"the next request");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut() {
        let (_client, mut server, _) = connection();
        let begun = Instant::now();
        let error = server.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), LIMIT);
    }
}
