//! Rule 4, second half: each ending of a stream is one outcome, and releases everything.

use futures_util::StreamExt;
use llm_core::{AttemptEnd, Error, ErrorKind, Stage as ErrorStage};
use tokio::sync::mpsc;

use super::{
    Ruling,
    stage::{Stage, TEXT, WHOLE_AND_STREAMED, read, read_to_content, within},
};
use crate::{Answer, Frames, Probe, Subject, Tally};

/// A body that is dropped half-way is abandoned, below and in what the layer counts, and takes everything along.
pub async fn drop_body_reports_abandoned(subject: &dyn Fn() -> Subject) -> Ruling {
    let half = || Answer::stream(Frames::new().start().words(TEXT).hang());
    let mut stage = Stage::new(subject, Probe::answering(half()));
    for number in 0..2 {
        let response = stage.call(number, true).await;
        let mut body = response.expect("a stream that began well was not handed on").body;
        read_to_content(&mut body).await;
        assert_eq!(stage.log.in_flight(), 1, "the inner stream was not the one that was read");
        drop(body);
        stage.assert_at_rest("the body was dropped half-way");
        let abandoned = vec![AttemptEnd::Abandoned; number as usize + 1];
        assert_eq!(stage.log.ends(), abandoned, "a body that was dropped half-way was not abandoned below");
        stage.assert_tally(Tally { abandoned: number + 1, ..Tally::default() }, "bodies were dropped half-way");
    }
    let mut stage = Stage::new(subject, Probe::answering(half()));
    drop(stage.call(0, true).await.expect("a stream that began well was not handed on"));
    stage.assert_at_rest("the body was dropped unread");
    Ruling::Kept
}

/// A complete answer is reported as such, once, below and above and in what the layer counts.
pub async fn end_of_stream_reports_once(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT)));
        for number in 0..2 {
            let (ends, mut reported) = mpsc::unbounded_channel();
            let response = stage.call(number, streamed).await.expect("a complete answer came out as a failure");
            let body = response.body.on_end(move |outcome| {
                let _ = ends.send(outcome.to_end());
            });
            let frames = read(body).await.expect("a complete answer failed on its way through the layer");
            assert!(!frames.is_empty(), "a complete answer came out of the layer empty");
            let above = std::iter::from_fn(|| reported.try_recv().ok()).collect::<Vec<_>>();
            assert_eq!(above, [AttemptEnd::Complete], "a complete answer was not reported as complete above the layer");
            stage.assert_at_rest("a complete answer");
        }
        assert_eq!(stage.log.ends(), [AttemptEnd::Complete; 2], "a complete answer was not read to its end");
        stage.assert_tally(Tally { complete: 2, ..Tally::default() }, "two complete answers");
    }
    Ruling::Kept
}

/// A stream that fails after content fails once, with its own error, and is not begun again. So does one that is cut.
pub async fn error_frame_reports_failed(subject: &dyn Fn() -> Subject) -> Ruling {
    let error = Error::new(ErrorKind::Server, "the scripted stream failed");
    let endings = [(Frames::cut(TEXT).fail(error), ErrorKind::Server), (Frames::cut(TEXT), ErrorKind::Interrupted)];
    for (frames, kind) in endings {
        let mut stage = Stage::new(subject, Probe::answering(Answer::stream(frames)));
        for number in 0..2 {
            let response = stage.call(number, true).await.expect("a stream that began well was not handed on");
            let error = fails(response.body).await;
            assert_eq!(error.kind(), kind, "a stream that failed half-way came out with another error");
            assert_eq!(error.stage(), ErrorStage::AfterContent, "a failure after content was called an early one");
            stage.assert_at_rest("a stream that failed half-way");
        }
        assert_eq!(stage.log.ends(), [AttemptEnd::Failed(kind); 2], "a stream that failed half-way was begun again");
        stage.assert_tally(Tally { failed: 2, ..Tally::default() }, "two streams that failed half-way");
    }
    Ruling::Kept
}

/// Reads a body that fails after content, and looks that nothing follows the failure.
async fn fails(mut body: llm_core::Body) -> Error {
    read_to_content(&mut body).await;
    loop {
        match within(body.next(), "a stream that failed never ended").await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(body.next().await.is_none(), "something came after the failure of a stream");
                return error;
            }
            None => panic!("a stream that failed half-way came out as if it were complete"),
        }
    }
}
