//! Layers that get the stream or its end wrong.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, future::ready, stream};
use llm_core::{Body, Frame, Outcome};
use llm_test::{Subject, Tally};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::calls::around;

/// A layer that makes another body of each streamed one.
fn changing(name: &str, change: fn(Body) -> Body) -> Subject {
    around(name, move |inner, request| async move {
        let response = inner.oneshot(request).await?;
        Ok(response.map(|body| if body.is_full() { body } else { change(body) }))
    })
}

/// The inner stream is read to its end in a task, whoever listens.
pub(crate) fn reads_in_a_task() -> Subject {
    changing("reads in a task", |mut body| {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(frame) = body.next().await {
                // Nobody listens any more, and the task does not mind.
                let _ = sender.send(frame);
            }
        });
        Body::stream(stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    })
}

/// Counts a complete answer at its end and once more.
pub(crate) fn counts_complete_twice() -> Subject {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let read = Arc::clone(&tally);
    let subject = around("counts complete twice", move |inner, request| {
        let tally = Arc::clone(&tally);
        async move {
            let count = move |outcome: &Outcome<'_>| {
                let mut tally = tally.lock().expect("nobody panics while holding it");
                match outcome {
                    Outcome::Complete(_) => tally.complete += 2,
                    Outcome::Failed(..) => tally.failed += 1,
                    Outcome::Abandoned(_) => tally.abandoned += 1,
                }
            };
            Ok(inner.oneshot(request).await?.map(|body| body.on_end(count)))
        }
    });
    subject.tally(move || *read.lock().expect("nobody panics while holding it"))
}

/// A failed stream just ends.
pub(crate) fn swallows_errors() -> Subject {
    changing("swallows errors", |body| Body::stream(body.take_while(|frame| ready(frame.is_ok()))))
}

/// Waits for a second frame before it hands on the first.
pub(crate) fn hands_on_in_pairs() -> Subject {
    changing("hands on in pairs", |body| Body::stream(body.chunks(2).flat_map(stream::iter)))
}

/// Keeps the events, but not the bytes that they came in.
pub(crate) fn drops_wire_bytes() -> Subject {
    fn without_bytes(frame: Frame) -> Frame {
        let is_last = frame.is_last();
        let events = Frame::new(frame.into_events());
        if is_last { events.last() } else { events }
    }
    changing("drops wire bytes", |body| Body::stream(body.map(|frame| frame.map(without_bytes))))
}
