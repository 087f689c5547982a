//! Rule 5: frames pass as they come, when they come.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use llm_core::{BoxLlmService, Dialect, Frame, LlmRequest, Output};
use tokio::time::Instant;

use super::{
    Ruling,
    stage::{Stage, TEXT, boxed, call, within},
};
use crate::{Answer, Frames, Probe, Subject};

/// A frame, and when it came.
type Timed = (Duration, Frame);

/// Events, bytes and order of the frames are those of the inner stream, and so is the instant at which each comes.
/// A layer that holds back may keep what comes before content, until content. Whole answers stay whole.
pub async fn frames_pass_unchanged_without_delay(subject: &dyn Fn() -> Subject) -> Ruling {
    for frames in scripts() {
        let probe = || Probe::answering(Answer::stream(frames.clone()));
        let mut stage = Stage::new(subject, probe());
        let expected = timeline(&mut boxed(probe()), stage.subject.request(0, true)).await;
        for number in 0..2 {
            let request = stage.subject.request(number, true);
            compare(&timeline(&mut stage.service, request).await, &expected, stage.subject.holds_back);
        }
    }
    whole_answers_stay_whole(subject).await;
    Ruling::Kept
}

fn scripts() -> [Frames; 2] {
    let interval = Duration::from_millis(50);
    let lively = Frames::new().start().ping().words(TEXT).ping().text("").words(TEXT).finish().last();
    // The end of this one is its finish reason: no terminal frame follows.
    let terse = Frames::new().text("Yes.").ping().finish();
    [lively.on_wire(Dialect::OpenAi).spaced(interval), terse.spaced(interval)]
}

async fn timeline(service: &mut BoxLlmService, request: LlmRequest) -> Vec<Timed> {
    let begun = Instant::now();
    let response = call(service, request).await.expect("an answer came out of the layer as a failure");
    let mut body = response.body;
    let mut frames = Vec::new();
    while let Some(frame) = within(body.next(), "the stream through the layer never ended").await {
        frames.push((begun.elapsed(), frame.expect("a stream failed on its way through the layer")));
    }
    frames
}

fn compare(seen: &[Timed], expected: &[Timed], holds_back: bool) {
    fn frames(timed: &[Timed]) -> impl Iterator<Item = &Frame> {
        timed.iter().map(|(_, frame)| frame)
    }
    assert!(frames(seen).eq(frames(expected)), "the frames came out of the layer changed, missing or in another order");
    let content = expected.iter().find(|(_, frame)| frame.is_content()).map_or(Duration::ZERO, |(at, _)| *at);
    for ((seen, frame), (expected, _)) in seen.iter().zip(expected) {
        let latest = if holds_back { (*expected).max(content) } else { *expected };
        assert!((*expected..=latest).contains(seen), "{frame:?} was due after {expected:?} and came after {seen:?}");
    }
}

async fn whole_answers_stay_whole(subject: &dyn Fn() -> Subject) {
    let output = Output::text(TEXT);
    let bytes = Bytes::from_static(b"{\"the\": \"bytes\"}");
    let answer = Answer::whole(output.clone()).with_wire(Dialect::OpenAi, bytes.clone());
    let mut stage = Stage::new(subject, Probe::answering(answer));
    for number in 0..2 {
        let body = stage.call(number, false).await.expect("an answer came out of the layer as a failure").body;
        assert_eq!(body.as_full(), Some(&output), "a whole answer came out of the layer changed, or in pieces");
        let wire = body.wire().map(|wire| wire.bytes.clone());
        assert_eq!(wire.as_ref(), Some(&bytes), "a whole answer lost its bytes in the layer");
    }
}
