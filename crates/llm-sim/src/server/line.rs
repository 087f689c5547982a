//! A connection that can be reset.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Resets a connection: once thrown, nothing goes over it any more, and closing it sends TCP RST.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn throw(&self) {
        self.0.store(true, Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

pin_project! {
    /// A socket with a [`Switch`].
    pub(super) struct Line {
        #[pin]
        stream: TcpStream,
        switch: Switch,
    }

    impl PinnedDrop for Line {
        fn drop(this: Pin<&mut Self>) {
            if this.switch.check().is_err() {
                // Closing a socket that does not linger resets the connection. If the option cannot be set the
                // connection is closed in the ordinary way.
                let _ = this.stream.set_zero_linger();
            }
        }
    }
}

impl Line {
    pub(super) fn new(stream: TcpStream, switch: Switch) -> Self {
        Self { stream, switch }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.switch.check()?;
        this.stream.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.switch.check()?;
        this.stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.switch.check()?;
        this.stream.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        // An orderly end would come before the reset.
        this.switch.check()?;
        this.stream.poll_shutdown(cx)
    }
}
