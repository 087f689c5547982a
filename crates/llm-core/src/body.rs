//! The answer as it comes: a stream of frames, or a whole answer, behind one type.
//!
//! This is the only code that knows how a stream can end: it was over from the start, it says so with its last frame,
//! it just ends, it fails, or it is dropped. Each way is exactly one [`Outcome`] for every observer.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    Accumulator, ChatOutput, Dialect, Error, ErrorKind, Frame, LlmRequest, Observer, Outcome, Output, Progress, Stage,
    TokenFamily, Wire, accumulate::unfold, outcome::Prompt,
};

/// A model's answer as it comes: a [`Stream`] of [`Frame`]s, or whole.
///
/// Either can be read as the other: a whole answer streams as one frame, and [`collect`](Self::collect) makes a
/// stream whole. Dropping a body before its end abandons the call, and everything it held is released at once.
pub struct Body(Repr);

enum Repr {
    Full(Option<Box<Full>>),
    Stream(Pin<Box<Streaming<Frames>>>),
}

type Frames = dyn Stream<Item = Result<Frame, Error>> + Send;

struct Full {
    output: Output,
    wire: Option<Wire>,
    at: Instant,
    prompt: Option<Prompt>,
    from_cache: bool,
}

impl Full {
    fn progress(&self) -> Progress {
        let mut progress = self.prompt.clone().map(Progress::of_prompt).unwrap_or_default();
        if self.from_cache {
            progress.set_from_cache();
        }
        progress.see_output(&self.output, self.at);
        progress
    }
}

pin_project! {
    /// The stream, what is known of it and who watches it, in one allocation.
    struct Streaming<S: ?Sized> {
        state: State,
        #[pin]
        stream: S,
    }

    impl<S: ?Sized> PinnedDrop for Streaming<S> {
        fn drop(this: Pin<&mut Self>) {
            this.project().state.drop_unfinished();
        }
    }
}

#[derive(Default)]
struct State {
    observers: SmallVec<[Box<dyn Observer>; 2]>,
    progress: Progress,
    ended: bool,
    // Held back by `until_content`. The first `early` observers have seen these frames, the others have not.
    held: VecDeque<Frame>,
    early: usize,
    committed: bool,
    // Still set while dropping: the stream panicked.
    polling: bool,
}

impl Body {
    /// A whole answer. It is over already, so observers run as soon as they are attached.
    pub fn full(output: impl Into<Output>) -> Self {
        Self(Repr::Full(Some(Box::new(Full {
            output: output.into(),
            wire: None,
            at: Instant::now(),
            prompt: None,
            from_cache: false,
        }))))
    }

    /// An answer that comes in frames. The stream should mark its dialect's terminal frame as
    /// [`last`](Frame::last); if it ends without one, and no finish reason came, it was cut.
    pub fn stream<S>(frames: S) -> Self
    where
        S: Stream<Item = Result<Frame, Error>> + Send + 'static,
    {
        Self(Repr::Stream(Box::pin(Streaming { state: State::default(), stream: frames })))
    }

    /// Keeps the bytes that a whole answer was decoded from. On a stream each frame has its own.
    pub fn with_wire(mut self, dialect: Dialect, bytes: bytes::Bytes) -> Self {
        if let Repr::Full(Some(full)) = &mut self.0 {
            full.wire = Some(Wire { dialect, bytes });
        }
        self
    }

    /// Says what the answer is to, so that usage can be estimated where the provider does not report it.
    ///
    /// For edges: `model` is the model that answers, whose way of counting tokens is used.
    pub fn answering(mut self, request: &LlmRequest, model: &str) -> Self {
        let prompt = Prompt { payload: request.shared_payload(), family: TokenFamily::of(model) };
        match &mut self.0 {
            Repr::Full(Some(full)) => full.prompt = Some(prompt),
            Repr::Full(None) => {}
            Repr::Stream(streaming) => streaming.as_mut().project().state.progress.set_prompt(prompt),
        }
        self
    }

    /// Says that the answer comes out of a cache: nobody was paid for it.
    pub fn from_cache(mut self) -> Self {
        match &mut self.0 {
            Repr::Full(Some(full)) => full.from_cache = true,
            Repr::Full(None) => {}
            Repr::Stream(streaming) => streaming.as_mut().project().state.progress.set_from_cache(),
        }
        self
    }

    /// Attaches an observer. On an answer that is already over it runs at once and nothing is stored.
    pub fn observe(mut self, mut observer: impl Observer) -> Self {
        match &mut self.0 {
            Repr::Full(Some(full)) => {
                let progress = full.progress();
                if progress.first_content().is_some() {
                    observer.on_content(&progress);
                }
                observer.on_end(&Outcome::Complete(&progress));
            }
            Repr::Full(None) => observer.on_end(&Outcome::Complete(&Progress::default())),
            Repr::Stream(streaming) => {
                let state = streaming.as_mut().project().state;
                if state.ended && state.held.is_empty() {
                    observer.on_end(&Outcome::Complete(&state.progress));
                } else {
                    state.observers.push(Box::new(observer));
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
            Repr::Full(full) => full.as_deref().map(|full| &full.output),
            Repr::Stream(_) => None,
        }
    }

    /// The bytes that a whole answer was decoded from, if it was.
    pub fn wire(&self) -> Option<&Wire> {
        match &self.0 {
            Repr::Full(full) => full.as_deref().and_then(|full| full.wire.as_ref()),
            Repr::Stream(_) => None,
        }
    }

    /// Reads the answer to its end.
    ///
    /// # Errors
    /// Whatever the stream fails with. What had come by then is lost; observe the frames to keep it.
    pub async fn collect(mut self) -> Result<Output, Error> {
        if let Repr::Full(full) = &mut self.0 {
            let full = full.take().map(|full| full.output);
            return Ok(full.unwrap_or_else(|| Output::Chat(ChatOutput::default())));
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
        if streaming.state.committed || streaming.state.ended || streaming.state.progress.is_committed() {
            return Poll::Ready(None);
        }
        let polled = ready!(streaming.as_mut().poll_fresh(cx));
        Poll::Ready(polled.map(|frame| {
            frame.map(|frame| {
                let bytes = frame.wire().map_or(0, |wire| wire.bytes.len());
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

impl<S: Stream<Item = Result<Frame, Error>> + ?Sized> Streaming<S> {
    fn poll_fresh(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let this = self.project();
        this.state.polling = true;
        let polled = this.stream.poll_next(cx);
        this.state.polling = false;
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                this.state.see(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(this.state.fail(error))),
            None if this.state.progress.finish().is_some() => {
                this.state.complete();
                None
            }
            None => {
                let cut = Error::new(ErrorKind::Interrupted, "the stream ended before the answer was complete");
                Some(Err(this.state.fail(cut)))
            }
        })
    }
}

impl State {
    fn see(&mut self, frame: &Frame) {
        let is_first_content = self.progress.see_frame(frame);
        for observer in &mut self.observers {
            observer.on_frame(frame, &self.progress);
            if is_first_content {
                observer.on_content(&self.progress);
            }
        }
        if frame.is_last() {
            self.complete();
        }
    }

    fn hold(&mut self, frame: Frame) {
        self.held.push_back(frame);
        self.early = self.observers.len();
    }

    /// Hands on a held frame: those who came since it was held see it now.
    fn release(&mut self, frame: &Frame) {
        let brings_content = frame.is_content() && !self.held.iter().any(Frame::is_content);
        let late = self.early.min(self.observers.len());
        for observer in &mut self.observers[late..] {
            observer.on_frame(frame, &self.progress);
            if brings_content {
                observer.on_content(&self.progress);
            }
        }
        if self.ended && self.held.is_empty() {
            self.tell(late, Outcome::Complete);
        }
    }

    fn complete(&mut self) {
        self.end();
        self.tell(0, Outcome::Complete);
    }

    fn fail(&mut self, error: Error) -> Error {
        let error = match self.progress.first_content() {
            Some(_) if error.stage() == Stage::BeforeContent => error.with_stage(Stage::AfterContent),
            _ => error,
        };
        self.end();
        self.tell(0, |progress| Outcome::Failed(progress, &error));
        error
    }

    fn drop_unfinished(&mut self) {
        if self.ended {
            // Those who came after the end was held back have not been told.
            let late = self.early.min(self.observers.len());
            self.tell(late, Outcome::Abandoned);
            return;
        }
        self.end();
        if self.polling {
            let panicked = Error::internal("the stream panicked");
            self.tell(0, |progress| Outcome::Failed(progress, &panicked));
        } else {
            self.tell(0, Outcome::Abandoned);
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.progress.end_at(Instant::now());
    }

    /// Tells the observers from `first` on, each for the only time: they are let go.
    fn tell<'a>(&'a mut self, first: usize, outcome: impl FnOnce(&'a Progress) -> Outcome<'a>) {
        let outcome = outcome(&self.progress);
        for mut observer in self.observers.drain(first..) {
            observer.on_end(&outcome);
        }
        self.observers.clear();
    }
}

impl Stream for Body {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Repr::Full(full) => Poll::Ready(full.take().map(|full| Ok(unfold(full.output)))),
            Repr::Stream(streaming) => {
                let state = streaming.as_mut().project().state;
                if let Some(frame) = state.held.pop_front() {
                    state.release(&frame);
                    return Poll::Ready(Some(Ok(frame)));
                }
                if state.ended {
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
            Repr::Full(full) => f.debug_tuple("Full").field(&full.as_deref().map(|full| &full.output)).finish(),
            Repr::Stream(streaming) => f
                .debug_struct("Stream")
                .field("frames", &streaming.state.progress.frames())
                .field("ended", &streaming.state.ended)
                .finish_non_exhaustive(),
        }
    }
}
