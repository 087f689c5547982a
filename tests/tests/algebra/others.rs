//! The others, among each other and with those five.

use llm_core::{ErrorKind, LlmRequest, NanoUsd, Phase, Sensitivity};
use llm_fallback::{Answer as Instead, FallbackLayer, When};
use llm_retry::{
    HedgeLayer,
    hedge::{After, HedgeEvent, HedgeQuota},
};
use llm_test::{Answer, Frames};
use llm_timeout::{Limits, TimeoutLayer};
use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::stage::*;

/// Ten seconds for each thing that may take long.
fn timeout() -> TimeoutLayer {
    TimeoutLayer::new().limits(Limits::interactive().head(secs(10)).first_content(secs(10)))
}

const TIMED_OUT: ErrorKind = ErrorKind::Timeout(Phase::Head);

fn fallback() -> FallbackLayer {
    FallbackLayer::new().case(When::new(), Instead::message("Later."))
}

/// Late after two seconds, and with a second attempt for every call.
fn hedge() -> HedgeLayer {
    HedgeLayer::new().after(After::Fixed(secs(2))).quota(HedgeQuota::percent(100))
}

#[tokio::test(start_paused = true)]
async fn retry_and_timeout() {
    // Each attempt has its time, and another one may be made after it.
    let stage = Stage::new().a([Answer::hang()]);
    let begun = Instant::now();
    let service = ServiceBuilder::new().layer(retry()).layer(timeout()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!((stage.calls(), begun.elapsed().as_secs()), ([2, 0], 10));
    // One time for all attempts and the waits between them.
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(timeout()).layer(retry()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(TIMED_OUT));
    assert_eq!(stage.calls(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn breaker_and_timeout() {
    let hanging = || Stage::new().a(vec![Answer::hang(); 9]);
    // A target that is late has failed.
    let stage = hanging();
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(circuits).layer(timeout()).service(stage.dispatch());
    for _ in 0..3 {
        assert_eq!(outcome(&service, ask_a()).await, Some(TIMED_OUT));
    }
    assert!(is_open(&handle));
    // The circuit sees somebody who has left, and so never opens.
    let stage = hanging();
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(timeout()).layer(circuits).service(stage.dispatch());
    for _ in 0..9 {
        assert_eq!(outcome(&service, ask_a()).await, Some(TIMED_OUT));
    }
    assert!(!is_open(&handle));
}

#[tokio::test(start_paused = true)]
async fn budget_and_timeout() {
    // A stream that says something and then nothing more: what came is paid for, whichever of the two sees the end.
    let halting = || Stage::new().a([Answer::stream(Frames::cut(TEXT).hang())]);
    let mut booked = Vec::new();
    for is_outside in [true, false] {
        let (stage, money) = (halting(), budget(1));
        let handle = money.handle();
        let failure = if is_outside {
            let service = ServiceBuilder::new().layer(money).layer(timeout()).service(stage.dispatch());
            outcome(&service, ask_a()).await
        } else {
            let service = ServiceBuilder::new().layer(timeout()).layer(money).service(stage.dispatch());
            outcome(&service, ask_a()).await
        };
        assert_eq!(failure, Some(ErrorKind::Timeout(Phase::Idle)));
        booked.push(spent(&handle));
    }
    assert!(booked[0] > NanoUsd::ZERO && booked[0] == booked[1], "{booked:?}");
}

#[tokio::test(start_paused = true)]
async fn router_and_timeout() {
    // Each target has its time.
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(router()).layer(timeout()).service(stage.dispatch());
    call(&service, ask()).await.unwrap();
    assert_eq!(stage.calls(), [1, 1]);
    // All share it, so one that is late is the end of the call.
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(timeout()).layer(router()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask()).await, Some(TIMED_OUT));
    assert_eq!(stage.calls(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn fallback_and_timeout() {
    // Who has waited long enough is told something.
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(fallback()).layer(timeout()).service(stage.dispatch());
    assert_eq!(call(&service, ask_a()).await, Ok("Later.".to_owned()));
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(timeout()).layer(fallback()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(TIMED_OUT));
}

#[tokio::test(start_paused = true)]
async fn cache_and_hedge() {
    // What is late is asked for a second time, for all who wait.
    let stage = Stage::new().a([Answer::hang()]);
    let service = ServiceBuilder::new().layer(cache()).layer(hedge()).service(stage.dispatch());
    let begun = Instant::now();
    let (first, second) = tokio::join!(call(&service, ask_a()), call(&service, ask_a()));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!((stage.calls(), begun.elapsed()), ([2, 0], secs(2)));
    // The second attempt joins the first, which is the same question, and is late with it.
    let stage = Stage::new().a([text().after(secs(9))]);
    let second = hedge();
    let handle = second.handle();
    let service = ServiceBuilder::new().layer(second).layer(cache()).service(stage.dispatch());
    let begun = Instant::now();
    call(&service, ask_a()).await.unwrap();
    assert_eq!((stage.calls(), begun.elapsed()), ([1, 0], secs(9)));
    assert_eq!(handle.count(HedgeEvent::Started), 1);
}

#[tokio::test(start_paused = true)]
async fn hedge_and_retry() {
    // Each of the two is tried again by itself.
    let stage = Stage::new().a([Answer::hang(), server(), text()]);
    let service = ServiceBuilder::new().layer(hedge()).layer(retry()).service(stage.dispatch());
    let begun = Instant::now();
    call(&service, ask_a()).await.unwrap();
    assert_eq!(stage.calls(), [3, 0]);
    assert!(begun.elapsed() < secs(4));
    // Only when both have failed is a further one made, and it may be hedged again.
    let late = || server().after(secs(5));
    let stage = Stage::new().a([late(), late(), text()]);
    let service = ServiceBuilder::new().layer(retry()).layer(hedge()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    let times = stage.log().call_times();
    assert_eq!((times[1] - times[0], stage.calls()), (secs(2), [3, 0]));
    assert!(times[2] - times[0] >= secs(7), "after the later of both");
}

#[tokio::test(start_paused = true)]
async fn hedge_and_breaker() {
    // A second attempt is not made where the circuit is open, and the one that has lost is no failure.
    let stage = Stage::new().a([Answer::hang()]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(hedge()).layer(circuits).service(stage.dispatch());
    for _ in 0..3 {
        call(&service, ask_a()).await.unwrap();
    }
    assert!(!is_open(&handle));
    // Below a breaker two failures count as one.
    let late = || server().after(secs(5));
    let stage = Stage::new().a((0..6).map(|_| late()));
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(circuits).layer(hedge()).service(stage.dispatch());
    for calls in [2, 4, 6] {
        assert!(!is_open(&handle));
        assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::Server));
        assert_eq!(stage.calls(), [calls, 0]);
    }
    assert!(is_open(&handle));
}

#[tokio::test(start_paused = true)]
async fn hedge_and_budget() {
    // Money is set aside for each of the two, and the second is not made where there is none.
    let slow = || Stage::new().a([text().after(secs(9))]);
    let stage = slow();
    let service = ServiceBuilder::new().layer(hedge()).layer(budget(1)).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(stage.calls(), [1, 0]);
    // One reservation for both.
    let stage = slow();
    let service = ServiceBuilder::new().layer(budget(1)).layer(hedge()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(stage.calls(), [2, 0]);
}

#[tokio::test(start_paused = true)]
async fn fallback_and_retry_router_breaker() {
    // What is answered instead comes when everything else has been tried,
    let stage = Stage::new().a(vec![server(); 9]).b(vec![server(); 9]);
    let service = ServiceBuilder::new().layer(fallback()).layer(router()).layer(retry()).service(stage.dispatch());
    assert_eq!(call(&service, ask()).await, Ok("Later.".to_owned()));
    assert_eq!(stage.calls(), [2, 1]);
    // and below them it is taken for an answer: nothing is tried again, nowhere else, and no circuit opens.
    let stage = Stage::new().a(vec![server(); 9]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(router()).layer(retry()).layer(circuits).layer(fallback());
    let service = service.service(stage.dispatch());
    for _ in 0..5 {
        assert_eq!(call(&service, ask()).await, Ok("Later.".to_owned()));
    }
    assert_eq!(stage.calls(), [5, 0]);
    assert!(!is_open(&handle));
}

#[tokio::test(start_paused = true)]
async fn fallback_and_cache() {
    // Neither order keeps what was made up.
    for is_outside in [true, false] {
        let stage = Stage::new().a([server(), text()]);
        let first = if is_outside {
            let service = ServiceBuilder::new().layer(fallback()).layer(cache()).service(stage.dispatch());
            [call(&service, ask_a()).await, call(&service, ask_a()).await]
        } else {
            let service = ServiceBuilder::new().layer(cache()).layer(fallback()).service(stage.dispatch());
            [call(&service, ask_a()).await, call(&service, ask_a()).await]
        };
        assert_eq!(first, [Ok("Later.".to_owned()), Ok(TEXT.to_owned())], "{is_outside}");
    }
    // But above a fallback a cache never sees the failure for which it has an older answer.
    let stage = || Stage::new().a([text(), server()]);
    let kept = || cache().ttl(secs(60));
    let (outer, inner) = (stage(), stage());
    let above = ServiceBuilder::new().layer(fallback()).layer(kept()).service(outer.dispatch());
    let below = ServiceBuilder::new().layer(kept()).layer(fallback()).service(inner.dispatch());
    for service_is_above in [true, false] {
        let ask_twice = async |request: fn() -> LlmRequest| match service_is_above {
            true => {
                call(&above, request()).await.unwrap();
                tokio::time::sleep(secs(3_000)).await;
                call(&above, request()).await.unwrap()
            }
            false => {
                call(&below, request()).await.unwrap();
                tokio::time::sleep(secs(3_000)).await;
                call(&below, request()).await.unwrap()
            }
        };
        assert_eq!(ask_twice(ask_a).await, if service_is_above { TEXT } else { "Later." });
    }
}

#[tokio::test(start_paused = true)]
async fn fallback_and_limit() {
    // Who has reached a limit is told something, where a case says so.
    let told = || FallbackLayer::new().case(When::new().kinds([ErrorKind::LimitExceeded]), Instead::message("Later."));
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(told()).layer(limit(1)).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(call(&service, ask_a()).await, Ok("Later.".to_owned()));
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(limit(1)).layer(told()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::LimitExceeded));
}

#[tokio::test(start_paused = true)]
async fn limit_and_cache() {
    // What was kept counts like any other call,
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(limit(1)).layer(cache()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::LimitExceeded));
    // or does not.
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(cache()).layer(limit(1)).service(stage.dispatch());
    for _ in 0..3 {
        call(&service, ask_a()).await.unwrap();
    }
    assert_eq!(outcome(&service, asking("Why?")).await, Some(ErrorKind::LimitExceeded));
}

#[tokio::test(start_paused = true)]
async fn limit_and_retry_router() {
    // A call counts once, however many attempts it takes,
    let stage = Stage::new().a([server(), server()]);
    let service = ServiceBuilder::new().layer(limit(1)).layer(router()).layer(retry()).service(stage.dispatch());
    call(&service, ask()).await.unwrap();
    assert_eq!(stage.calls(), [2, 1]);
    // or every attempt does, and one that is refused is made nowhere else.
    let stage = Stage::new().a([server(), server()]);
    let service = ServiceBuilder::new().layer(router()).layer(retry()).layer(limit(1)).service(stage.dispatch());
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::Server));
    assert_eq!(stage.calls(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn classify_and_router() {
    // What is sensitive is found out before it is decided who may see it,
    let detector = || llm_classify::ClassifyLayer::new().sensitive_tenants(["acme"]);
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(detector()).layer(router()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::NoRoute));
    // and after that only `Dispatch` is left to keep it in the house.
    let service = ServiceBuilder::new().layer(router()).layer(detector()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::NoRoute));
    assert_eq!(stage.calls(), [0, 0]);
    let mut known = ask();
    known.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    assert_eq!(outcome(&service, known).await, Some(ErrorKind::NoRoute));
}
