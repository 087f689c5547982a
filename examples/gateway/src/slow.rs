//! Cuts connections of clients that take too long over a request head, or do not read their answer; and only those.
//!
//! hyper's own limit on heads also runs while a kept-alive connection is idle, and would cut clients that do nothing
//! wrong. This one runs from the first byte of a head to the request it makes; between requests nothing runs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What a connection's service tells its reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    begun: AtomicU64,
    served: AtomicU64,
    is_http2: AtomicBool,
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
        !self.0.is_http2.load(Relaxed) && self.begun() == self.0.served.load(Relaxed)
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Seen>);

impl Drop for Serving {
    fn drop(&mut self) {
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
        // How many heads had come when the timer was set, and the timer.
        head: Option<(u64, Pin<Box<Sleep>>)>,
        // Runs while the client takes nothing.
        write: Option<Pin<Box<Sleep>>>,
    }
}

/// How slow a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowLimits {
    /// From the first byte of a request head to its last, and from the connection to its first head.
    pub(crate) head: Duration,
    /// For how long a client may take nothing of an answer that waits for it.
    pub(crate) write: Duration,
}

impl<T> CutSlow<T> {
    pub(crate) fn new(io: T, limits: SlowLimits, heads: Heads) -> Self {
        let head = Some((0, Box::pin(sleep(limits.head))));
        Self { io, limits, heads, head, write: None }
    }
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
        if let Poll::Ready(read) = this.io.poll_read(cx, buf) {
            if buf.filled().len() > before && this.head.is_none() && this.heads.is_timed() {
                *this.head = Some((begun, Box::pin(sleep(this.limits.head))));
            }
            return Poll::Ready(read);
        }
        let is_late = this.head.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if is_late {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request head took too long")));
        }
        Poll::Pending
    }
}

impl<T: AsyncWrite> AsyncWrite for CutSlow<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        within(this.io.poll_write(cx, buf), this.write, this.limits.write, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn connection() -> (DuplexStream, CutSlow<DuplexStream>, Heads) {
        let (client, server) = duplex(64);
        let heads = Heads::default();
        (client, CutSlow::new(server, SlowLimits { head: LIMIT, write: LIMIT }, heads.clone()), heads)
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
    async fn an_idle_connection_is_left_alone_between_requests() {
        let (mut client, mut server, heads) = connection();
        client.write_all(b"head").await.unwrap();
        read(&mut server).await.unwrap();
        drop(heads.note(false));
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, read(&mut server)).await.is_err(), "it waits for ever");
        client.write_all(b"h").await.unwrap();
        read(&mut server).await.unwrap();
        let begun = Instant::now();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), LIMIT, "the next head is timed again");
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
    async fn a_client_that_does_not_read_is_cut() {
        let (_client, mut server, _) = connection();
        let begun = Instant::now();
        let error = server.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), LIMIT);
    }
}
