//! The answer as it comes: a stream of frames, or a whole answer, behind one type.
//!
//! This is the only code that knows how a stream can end: it was over from the start, it says so with its last frame,
//! it just ends, it fails, or it is dropped. Each way is exactly one [`Outcome`] for every observer.

mod state;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use self::state::State;
use crate::{
    Accumulator, ChatOutput, Dialect, Error, ErrorKind, Frame, LlmRequest, Observer, Outcome, Output, Progress, Wire,
    accumulate::unfold, outcome::Prompt,
};

/// A model's answer as it comes: a [`Stream`] of [`Frame`]s, or whole.
///
/// Either can be read as the other: a whole answer streams as one frame, and [`collect`](Self::collect) makes a
/// stream whole. Dropping a body before its end abandons the call, and everything it held is released at once.
pub struct Body(Repr);

enum Repr {
    Full(Box<Full>),
    Stream(Pin<Box<Streaming<Frames>>>),
}

type Frames = dyn EndStream + Send;

/// A stream of frames that can be dropped before whoever holds it.
trait EndStream: Stream<Item = Result<Frame, Error>> {
    fn end(self: Pin<&mut Self>);
}

pin_project! {
    /// A stream until it has ended.
    struct Ending<S> {
        #[pin]
        stream: Option<S>,
    }
}

impl<S: Stream<Item = Result<Frame, Error>>> Stream for Ending<S> {
    type Item = Result<Frame, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.project().stream.as_pin_mut() {
            Some(stream) => stream.poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl<S: Stream<Item = Result<Frame, Error>>> EndStream for Ending<S> {
    fn end(self: Pin<&mut Self>) {
        self.project().stream.set(None);
    }
}

struct Full {
    // Gone once it has been read.
    output: Option<Output>,
    wire: Option<Wire>,
    at: Instant,
    progress: Progress,
    // Whether `progress` has been worked out, which nobody may ever ask for.
    is_seen: bool,
}

impl Full {
    fn progress(&mut self) -> &Progress {
        if let Some(output) = self.output.as_ref().filter(|_| !self.is_seen) {
            self.progress.see_output(output, self.at);
            self.is_seen = true;
        }
        &self.progress
    }

    fn take(&mut self) -> Option<Output> {
        // Whoever still wants to observe must find out how it went.
        self.progress();
        self.output.take()
    }
}

pin_project! {
    /// The stream, what is known of it and who watches it, in one allocation.
    struct Streaming<S>
    where
        S: EndStream,
        S: ?Sized,
    {
        state: State,
        #[pin]
        stream: S,
    }

    impl<S> PinnedDrop for Streaming<S>
    where
        S: EndStream,
        S: ?Sized,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Whoever observes a body within this one is told first, as at every other end.
            let _told_last = this.state.tell_when_dropped();
            this.stream.end();
        }
    }
}

impl Body {
    /// A whole answer. It is over already, so observers run as soon as they are attached.
    pub fn full(output: impl Into<Output>) -> Self {
        Self(Repr::Full(Box::new(Full {
            output: Some(output.into()),
            wire: None,
            at: Instant::now(),
            progress: Progress::default(),
            is_seen: false,
        })))
    }

    /// An answer that comes in frames. The stream should mark its dialect's terminal frame as
    /// [`last`](Frame::last); if it ends without one, and no finish reason came, it was cut.
    pub fn stream<S>(frames: S) -> Self
    where
        S: Stream<Item = Result<Frame, Error>> + Send + 'static,
    {
        Self(Repr::Stream(Box::pin(Streaming { state: State::default(), stream: Ending { stream: Some(frames) } })))
    }

    /// Keeps the bytes that a whole answer was decoded from. On a stream each frame has its own.
    pub fn with_wire(mut self, dialect: Dialect, bytes: bytes::Bytes) -> Self {
        if let Repr::Full(full) = &mut self.0 {
            full.wire = Some(Wire { dialect, bytes });
        }
        self
    }

    /// Says what the answer is to, so that usage can be estimated where the provider does not report it.
    ///
    /// For edges: `model` is the model that answers, whose way of counting tokens is used.
    pub fn answering(mut self, request: &LlmRequest, model: &str) -> Self {
        self.progress_mut().set_prompt(Prompt::new(request, model));
        self
    }

    /// Says that no provider is paid for the answer: it comes out of a cache, or a fallback made it up.
    pub fn unpaid(mut self) -> Self {
        self.progress_mut().set_unpaid();
        self
    }

    /// Whether no provider is paid for the answer, and so whether it says nothing of a target.
    pub fn is_unpaid(&self) -> bool {
        match &self.0 {
            Repr::Full(full) => full.progress.is_unpaid(),
            Repr::Stream(streaming) => streaming.state.progress.is_unpaid(),
        }
    }

    /// Puts a stream around this one, for a layer that ends or changes it; who only watches [observes](Self::observe).
    ///
    /// The new body counts for itself, knows what it answers as this one does, and whether it was held back already. A
    /// whole answer is over and stays as it is. When the new stream is dropped, and this one with it before its end,
    /// those who observe this one are told that it was abandoned.
    pub fn wrap<S>(mut self, wrap: impl FnOnce(Self) -> S) -> Self
    where
        S: Stream<Item = Result<Frame, Error>> + Send + 'static,
    {
        let Repr::Stream(streaming) = &mut self.0 else { return self };
        let inner = streaming.as_mut().project().state;
        let state = State {
            progress: inner.progress.beginning(),
            committed: inner.committed || inner.progress.is_committed(),
            ..State::default()
        };
        Self(Repr::Stream(Box::pin(Streaming { state, stream: Ending { stream: Some(wrap(self)) } })))
    }

    fn progress_mut(&mut self) -> &mut Progress {
        match &mut self.0 {
            Repr::Full(full) => &mut full.progress,
            Repr::Stream(streaming) => &mut streaming.as_mut().project().state.progress,
        }
    }

    /// Attaches an observer. On an answer that is already over it runs at once and nothing is stored.
    pub fn observe(mut self, mut observer: impl Observer) -> Self {
        match &mut self.0 {
            Repr::Full(full) => {
                let progress = full.progress();
                if progress.first_content().is_some() {
                    observer.on_content(progress);
                }
                observer.on_end(&Outcome::Complete(progress));
            }
            Repr::Stream(streaming) => {
                let state = streaming.as_mut().project().state;
                match &state.end {
                    Some(end) if state.held.is_empty() => observer.on_end(&end.outcome(&state.progress)),
                    _ => state.observers.push(Box::new(observer)),
                }
            }
        }
        self
    }

    /// Calls `then` once with how the call ended.
    pub fn on_end(self, then: impl FnOnce(&Outcome<'_>) + Send + 'static) -> Self {
        struct OnEnd<F>(Option<F>);
        impl<F: FnOnce(&Outcome<'_>) + Send + 'static> Observer for OnEnd<F> {
            fn on_end(&mut self, outcome: &Outcome<'_>) {
                if let Some(then) = self.0.take() {
                    then(outcome);
                }
            }
        }
        self.observe(OnEnd(Some(then)))
    }

    /// True for a whole answer, which needs no reading.
    pub fn is_full(&self) -> bool {
        matches!(self.0, Repr::Full(_))
    }

    /// The whole answer, without reading anything; `None` for a stream.
    pub fn as_full(&self) -> Option<&Output> {
        match &self.0 {
            Repr::Full(full) => full.output.as_ref(),
            Repr::Stream(_) => None,
        }
    }

    /// The bytes that a whole answer was decoded from, if it was.
    pub fn wire(&self) -> Option<&Wire> {
        match &self.0 {
            Repr::Full(full) => full.wire.as_ref(),
            Repr::Stream(_) => None,
        }
    }

    /// Reads the answer to its end.
    ///
    /// # Errors
    /// Whatever the stream fails with. What had come by then is lost; observe the frames to keep it.
    pub async fn collect(mut self) -> Result<Output, Error> {
        if let Repr::Full(full) = &mut self.0 {
            return Ok(full.take().unwrap_or_else(|| Output::Chat(ChatOutput::default())));
        }
        let mut whole = Accumulator::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            whole.push(frame?);
        }
        Ok(Output::Chat(whole.finish()))
    }

    /// Reads one more frame and holds it back. `None` when there is nothing more to wait for.
    pub(crate) fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<usize, Error>>> {
        let Repr::Stream(streaming) = &mut self.0 else { return Poll::Ready(None) };
        if streaming.state.committed || streaming.state.end.is_some() || streaming.state.progress.is_committed() {
            return Poll::Ready(None);
        }
        let polled = ready!(streaming.as_mut().poll_fresh(cx));
        Poll::Ready(polled.map(|frame| {
            frame.map(|frame| {
                let bytes = size_of::<Frame>() + frame.wire().map_or(0, |wire| wire.bytes.len());
                streaming.as_mut().project().state.hold(frame);
                bytes
            })
        }))
    }

    /// From here on nothing is held back.
    pub(crate) fn commit(&mut self) {
        if let Repr::Stream(streaming) = &mut self.0 {
            streaming.as_mut().project().state.committed = true;
        }
    }
}

impl<S: EndStream + ?Sized> Streaming<S> {
    fn poll_fresh(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let this = self.project();
        this.state.polling = true;
        let polled = this.stream.poll_next(cx).map(|item| match item {
            Some(Ok(frame)) => {
                this.state.see(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(this.state.fail(error))),
            None if this.state.progress.is_finished() => {
                this.state.complete();
                None
            }
            None => {
                let cut = Error::new(ErrorKind::Interrupted, "the stream ended before the answer was complete");
                Some(Err(this.state.fail(cut)))
            }
        });
        this.state.polling = false;
        polled
    }
}

impl Stream for Body {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Repr::Full(full) => Poll::Ready(full.take().map(|output| Ok(unfold(output)))),
            Repr::Stream(streaming) => {
                let state = streaming.as_mut().project().state;
                if let Some(frame) = state.held.pop_front() {
                    state.release(&frame);
                    return Poll::Ready(Some(Ok(frame)));
                }
                if state.end.is_some() {
                    return Poll::Ready(None);
                }
                streaming.as_mut().poll_fresh(cx)
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Full(full) => f.debug_tuple("Full").field(&full.output).finish(),
            Repr::Stream(streaming) => f
                .debug_struct("Stream")
                .field("frames", &streaming.state.progress.frames())
                .field("ended", &streaming.state.end.is_some())
                .finish_non_exhaustive(),
        }
    }
}
