//! Rule 2: a rejection is a failed call, and needs no inner service.

use std::{future::poll_fn, task::Poll};

use tower::Service;

use super::{
    Ruling,
    stage::{ByHand, Rest, Stage, WHOLE_AND_STREAMED},
};
use crate::{Probe, Subject, subject::Readiness};

const NEVER_REJECTS: &str = "it never rejects";

/// A layer that decides without the inner service answers at once, even when that one never gets ready.
pub async fn rejects_while_inner_is_never_ready(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        let Some(mut stage) = Stage::rejecting(subject, Probe::new().never_ready()) else {
            return Ruling::not_applicable(NEVER_REJECTS);
        };
        if stage.subject.readiness == Readiness::PassesThrough {
            return Ruling::not_applicable("it passes readiness through, and so waits for the inner service first");
        }
        for number in 0..2 {
            let mut rejected = ByHand::new(stage.call(number, streamed));
            match rejected.poll_to_rest().await {
                Rest::Done(Err(_)) => {}
                Rest::Done(Ok(_)) => panic!("a request that was to be rejected was answered"),
                Rest::Waiting | Rest::Spinning => {
                    panic!("a rejection waited for the inner service, which never gets ready")
                }
            }
        }
        assert_eq!(stage.log.calls(), 0, "a rejected request reached the inner service");
    }
    Ruling::Kept
}

/// The service stays ready when it rejects: `Err` from `poll_ready` would mean that it is dead.
pub async fn rejection_is_not_a_readiness_error(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        let Some(mut stage) = Stage::rejecting(subject, Probe::new()) else {
            return Ruling::not_applicable(NEVER_REJECTS);
        };
        for number in 0..3 {
            let ready = ByHand::new(poll_fn(|cx| stage.service.poll_ready(cx))).poll();
            match ready {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => panic!("the rejection came out of `poll_ready`, as if the service were dead"),
                Poll::Pending => panic!("the rejection kept `poll_ready` waiting instead of failing the call"),
            }
            let rejected = stage.call(number, streamed).await;
            assert!(rejected.is_err(), "a request that was to be rejected was answered");
        }
        assert_eq!(stage.log.calls(), 0, "a rejected request reached the inner service");
    }
    Ruling::Kept
}
