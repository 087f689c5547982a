//! Answers that are given once more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use llm_core::{Accumulator, Body, CacheStatus, Error, Frame, Head, LlmRequest, LlmResponse, Output};
use tokio::time::{Sleep, sleep};

use crate::{
    Entry,
    entry::Kept,
    flight::Whole,
    recording::{Place, Recording},
};

/// How fast kept answers are streamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// As fast as they are read.
    #[default]
    AtOnce,
    /// With so long before every piece of content but the first, for people who like to see it written. A token every 20
    /// milliseconds is as fast as most models are.
    Paced(Duration),
}

/// What is kept, as the answer to `request`: as a stream where one was asked for, else as a whole.
pub(crate) fn answer(
    entry: &Entry,
    request: &LlmRequest,
    status: CacheStatus,
    replay: Replay,
) -> Result<LlmResponse, Error> {
    let body = match &entry.kept {
        Kept::Whole(whole) => {
            let recording = if request.is_stream() { Recording::of_output(whole.output.clone()) } else { None };
            match recording {
                Some(recording) => Body::stream(Player::new(Arc::new(recording), replay)),
                None => full(Arc::clone(whole)),
            }
        }
        Kept::Stream(recording) if request.is_stream() => Body::stream(Player::new(Arc::clone(recording), replay)),
        Kept::Stream(recording) => {
            let (mut whole, mut place) = (Accumulator::new(), recording.play());
            while let Some(frame) = recording.next(&mut place) {
                whole.push(frame);
            }
            Body::full(Output::Chat(whole.finish()))
        }
        Kept::Failure(error) => return Err(error.clone()),
        Kept::Vector(..) => return Err(Error::internal("a vector is no answer to a chat")),
    };
    Ok(live(request, Head { cache: status, ..entry.head.clone() }, body, true))
}

/// An answer as the answer to `request`. Nobody is paid for it where it is that to another one, too.
pub(crate) fn live(request: &LlmRequest, head: Head, body: Body, is_unpaid: bool) -> LlmResponse {
    // Whose way of counting tokens the answer goes by.
    let model = match (&head.target, &head.model) {
        (Some(target), _) => target.model(),
        (None, Some(model)) => model,
        (None, None) => request.model(),
    };
    let body = body.answering(request, model);
    LlmResponse::new(head, if is_unpaid { body.unpaid() } else { body })
}

/// A whole answer with its bytes: the answer itself where nobody else has it.
pub(crate) fn full(whole: Arc<Whole>) -> Body {
    let (output, wire) = match Arc::try_unwrap(whole) {
        Ok(Whole { output, wire }) => (output, wire),
        Err(whole) => (whole.output.clone(), whole.wire.clone()),
    };
    match wire {
        Some(wire) => Body::full(output).with_wire(wire.dialect, wire.bytes),
        None => Body::full(output),
    }
}

/// Plays a recording.
#[derive(Debug)]
struct Player {
    recording: Arc<Recording>,
    place: Place,
    replay: Replay,
    has_begun: bool,
    // The frame that is due next, and when.
    next: Option<(Frame, Pin<Box<Sleep>>)>,
}

impl Player {
    fn new(recording: Arc<Recording>, replay: Replay) -> Self {
        let place = recording.play();
        Self { recording, place, replay, has_begun: false, next: None }
    }
}

impl Stream for Player {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.next.is_none() {
            let Some(frame) = this.recording.next(&mut this.place) else { return Poll::Ready(None) };
            let is_content = frame.is_content();
            match this.replay {
                Replay::Paced(pace) if is_content && this.has_begun => {
                    this.next = Some((frame, Box::pin(sleep(pace))));
                }
                Replay::Paced(_) | Replay::AtOnce => {
                    this.has_begun |= is_content;
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
        }
        if let Some((_, due)) = &mut this.next {
            ready!(due.as_mut().poll(cx));
        }
        Poll::Ready(this.next.take().map(|(frame, _)| Ok(frame)))
    }
}
