//! Rule 7: time is tokio's, and nobody wakes who has nothing to wait for.

use std::{future::poll_fn, time::Duration};

use futures_util::StreamExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::{
    Ruling,
    stage::{ByHand, Rest, Stage, TEXT, within},
};
use crate::{Answer, Frames, Gate, Probe, Subject, subject::Readiness};

/// Whoever waits, for readiness, a head or a frame, is polled again when that has come, and not before.
pub async fn pending_is_woken_not_spun(subject: &dyn Fn() -> Subject) -> Ruling {
    for number in 0..2 {
        waits_for_head(subject, number).await;
        waits_for_frame(subject, number).await;
    }
    if subject().readiness == Readiness::PassesThrough {
        waits_for_readiness(subject).await;
    }
    Ruling::Kept
}

async fn waits_for_head(subject: &dyn Fn() -> Subject, number: u64) {
    let gate = Gate::new();
    let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT).gate(&gate)));
    let call = ByHand::new(stage.call(number, false));
    is_woken(call, &gate, "a response").await.expect("a call failed that had to wait for its response");
}

async fn waits_for_frame(subject: &dyn Fn() -> Subject, number: u64) {
    let gate = Gate::new();
    let frames = Frames::new().start().text("Blue ").gate(&gate).text("light.").finish().last();
    let mut stage = Stage::new(subject, Probe::answering(Answer::stream(frames)));
    let mut body = stage.call(number, true).await.expect("a stream that began well was not handed on").body;
    let text = ByHand::new(async move {
        while let Some(frame) = body.next().await {
            frame.expect("a stream failed that had to wait for a frame");
        }
    });
    is_woken(text, &gate, "a frame").await;
}

async fn waits_for_readiness(subject: &dyn Fn() -> Subject) {
    let stage = Stage::new(subject, Probe::new().permits(1));
    let (mut first, mut second) = (stage.service.clone(), stage.service.clone());
    let readied = within(first.ready(), "the service never got ready although the inner one was").await;
    assert!(readied.is_ok(), "a service that had not been called yet was not ready but failed");
    let mut waiting = ByHand::new(poll_fn(|cx| second.poll_ready(cx)));
    match waiting.poll_to_rest().await {
        Rest::Waiting => {}
        Rest::Done(_) => panic!("two instances were ready although only one can be"),
        Rest::Spinning => panic!("waiting for readiness, the layer woke itself while nothing had changed"),
    }
    drop(first);
    super::stage::settle().await;
    assert!(waiting.was_woken(), "waiting for readiness, the layer was not woken when it came");
    assert!(waiting.poll().is_ready(), "the layer did not get ready when its turn came");
}

async fn is_woken<F: Future>(mut waiting: ByHand<F>, gate: &Gate, what: &str) -> F::Output {
    match waiting.poll_to_rest().await {
        Rest::Waiting => {}
        Rest::Done(_) => panic!("the layer did not wait for {what} of the inner service"),
        Rest::Spinning => panic!("waiting for {what}, the layer woke itself while nothing had changed"),
    }
    gate.open();
    super::stage::settle().await;
    assert!(waiting.was_woken(), "waiting for {what}, the layer was not woken when it came");
    match waiting.poll_to_rest().await {
        Rest::Done(output) => output,
        Rest::Waiting | Rest::Spinning => panic!("{what} came, and the layer did not hand it on"),
    }
}

/// All waiting is in tokio's time: what takes an hour takes exactly that on a paused clock, each time again.
pub async fn follows_paused_time(subject: &dyn Fn() -> Subject) -> Ruling {
    let frames = Frames::answer(TEXT).spaced(Duration::from_millis(250));
    let answer = Answer::stream(frames).after(Duration::from_secs(2));
    let inner = duration(&mut Stage::new(&|| Subject::new("the probe", crate::PassThroughLayer), one(&answer))).await;
    for _ in 0..2 {
        let seen = duration(&mut Stage::new(subject, one(&answer))).await;
        assert_eq!(seen, inner, "a call through the layer did not take the time that the inner call takes");
    }
    for takes in subject().takes {
        for _ in 0..2 {
            let probe = Probe::answering(Answer::hang()).script(takes.answers.clone());
            let seen = duration(&mut Stage::new(subject, probe)).await;
            assert_eq!(seen, takes.time, "a call did not take the time on the paused clock that it is said to take");
        }
    }
    Ruling::Kept
}

fn one(answer: &Answer) -> Probe {
    Probe::answering(answer.clone())
}

async fn duration(stage: &mut Stage) -> Duration {
    let begun = Instant::now();
    drop(stage.finish(0, true).await);
    begun.elapsed()
}
