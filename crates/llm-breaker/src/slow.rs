//! The timer of a call whose slowness counts.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use llm_core::{Body, Error, Frame, LlmResponse};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::call::Admitted;

/// Counts a call as slow when its time has come, unless it is dropped before.
pub(crate) struct Timer {
    after: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    admitted: Admitted,
    was_slow: Arc<AtomicBool>,
}

impl Timer {
    /// Boxed, because nearly no call has one and all would move the room for it.
    pub(crate) fn new(after: Duration, admitted: Admitted, was_slow: Arc<AtomicBool>) -> Box<Self> {
        Box::new(Self { after, sleep: None, admitted, was_slow })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.after)));
        sleep.as_mut().poll(cx).map(|()| {
            self.was_slow.store(true, Relaxed);
            self.admitted.slow();
        })
    }
}

/// Lets the time pass that a call may take; it has no timer where slowness does not count, or has been counted.
fn poll_timer(timer: &mut Option<Box<Timer>>, cx: &mut Context<'_>) {
    if timer.as_mut().is_some_and(|timer| timer.poll(cx).is_ready()) {
        *timer = None;
    }
}

pin_project! {
    /// An inner call, with a timer until its first content.
    pub(crate) struct Timed<F> {
        #[pin]
        future: F,
        timer: Option<Box<Timer>>,
    }
}

impl<F> Timed<F> {
    pub(crate) fn new(future: F, timer: Option<Box<Timer>>) -> Self {
        Self { future, timer }
    }
}

impl<F, E> Future for Timed<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(answered) => Poll::Ready(answered.map(|response| match this.timer.take() {
                // A whole answer is over, and its content there.
                Some(timer) => response.map(|body| body.wrap(|inner| UntilContent { inner, timer: Some(timer) })),
                None => response,
            })),
            Poll::Pending => {
                poll_timer(this.timer, cx);
                Poll::Pending
            }
        }
    }
}

/// A stream with a timer until its first content.
struct UntilContent {
    inner: Body,
    timer: Option<Box<Timer>>,
}

impl Stream for UntilContent {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.inner).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) if !frame.ends_wait() => {}
            Poll::Ready(_) => self.timer = None,
            Poll::Pending => poll_timer(&mut self.timer, cx),
        }
        polled
    }
}
