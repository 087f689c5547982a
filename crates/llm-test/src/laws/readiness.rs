//! Rule 1: calls only the instance it readied, readies again before each attempt, and keeps no readiness.

use std::{future::poll_fn, task::Poll};

use tower::{Service, ServiceExt};

use super::{
    Ruling,
    stage::{ByHand, Stage, TEXT, WHOLE_AND_STREAMED, call, within},
};
use crate::{Answer, Probe, Subject, subject::Readiness};

/// The inner instance that is called is the one that was readied, through the service and through its clones.
pub async fn calls_only_ready_instance(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        let probe = Probe::answering(Answer::text(TEXT)).ready_after(2);
        let mut stage = Stage::new(subject, probe);
        for number in 0..3 {
            drop(stage.finish(number, streamed).await);
        }
        let mut clone = stage.service.clone();
        drop(call(&mut clone, stage.subject.request(3, streamed)).await);
        assert_ne!(stage.log.calls(), 0, "no call reached the inner service, so there was nothing to see");
        assert_eq!(stage.log.misuses(), 0, "an inner instance was called that had not been readied");
    }
    Ruling::Kept
}

/// A layer that calls again readies an instance again before it does.
pub async fn readies_before_each_attempt(subject: &dyn Fn() -> Subject) -> Ruling {
    let Some(again) = subject().calls_again else { return Ruling::not_applicable("it calls once for each request") };
    for streamed in WHOLE_AND_STREAMED {
        let probe = Probe::answering(Answer::text(TEXT)).script([again.clone()]).ready_after(1);
        let mut stage = Stage::new(subject, probe);
        drop(stage.finish(0, streamed).await);
        assert!(
            stage.log.calls() >= 2,
            "the layer did not call again after the answer that it is said to call again after"
        );
        assert_eq!(stage.log.misuses(), 0, "another attempt was made on an inner instance that was not readied for it");
    }
    Ruling::Kept
}

/// The clone of a ready service is not ready, and holds nothing.
pub async fn clone_is_not_ready(subject: &dyn Fn() -> Subject) -> Ruling {
    if subject().readiness == Readiness::AlwaysReady {
        return Ruling::not_applicable("it is always ready, and so stores no readiness that a clone could copy");
    }
    let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT)).permits(1));
    ready(&mut stage).await;
    let mut clone = stage.service.clone();
    let mut waiting = ByHand::new(poll_fn(|cx| clone.poll_ready(cx)));
    assert!(waiting.poll().is_pending(), "the clone of a ready service was ready, although only one can be");
    let request = stage.subject.request(0, false);
    drop(within(stage.service.call(request), "a call through the layer never came back").await);
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(()))), "the clone did not get ready when its turn came");
    drop(waiting);
    drop(within(clone.call(stage.subject.request(1, false)), "a call through the clone never came back").await);
    assert_eq!(stage.log.misuses(), 0, "a clone called an inner instance that had not been readied");
    Ruling::Kept
}

/// Readiness that is not used is given back, and so is that of a service which rejects instead of calling.
pub async fn ready_without_call_releases(subject: &dyn Fn() -> Subject) -> Ruling {
    let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT)).permits(1));
    for _ in 0..2 {
        let mut instance = stage.service.clone();
        let readied = within(instance.ready(), "an instance did not get ready after another was dropped unused").await;
        assert!(readied.is_ok(), "a service that had not been called yet was not ready but failed");
        if stage.subject.readiness == Readiness::AlwaysReady {
            assert_eq!(stage.log.readied(), 0, "a service that is always ready held an inner instance ready");
        }
        drop(instance);
        stage.assert_nothing_held("a ready service was dropped without a call");
    }
    drop(stage.finish(0, false).await);
    stage.assert_at_rest("a call");
    if let Some(mut stage) = Stage::rejecting(subject, Probe::new().permits(1)) {
        for number in 0..2 {
            drop(stage.call(number, false).await);
            assert_eq!(stage.log.readied(), 0, "after a rejection an inner instance was still kept ready");
        }
    }
    Ruling::Kept
}

async fn ready(stage: &mut Stage) {
    let readied = within(stage.service.ready(), "the service never got ready although the inner one was").await;
    assert!(readied.is_ok(), "a service that had not been called yet was not ready but failed");
}
