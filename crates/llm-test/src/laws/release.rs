//! Rule 4, first half: what is dropped or panics before the head releases everything at once.

use futures_util::StreamExt;

use super::{
    Ruling,
    stage::{ByHand, Rest, Stage, TEXT, WHOLE_AND_STREAMED, caught, within},
};
use crate::{Answer, Frames, Probe, Subject};

/// A dropped future takes the inner call, and everything held for it, along.
pub async fn drop_future_releases(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        dropped_in_flight(&mut Stage::new(subject, Probe::answering(Answer::hang())), streamed).await;
        dropped_before_ready(&mut Stage::new(subject, Probe::answering(Answer::hang()).never_ready()), streamed).await;
        if let Some(again) = subject().calls_again {
            let probe = Probe::answering(Answer::hang()).script([again]);
            dropped_between_attempts(&mut Stage::new(subject, probe), streamed).await;
        }
    }
    Ruling::Kept
}

async fn dropped_in_flight(stage: &mut Stage, streamed: bool) {
    for number in 0..2 {
        let mut call = ByHand::new(stage.call(number, streamed));
        assert!(
            !matches!(call.poll_to_rest().await, Rest::Done(_)),
            "a call ended that the inner service had not answered"
        );
        drop(call);
        assert_ne!(stage.log.calls(), 0, "a polled call did not reach the inner service");
        stage.assert_at_rest("its future was dropped");
    }
}

async fn dropped_before_ready(stage: &mut Stage, streamed: bool) {
    for number in 0..2 {
        let mut call = ByHand::new(stage.call(number, streamed));
        assert!(
            !matches!(call.poll_to_rest().await, Rest::Done(_)),
            "a call ended that the inner service was not ready for"
        );
        drop(call);
        stage.assert_at_rest("a future that waited for readiness was dropped");
    }
}

async fn dropped_between_attempts(stage: &mut Stage, streamed: bool) {
    let mut call = ByHand::new(stage.call(0, streamed));
    assert!(!matches!(call.poll_to_rest().await, Rest::Done(_)), "the layer gave up instead of calling again");
    drop(call);
    stage.assert_at_rest("a future between two attempts was dropped");
}

/// A panic below, in `call`, in the future or in the stream, leaves nothing behind, and the next call works.
pub async fn panic_releases(subject: &dyn Fn() -> Subject) -> Ruling {
    let in_stream = || Answer::stream(Frames::cut(TEXT).panic());
    let panics = [
        ("a panic in the inner service's `call`", Answer::panic_in_call()),
        ("a panic in the inner future", Answer::panic_in_future()),
        ("a panic in the inner stream", in_stream()),
    ];
    for (what, answer) in panics {
        let probe = Probe::answering(Answer::text(TEXT)).script([answer.clone(), answer]);
        let mut stage = Stage::new(subject, probe);
        for number in 0..2 {
            let answered = caught(stage.finish(number, true)).await;
            assert!(answered.is_none_or(|result| result.is_err()), "{what} came out of the layer as a complete answer");
            stage.assert_at_rest(what);
        }
        let next = caught(stage.finish(2, true)).await;
        assert!(next.is_some_and(|result| result.is_ok()), "after {what} the next call did not work");
        stage.assert_at_rest("the call after a panic");
    }
    dropped_after_panic(&mut Stage::new(subject, Probe::answering(in_stream()))).await;
    Ruling::Kept
}

/// The body that panicked is still held by the caller: nothing may be kept until it lets go.
async fn dropped_after_panic(stage: &mut Stage) {
    let response = caught(stage.call(0, true)).await.and_then(Result::ok);
    let mut body = response.expect("a stream that panics later was not handed on").body;
    while let Some(Some(Ok(_))) = caught(within(body.next(), "a stream that panics never did")).await {}
    drop(body);
    stage.assert_at_rest("a panic in the inner stream and the drop of the body");
}
