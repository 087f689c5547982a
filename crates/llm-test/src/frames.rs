//! Scripted streams: what comes, when it comes, and how it ends.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use llm_core::{Body, Dialect, Error, Event, FinishReason, Frame, Start, Usage};
use tokio::time::Sleep;

use crate::{Gate, log::Flight};

/// The script of a stream: frames, and what happens between and after them.
///
/// Waits are in tokio's time, so a test on paused time plays hours at once. A script without a terminal frame, or
/// whose steps run out before one, is a stream that was cut.
///
/// ```
/// use std::time::Duration;
/// use llm_core::{Error, ErrorKind};
/// use llm_test::Frames;
///
/// let complete = Frames::answer("The sky is blue.").spaced(Duration::from_millis(20));
/// let cut = Frames::new().start().text("The sky ");
/// let fails = Frames::new().start().text("The sky ").fail(Error::new(ErrorKind::Overloaded, "busy"));
/// # let _ = (complete, cut, fails);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a script does nothing until it is played"]
pub struct Frames {
    steps: VecDeque<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Frame(Frame),
    Wait(Duration),
    Gate(Gate),
    Fail(Error),
    Hang,
    Panic,
}

impl Frames {
    /// A stream that ends at once, without a word.
    pub fn new() -> Self {
        Self::default()
    }

    /// A complete answer: a start, the text word by word, usage, a finish reason and the terminal frame.
    pub fn answer(text: &str) -> Self {
        let words = text.split_inclusive(' ').count() as u64;
        Self::new().start().words(text).usage(Usage::reported(10, words.max(1))).finish().last()
    }

    /// An answer whose connection breaks off after `text`.
    pub fn cut(text: &str) -> Self {
        Self::new().start().words(text)
    }

    /// A stream of nothing but `count` pings, one every `interval`, that then hangs.
    pub fn pings_only(count: usize, interval: Duration) -> Self {
        (0..count).fold(Self::new(), |frames, _| frames.wait(interval).ping()).hang()
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// Then this frame.
    pub fn frame(self, frame: Frame) -> Self {
        self.step(Step::Frame(frame))
    }

    /// Then the frame that begins an answer. It is no content.
    pub fn start(self) -> Self {
        let start = Start { id: Some("probe-1".into()), model: Some("probe".into()), created: Some(1_700_000_000) };
        self.frame(Frame::event(Event::Start(start)))
    }

    /// Then a piece of text.
    pub fn text(self, text: &str) -> Self {
        self.frame(Frame::text(text))
    }

    /// Then a piece of text for each word.
    pub fn words(self, text: &str) -> Self {
        text.split_inclusive(' ').fold(self, Self::text)
    }

    /// Then a keep-alive: a frame without events.
    pub fn ping(self) -> Self {
        self.frame(Frame::default())
    }

    /// Then a usage report.
    pub fn usage(self, usage: Usage) -> Self {
        self.frame(Frame::event(Event::Usage(usage)))
    }

    /// Then the reason that the answer is finished, "stop".
    pub fn finish(self) -> Self {
        self.frame(Frame::event(Event::Finish(FinishReason::Stop)))
    }

    /// Then the terminal frame. It has no events, like OpenAI's `[DONE]`.
    pub fn last(self) -> Self {
        self.frame(Frame::default().last())
    }

    /// Then nothing for this long.
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Then nothing until the gate is open.
    pub fn gate(self, gate: &Gate) -> Self {
        self.step(Step::Gate(gate.clone()))
    }

    /// Then a failure, which ends the stream.
    pub fn fail(self, error: Error) -> Self {
        self.step(Step::Fail(error))
    }

    /// Then nothing, for ever.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Then the stream panics.
    pub fn panic(self) -> Self {
        self.step(Step::Panic)
    }

    /// Waits this long before each frame that is in the script so far.
    pub fn spaced(mut self, interval: Duration) -> Self {
        let steps = std::mem::take(&mut self.steps);
        self.steps = steps
            .into_iter()
            .flat_map(|step| match step {
                Step::Frame(_) => vec![Step::Wait(interval), step],
                other => vec![other],
            })
            .collect();
        self
    }

    /// Gives each frame that is in the script so far, and has none, bytes of this dialect as if it came off a wire.
    /// The bytes only number the frames: no dialect would understand them.
    pub fn on_wire(mut self, dialect: Dialect) -> Self {
        let frames = self.steps.iter_mut().filter_map(|step| match step {
            Step::Frame(frame) => Some(frame),
            _ => None,
        });
        for (index, frame) in frames.enumerate().filter(|(_, frame)| frame.wire().is_none()) {
            *frame = std::mem::take(frame).with_wire(dialect, Bytes::from(format!("data: {index}\n\n")));
        }
        self
    }

    /// The body that plays the script.
    pub fn into_body(self) -> Body {
        self.into_logged_body().0
    }

    /// The body that plays the script, and what becomes of it.
    pub fn into_logged_body(self) -> (Body, BodyLog) {
        let log = BodyLog::default();
        (Body::stream(self.play(log.clone(), None)), log)
    }

    pub(crate) fn play(self, log: BodyLog, flight: Option<Flight>) -> ScriptedStream {
        ScriptedStream { steps: self.steps, sleep: None, log: DropNote(log), flight }
    }
}

/// What became of a scripted body. Clones read the same.
#[derive(Clone, Default)]
pub struct BodyLog(Arc<BodyRecord>);

#[derive(Default)]
struct BodyRecord {
    polls: AtomicU64,
    dropped: AtomicBool,
}

impl BodyLog {
    /// How often the stream under the body was polled.
    pub fn polls(&self) -> u64 {
        self.0.polls.load(Relaxed)
    }

    /// Whether the stream has been dropped.
    pub fn is_dropped(&self) -> bool {
        self.0.dropped.load(Relaxed)
    }
}

impl fmt::Debug for BodyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyLog").field("polls", &self.polls()).field("dropped", &self.is_dropped()).finish()
    }
}

/// Plays a script.
#[derive(Debug)]
pub(crate) struct ScriptedStream {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    log: DropNote,
    flight: Option<Flight>,
}

#[derive(Debug)]
struct DropNote(BodyLog);

impl Drop for DropNote {
    fn drop(&mut self) {
        self.0.0.dropped.store(true, Relaxed);
    }
}

impl ScriptedStream {
    fn end(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.over();
        }
    }
}

impl Stream for ScriptedStream {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.log.0.0.polls.fetch_add(1, Relaxed);
        loop {
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            match this.steps.front() {
                Some(Step::Gate(gate)) => ready!(gate.poll_passed(cx)),
                Some(Step::Hang) => return Poll::Pending,
                _ => {}
            }
            match this.steps.pop_front() {
                Some(Step::Frame(frame)) => {
                    if frame.is_last() {
                        this.end();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Step::Wait(time)) => this.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Fail(error)) => {
                    this.steps.clear();
                    this.end();
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Step::Panic) => panic!("the stream panics, as its script says"),
                Some(Step::Gate(_) | Step::Hang) => {}
                None => {
                    this.end();
                    return Poll::Ready(None);
                }
            }
        }
    }
}
