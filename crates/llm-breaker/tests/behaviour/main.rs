//! What a breaker does, as stories on paused time. One for each sentence under Behaviour in the crate docs, and more.

mod config;
mod stage;

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future::join_all};
use llm_breaker::{
    BreakerHandle, BreakerLayer, CircuitState, Consecutive, Covers, OpenTime, Probes, Rate, Sample, Sharing, Step,
    Trip, TripRule,
};
use llm_core::{
    AttemptEnd, Error, ErrorKind, Health, HealthState, LlmRequest, Measures, Output, PerTarget, Phase, Random, Target,
    TargetRef,
};
use llm_test::{Answer, Frames, Gate, Probe};
use stage::{Stage, ask, ask_for, failing, rules, seconds, streamed, target};
use tower::{Layer, Service, ServiceExt};

fn ok() -> Answer {
    Answer::whole(Output::text("fine"))
}

fn advising(kind: ErrorKind, wait: Duration) -> Answer {
    Answer::fail(Error::new(kind, "as the script says").with_retry_after(wait))
}

fn open(remaining: Duration) -> CircuitState {
    CircuitState::Open { remaining }
}

/// The name of the circuit of a key of OpenAI.
fn key_of(key: Option<&str>) -> Target {
    let target = key.into_iter().fold(target(), Target::with_key);
    BreakerHandle::key_of(&target)
}

const HALF_OPEN: CircuitState = CircuitState::HalfOpen { probes: 1, successes: 0 };

#[tokio::test(start_paused = true)]
async fn eight_failures_in_a_row_open_the_circuit_and_a_success_closes_it() {
    let stage = Stage::new(rules());
    stage.fail(7).await;
    assert_eq!(stage.state(), CircuitState::Closed);
    stage.fail(1).await;
    assert_eq!(stage.state(), open(seconds(5)));
    stage.rejected().await;
    tokio::time::advance(Duration::from_millis(4_999)).await;
    stage.rejected().await;
    tokio::time::advance(Duration::from_millis(1)).await;
    stage.call(ok()).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
    stage.fail(7).await;
    assert_eq!(stage.state(), CircuitState::Closed, "the score begins at zero again");
}

#[tokio::test(start_paused = true)]
async fn successes_make_good_for_failures_and_when_every_second_call_fails_it_opens_all_the_same() {
    let stage = Stage::new(rules());
    stage.fail(7).await;
    for _ in 0..12 {
        stage.call(ok()).await.unwrap();
    }
    assert_eq!(stage.status().score, 0);
    let mut failures = 0;
    while stage.state() == CircuitState::Closed {
        stage.fail(1).await;
        _ = stage.send(streamed(), Answer::text("all is well")).await;
        failures += 1;
    }
    assert_eq!(failures, 19);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_how_long_to_wait_for_whom_and_is_in_the_trail() {
    let stage = Stage::new(rules());
    stage.open().await;
    tokio::time::advance(seconds(2)).await;
    let request = ask();
    let trail = request.context().trail();
    let error = stage.send(request, ok()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::CircuitOpen, Some(seconds(3))));
    assert_eq!(error.target(), Some(&target()));
    assert!(!error.is_retryable() && !error.is_provider_fault());
    let attempts = error.trail().expect("it has a trail").attempts();
    assert_eq!(attempts, trail.attempts());
    assert_eq!(attempts[0].target, Some(target()));
    assert_eq!(attempts[0].end, Some(AttemptEnd::Failed(ErrorKind::CircuitOpen)));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_answers_at_once_although_the_inner_service_never_gets_ready() {
    let stage = Stage::new(rules());
    stage.open().await;
    let mut stuck = stage.layer.layer(Probe::new().never_ready());
    let error = stuck.ready().await.unwrap().call(ask()).now_or_never().expect("it does not wait").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert!(stuck.call(ask_for("openai", "another")).now_or_never().is_none(), "a closed one waits for it");
}

#[tokio::test(start_paused = true)]
async fn of_a_crowd_at_half_open_exactly_as_many_reach_the_provider_as_there_are_probes() {
    for (probes, expected) in [(Probes::ONE, 1), (Probes::new(3, 2).unwrap(), 3), (Probes::new(2, 5).unwrap(), 2)] {
        let stage = Stage::new(rules().probes(probes));
        stage.open().await;
        tokio::time::advance(seconds(5)).await;
        let probe = Probe::answering(Answer::hang());
        let (log, service) = (probe.log(), stage.layer.layer(probe));
        let mut crowd: Vec<_> = (0..1_000).map(|_| service.clone().oneshot(ask()).boxed()).collect();
        let answered = crowd.iter_mut().filter_map(|call| call.now_or_never()).collect::<Vec<_>>();
        assert_eq!(log.calls(), expected);
        assert_eq!(answered.len(), 1_000 - expected);
        assert!(answered.into_iter().all(|answer| answer.unwrap_err().kind() == ErrorKind::CircuitOpen));
        assert_eq!(stage.handle.counts().probes as usize, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_closes_after_as_many_successes_as_it_is_told() {
    let stage = Stage::new(rules().probes(Probes::new(1, 3).unwrap()));
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    for successes in 1..3 {
        stage.call(ok()).await.unwrap();
        assert_eq!(stage.state(), CircuitState::HalfOpen { probes: 0, successes });
    }
    stage.call(ok()).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_again_for_twice_the_time_up_to_the_longest() {
    let stage = Stage::new(rules());
    stage.fail(7).await;
    for expected in [5, 10, 20, 40, 80, 120, 120] {
        stage.fail(1).await;
        assert_eq!(stage.state(), open(seconds(expected)));
        tokio::time::advance(seconds(expected)).await;
    }
    assert_eq!(stage.status().openings, 7);
    stage.call(ok()).await.unwrap();
    stage.open().await;
    assert_eq!(stage.state(), open(seconds(5)), "a success ends the row");
}

#[tokio::test(start_paused = true)]
async fn open_times_are_drawn_from_a_fifth_around_the_time() {
    let stage = Stage::with(BreakerLayer::new().random(Random::seeded(7)));
    let mut drawn = Vec::new();
    for model in 0..200 {
        let model = model.to_string();
        for _ in 0..8 {
            _ = stage.send(ask_for("openai", &model), failing(ErrorKind::Server)).await;
        }
        let CircuitState::Open { remaining } = stage.handle.status(&Target::new("openai", model)).state else {
            panic!()
        };
        drawn.push(remaining);
    }
    let (shortest, longest) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
    assert!((4_000..4_200).contains(&shortest.as_millis()), "{shortest:?}");
    assert!((5_800..=6_000).contains(&longest.as_millis()), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn advice_makes_the_open_time_longer_and_never_shorter() {
    for (advice, expected) in [(30, 30), (1, 5), (86_400, 3_600)] {
        let stage = Stage::new(rules());
        stage.fail(7).await;
        stage.call(advising(ErrorKind::Overloaded, seconds(advice))).await.unwrap_err();
        assert_eq!(stage.state(), open(seconds(expected)));
    }
    let stage = Stage::new(rules().longest_advice(seconds(60)));
    stage.fail(7).await;
    stage.call(advising(ErrorKind::Overloaded, seconds(86_400))).await.unwrap_err();
    assert_eq!(stage.state(), open(seconds(60)), "as far as it is followed");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_target_is_left_alone_as_long_as_it_asks_and_no_fault_is_counted() {
    let stage = Stage::new(rules());
    for _ in 0..20 {
        stage.call(failing(ErrorKind::RateLimited)).await.unwrap_err();
    }
    assert!(stage.handle.is_empty(), "without advice nothing is known");
    stage.call(advising(ErrorKind::RateLimited, seconds(30))).await.unwrap_err();
    let error = stage.rejected().await;
    assert_eq!(error.retry_after(), Some(seconds(30)));
    assert!(error.message().contains("cooling"), "{error}");
    assert_eq!((stage.state(), stage.status().score), (CircuitState::Closed, 0));
    tokio::time::advance(seconds(30)).await;
    stage.call(ok()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shorter_pause_does_not_end_a_longer_one_and_an_absurd_one_is_cut() {
    let stage = Stage::new(rules());
    let throttled = [30, 10].map(|advice| stage.begin(ask(), advising(ErrorKind::RateLimited, seconds(advice))));
    join_all(throttled).await;
    assert_eq!(stage.status().cooling, seconds(30));
    stage.send(ask_for("openai", "other"), advising(ErrorKind::RateLimited, Duration::MAX)).await.unwrap_err();
    assert_eq!(stage.handle.status(&Target::new("openai", "other")).cooling, seconds(3_600));
    tokio::time::advance(seconds(29)).await;
    stage.rejected().await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_probe_gives_its_place_back_and_nothing_else_happens_until_the_pause_is_over() {
    let stage = Stage::new(rules());
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    stage.call(advising(ErrorKind::RateLimited, seconds(60))).await.unwrap_err();
    assert_eq!(stage.state(), CircuitState::HalfOpen { probes: 0, successes: 0 });
    assert_eq!(stage.rejected().await.retry_after(), Some(seconds(60)));
    tokio::time::advance(seconds(60)).await;
    stage.call(ok()).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_providers_fault_opens_nothing() {
    let harmless = ErrorKind::ALL.into_iter().filter(|kind| !kind.class().breaker.is_fault());
    for kind in harmless {
        let stage = Stage::new(rules());
        for _ in 0..50 {
            stage.call(failing(kind)).await.unwrap_err();
        }
        assert!(stage.handle.is_empty(), "{kind}");
    }
    let stage = Stage::new(rules());
    for _ in 0..50 {
        drop(stage.under_way(Answer::hang()));
        drop(stage.begin(streamed(), Answer::stream(Frames::new().start().hang())).await.unwrap());
        let mut body = stage.begin(streamed(), Answer::stream(Frames::cut("some content").hang())).await.unwrap().body;
        while !body.next().await.unwrap().unwrap().is_content() {}
    }
    assert!(stage.handle.is_empty(), "nor do callers who leave, at any point");
}

#[tokio::test(start_paused = true)]
async fn streams_that_fail_half_way_open_it_when_they_do() {
    let frames = || Frames::cut("some content");
    let cuts = [frames(), frames().fail(Error::new(ErrorKind::Overloaded, "in the stream")), Frames::new().start()];
    for cut in cuts {
        let stage = Stage::new(rules());
        for _ in 0..8 {
            assert_eq!(stage.state(), CircuitState::Closed);
            let response = stage.begin(streamed(), Answer::stream(cut.clone())).await.unwrap();
            let score = stage.status().score;
            response.body.collect().await.unwrap_err();
            assert_ne!((stage.status().score, stage.state()), (score, CircuitState::Closed), "it counts at its end");
        }
        assert_eq!(stage.state(), open(seconds(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_success_at_its_end_and_not_before() {
    let stage = Stage::new(rules());
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    let response = stage.begin(streamed(), Answer::text("all is well")).await.unwrap();
    assert_eq!(stage.state(), HALF_OPEN);
    response.body.collect().await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn connections_and_first_contents_that_never_come_weigh_more() {
    for kind in [ErrorKind::Connect, ErrorKind::Timeout(Phase::FirstContent)] {
        let stage = Stage::new(rules());
        for _ in 0..5 {
            assert_eq!(stage.state(), CircuitState::Closed);
            stage.call(failing(kind)).await.unwrap_err();
        }
        assert_eq!(stage.state(), open(seconds(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_probes_place_comes_back_however_the_probe_ends() {
    let in_stream = || Answer::stream(Frames::cut("some content").panic());
    let ways: [(&str, Answer); 7] = [
        ("its future is dropped", Answer::hang()),
        ("its body is dropped before content", Answer::stream(Frames::new().start().hang())),
        ("its body is dropped after content", Answer::stream(Frames::cut("some content").hang())),
        ("the inner call panics", Answer::panic_in_call()),
        ("the inner future panics", Answer::panic_in_future()),
        ("the stream panics", in_stream()),
        ("it is the caller's fault", failing(ErrorKind::InvalidRequest)),
    ];
    for (way, answer) in ways {
        let stage = Stage::new(rules());
        stage.open().await;
        tokio::time::advance(seconds(5)).await;
        for _ in 0..3 {
            let provider = Probe::answering(answer.clone());
            let log = provider.log();
            let call = stage.layer.layer(provider).oneshot(streamed());
            let probe = async {
                let mut body = call.await.ok()?.body;
                while body.next().await.is_some_and(|frame| frame.is_ok()) {}
                Some(())
            };
            _ = std::panic::AssertUnwindSafe(probe).catch_unwind().now_or_never();
            assert_eq!(log.calls(), 1, "{way}");
            assert_eq!(stage.state(), CircuitState::HalfOpen { probes: 0, successes: 0 }, "{way}");
        }
        stage.call(ok()).await.unwrap();
        assert_eq!(stage.state(), CircuitState::Closed, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_never_polled_gives_its_place_back() {
    let stage = Stage::new(rules());
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    drop(stage.layer.layer(Probe::new()).call(ask()));
    stage.call(ok()).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_outlives_its_lease_loses_its_place_and_its_late_result() {
    for late in [ok(), failing(ErrorKind::Server)] {
        let stage = Stage::new(rules().lease(seconds(60)));
        stage.open().await;
        tokio::time::advance(seconds(5)).await;
        let (gate, second) = (Gate::new(), Gate::new());
        let stuck = stage.under_way(late.gate(&gate));
        assert_eq!(stage.rejected().await.retry_after(), Some(seconds(5)), "most probes are done much sooner");
        tokio::time::advance(seconds(59)).await;
        assert_eq!(stage.rejected().await.retry_after(), Some(seconds(1)));
        tokio::time::advance(seconds(1)).await;
        let other = stage.under_way(ok().gate(&second));
        let epoch = stage.status().epoch;
        gate.open();
        _ = stuck.await;
        assert_eq!((stage.state(), stage.status().epoch), (HALF_OPEN, epoch), "it still is the second one's place");
        second.open();
        other.await.unwrap();
        assert_eq!(stage.state(), CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_keeps_bringing_content_keeps_its_place() {
    let stage = Stage::new(rules().lease(seconds(60)));
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    let long = Frames::answer(&"word ".repeat(20)).spaced(seconds(45));
    let mut body = stage.begin(streamed(), Answer::stream(long)).await.unwrap().body;
    for _ in 0..10 {
        body.next().await.unwrap().unwrap();
        stage.rejected().await;
    }
    body.collect().await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed, "after a quarter of an hour its success counts");
}

#[tokio::test(start_paused = true)]
async fn results_from_an_earlier_state_neither_open_nor_close() {
    let stage = Stage::new(rules());
    let gates: [Gate; 4] = Default::default();
    let late = [
        ok().gate(&gates[0]),
        failing(ErrorKind::Server).gate(&gates[1]),
        advising(ErrorKind::RateLimited, seconds(600)).gate(&gates[2]),
        failing(ErrorKind::Server).gate(&gates[3]),
    ];
    let mut calls: Vec<_> = late.into_iter().map(|answer| stage.under_way(answer)).collect();
    stage.open().await;
    let before = stage.status();
    gates[0].open();
    calls.remove(0).await.unwrap();
    assert_eq!(stage.status(), before, "a late success does not close");

    tokio::time::advance(seconds(5)).await;
    let probe = stage.under_way(Answer::hang());
    gates[1].open();
    calls.remove(0).await.unwrap_err();
    gates[2].open();
    calls.remove(0).await.unwrap_err();
    assert_eq!((stage.state(), stage.status().cooling), (HALF_OPEN, Duration::ZERO));
    drop(probe);

    stage.call(ok()).await.unwrap();
    gates[3].open();
    calls.remove(0).await.unwrap_err();
    assert_eq!((stage.state(), stage.status().score), (CircuitState::Closed, 0), "nor does it count when closed again");
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_and_spent_quota_open_a_key_for_all_its_models() {
    for kind in [ErrorKind::ProviderCredentials, ErrorKind::QuotaExhausted] {
        let stage = Stage::new(rules());
        let with_key = |model: &str, key: &str| {
            let mut request = LlmRequest::chat(model).user("hi").build();
            request.context_mut().set_target(Target::new("openai", model).with_key(key));
            request
        };
        stage.send(with_key("gpt-4o", "first"), failing(kind)).await.unwrap_err();
        for model in ["gpt-4o", "o3"] {
            let error = stage.send(with_key(model, "first"), ok()).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry_after()),
                (ErrorKind::CircuitOpen, Some(seconds(5))),
                "{kind} {model}"
            );
            assert!(error.message().contains("key"), "{error}");
            stage.send(with_key(model, "second"), ok()).await.unwrap();
        }
        let key = key_of(Some("first"));
        assert_eq!(stage.handle.status(&key).state, open(seconds(5)));
        assert_eq!(stage.handle.list().len(), 1, "the target itself has not failed");
        tokio::time::advance(seconds(5)).await;
        stage.send(with_key("o3", "first"), failing(kind)).await.unwrap_err();
        assert_eq!(stage.handle.status(&key).state, open(seconds(10)));
        tokio::time::advance(seconds(10)).await;
        stage.send(with_key("gpt-4o", "first"), ok()).await.unwrap();
        assert_eq!(stage.handle.status(&key).state, CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_waits_as_long_as_the_provider_says() {
    let stage = Stage::new(rules());
    stage.call(advising(ErrorKind::QuotaExhausted, seconds(900))).await.unwrap_err();
    assert_eq!(stage.rejected().await.retry_after(), Some(seconds(900)));
}

#[tokio::test(start_paused = true)]
async fn a_missing_model_opens_that_model_alone() {
    for per in [Covers::Target, Covers::Provider] {
        let stage = Stage::with(BreakerLayer::new().rules(rules()).per(per));
        stage.call(failing(ErrorKind::ModelNotFound)).await.unwrap_err();
        stage.rejected().await;
        stage.send(ask_for("openai", "another"), ok()).await.unwrap();
        tokio::time::advance(seconds(5)).await;
        stage.call(ok()).await.unwrap();
        assert_eq!(stage.state(), CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_target_the_models_circuit_takes_everything() {
    for kind in [ErrorKind::ProviderCredentials, ErrorKind::ModelNotFound] {
        let stage = Stage::new(rules());
        let model = |model: &str| LlmRequest::chat(model).user("hi").build();
        stage.send(model("gpt-4o"), failing(kind)).await.unwrap_err();
        let error = stage.send(model("gpt-4o"), ok()).await.unwrap_err();
        assert_eq!((error.kind(), error.target()), (ErrorKind::CircuitOpen, None));
        stage.send(model("another"), ok()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_may_cover_all_models_of_a_provider() {
    let stage = Stage::with(BreakerLayer::new().rules(rules()).per(Covers::Provider));
    for model in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        stage.send(ask_for("openai", model), failing(ErrorKind::Server)).await.unwrap_err();
    }
    let error = stage.send(ask_for("openai", "i"), ok()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    stage.send(ask_for("groq", "a"), ok()).await.unwrap();
    tokio::time::advance(seconds(5)).await;
    stage.send(ask_for("openai", "i"), ok()).await.unwrap();
    assert_eq!(stage.handle.status(&key_of(None)).state, CircuitState::Closed);
    stage.send(ask_for("openai", "a"), advising(ErrorKind::RateLimited, seconds(9))).await.unwrap_err();
    let error = stage.send(ask_for("openai", "b"), ok()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(seconds(9)), "so does a pause");
}

#[tokio::test(start_paused = true)]
async fn a_routers_probe_goes_before_an_open_circuits_time() {
    let stage = Stage::new(rules());
    stage.open().await;
    let marked = || {
        let mut request = ask();
        request.context_mut().set_probe(true);
        request
    };
    let mut probe = stage.begin(marked(), Answer::hang());
    assert!((&mut probe).now_or_never().is_none());
    assert_eq!(stage.state(), HALF_OPEN);
    let error = stage.send(marked(), ok()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen, "it takes a place, and there is one");
    drop(probe);
    stage.send(marked(), failing(ErrorKind::Server)).await.unwrap_err();
    assert_eq!(stage.state(), open(seconds(10)));
    stage.send(marked(), ok()).await.unwrap();
    assert_eq!(stage.state(), CircuitState::Closed);

    stage.call(advising(ErrorKind::RateLimited, seconds(30))).await.unwrap_err();
    stage.send(marked(), ok()).await.expect_err("a pause is a pause");
    assert!(stage.handle.force_open(&target()));
    stage.send(marked(), ok()).await.expect_err("what was opened by hand stays open");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_forced_open_stays_open_and_one_forced_closed_stays_closed_until_reset() {
    let stage = Stage::new(rules());
    assert!(stage.handle.force_open(&target()));
    tokio::time::advance(seconds(86_400)).await;
    assert_eq!(stage.rejected().await.retry_after(), None, "nobody knows for how long");
    assert!(stage.handle.force_closed(&target()));
    for _ in 0..50 {
        stage.call(failing(ErrorKind::Server)).await.unwrap_err();
        stage.call(advising(ErrorKind::RateLimited, seconds(60))).await.unwrap_err();
    }
    assert_eq!(stage.state(), CircuitState::ForcedClosed);
    assert!(stage.handle.reset(&target()));
    assert_eq!((stage.state(), stage.status().score), (CircuitState::Closed, 0));
    stage.open().await;
    assert!(stage.handle.reset(&target()));
    stage.call(ok()).await.unwrap();
    assert!(!stage.handle.reset(&Target::new("nobody", "knows")));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forced_by_its_name_for_all_models() {
    let stage = Stage::new(rules());
    assert!(stage.handle.force_open(&key_of(None)));
    stage.rejected().await;
    stage.send(ask_for("groq", "gpt-4o"), ok()).await.unwrap();
    stage.handle.reset_all();
    stage.call(ok()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_pauses_failures_and_calls_under_way() {
    let stage = Stage::new(rules());
    stage.fail(7).await;
    let gate = Gate::new();
    let under_way = stage.under_way(failing(ErrorKind::Server).gate(&gate));
    stage.call(advising(ErrorKind::RateLimited, seconds(60))).await.unwrap_err();
    stage.handle.reset_all();
    stage.call(ok()).await.unwrap();
    gate.open();
    under_way.await.unwrap_err();
    assert_eq!((stage.state(), stage.status().score), (CircuitState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_all_leaves_no_result_of_a_healthy_target_under_way() {
    let stage = Stage::new(rules());
    let gate = Gate::new();
    let under_way = stage.under_way(failing(ErrorKind::Server).gate(&gate));
    stage.handle.reset_all();
    gate.open();
    under_way.await.unwrap_err();
    assert_eq!(stage.status().score, 0);
}

/// A stream whose first content comes after `wait`.
fn late(wait: u64) -> Answer {
    Answer::stream(Frames::new().start().wait(seconds(wait)).words("at last").finish().last())
}

#[tokio::test(start_paused = true)]
async fn a_first_content_that_is_late_counts_half_when_it_is_late_and_its_success_not() {
    let answers = [
        ("a late head", Answer::whole(Output::text("at last")).after(seconds(20)), false),
        ("a late content", late(20), true),
    ];
    for (what, answer, is_stream) in answers {
        let stage = Stage::new(rules().slow_after(seconds(10)).trip(Consecutive::after(2.try_into().unwrap())));
        for openings in [0, 0, 0, 1] {
            let request = if is_stream { streamed() } else { ask() };
            let call = stage.begin(request, answer.clone());
            let call = tokio::spawn(async move { call.await.unwrap().body.collect().await });
            tokio::time::sleep(Duration::from_millis(9_999)).await;
            let score = stage.status().score;
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(stage.status().openings, openings, "{what}");
            assert!(openings == 1 || stage.status().score == score + 512, "{what}");
            call.await.unwrap().expect("the call itself goes on");
            assert!(
                openings == 1 || stage.status().score == score + 512,
                "{what}: its success does not make up for it"
            );
        }
        assert_eq!(stage.handle.counts().opened, 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_that_then_fails_counts_once() {
    let stage = Stage::new(rules().slow_after(seconds(10)).trip(Consecutive::default()));
    let slow_then_cut = Answer::stream(Frames::new().start().wait(seconds(20)).words("at last"));
    let response = stage.begin(streamed(), slow_then_cut).await.unwrap();
    response.body.collect().await.unwrap_err();
    assert_eq!(stage.status().score, 512);
    let abandoned = tokio::time::timeout(seconds(15), stage.begin(ask(), Answer::hang())).await;
    assert!(abandoned.is_err());
    assert_eq!(stage.status().score, 1_024, "so does one that the caller then leaves");
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_time_is_not_slow_however_long_it_goes_on() {
    let stage = Stage::new(rules().slow_after(seconds(10)));
    let long = Frames::answer(&"word ".repeat(20)).spaced(seconds(4));
    let response = stage.begin(streamed(), Answer::stream(long)).await.unwrap();
    response.body.collect().await.unwrap();
    let empty = Frames::new().start().finish().wait(seconds(60)).last();
    stage.begin(streamed(), Answer::stream(empty)).await.unwrap().body.collect().await.unwrap();
    assert!(stage.handle.is_empty());
    let off = Stage::new(rules());
    off.begin(streamed(), late(600)).await.unwrap().body.collect().await.unwrap();
    assert!(off.handle.is_empty(), "and unless it is turned on nothing is");
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_opens_again_when_it_is_slow() {
    let stage = Stage::new(rules().slow_after(seconds(10)));
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    stage.begin(streamed(), late(20)).await.unwrap().body.collect().await.unwrap();
    assert_eq!(stage.status().openings, 2);
}

#[tokio::test(start_paused = true)]
async fn operators_hear_of_every_change() {
    let stage = Stage::new(rules());
    let mut notices = stage.handle.notices();
    stage.open().await;
    tokio::time::advance(seconds(5)).await;
    stage.call(ok()).await.unwrap();
    stage.call(advising(ErrorKind::RateLimited, seconds(30))).await.unwrap_err();
    stage.handle.force_open(&target());
    stage.handle.force_closed(&target());
    stage.handle.reset(&target());
    stage.call(failing(ErrorKind::QuotaExhausted)).await.unwrap_err();
    let mut heard = Vec::new();
    while let Some(Some(notice)) = notices.next().now_or_never() {
        assert_eq!(notice.source, "breaker");
        heard.push((notice.key, notice.kind, notice.numbers));
    }
    let expected = [
        ("openai/gpt-4o", "opened", vec![("openings", 1.0), ("wait_seconds", 5.0)]),
        ("openai/gpt-4o", "probing", vec![]),
        ("openai/gpt-4o", "closed", vec![]),
        ("openai/gpt-4o", "cooling", vec![("wait_seconds", 30.0)]),
        ("openai/gpt-4o", "forced_open", vec![]),
        ("openai/gpt-4o", "forced_closed", vec![]),
        ("openai/gpt-4o", "reset", vec![]),
        ("openai", "opened", vec![("openings", 1.0), ("wait_seconds", 5.0)]),
    ];
    let heard: Vec<_> = heard.iter().map(|(key, kind, numbers)| (key.as_str(), *kind, numbers.clone())).collect();
    assert_eq!(heard, expected);
}

#[tokio::test(start_paused = true)]
async fn the_handle_counts_and_lists() {
    let stage = Stage::new(rules());
    stage.open().await;
    stage.rejected().await;
    tokio::time::advance(seconds(5)).await;
    stage.call(ok()).await.unwrap();
    stage.send(ask_for("anthropic", "claude"), failing(ErrorKind::Server)).await.unwrap_err();
    let counts = stage.handle.counts();
    assert_eq!((counts.opened, counts.rejected, counts.probes, counts.closed), (1, 1, 1, 1));
    let list: Vec<_> = stage.handle.list().iter().map(ToString::to_string).collect();
    assert_eq!(list, ["anthropic/claude: closed", "openai/gpt-4o: closed"]);
    stage.open().await;
    assert_eq!(stage.status().to_string(), "openai/gpt-4o: open, 5.0s left");
}

#[tokio::test(start_paused = true)]
async fn health_is_the_worse_of_the_targets_circuit_and_its_keys() {
    let stage = Stage::new(rules());
    let health = |stage: &Stage| stage.handle.of(&target());
    assert_eq!(health(&stage), HealthState::Healthy);
    stage.call(advising(ErrorKind::RateLimited, seconds(2))).await.unwrap_err();
    assert_eq!(health(&stage), HealthState::Cooling { remaining: seconds(2) });
    tokio::time::advance(seconds(2)).await;
    stage.open().await;
    assert_eq!(health(&stage), HealthState::Open { remaining: seconds(5) });
    tokio::time::advance(seconds(5)).await;
    assert_eq!(health(&stage), HealthState::Probing, "the next call will be let through");
    let probe = stage.under_way(Answer::hang());
    let busy = HealthState::Open { remaining: seconds(5) };
    assert_eq!(health(&stage), busy, "and further ones are not while that is under way");
    drop(probe);
    assert_eq!(health(&stage), HealthState::Probing);
    stage.call(advising(ErrorKind::QuotaExhausted, seconds(60))).await.unwrap_err();
    assert_eq!(health(&stage), HealthState::Open { remaining: seconds(60) }, "the key's is worse now");
    assert_eq!(stage.handle.of(&Target::new("groq", "llama")), HealthState::Healthy);
    stage.handle.reset_all();
    assert_eq!(health(&stage), HealthState::Healthy);
    stage.handle.force_open(&target());
    assert_eq!(health(&stage), HealthState::Open { remaining: Duration::MAX });
}

#[tokio::test(start_paused = true)]
async fn measures_say_one_state_of_each_circuit() {
    let stage = Stage::new(rules());
    stage.open().await;
    stage.send(ask_for("groq", "llama"), advising(ErrorKind::RateLimited, seconds(9))).await.unwrap_err();
    let mut states = Vec::new();
    let mut others = Vec::new();
    stage.handle.measure(&mut |measure| {
        let labels: Vec<_> = measure.labels.iter().map(|(_, value)| value.to_string()).collect();
        match measure.name {
            "llm.breaker.state" => states.push((labels.join(" "), measure.value)),
            name => others.push((name, measure.value)),
        }
    });
    assert_eq!(states.len(), 12);
    states.retain(|(_, value)| *value == 1.0);
    assert_eq!(
        states.iter().map(|(labels, _)| labels.as_str()).collect::<Vec<_>>(),
        ["groq llama  cooling", "openai gpt-4o  open"]
    );
    assert!(others.contains(&("llm.breaker.opened", 1.0)));
}

#[tokio::test(start_paused = true)]
async fn of_a_million_keys_the_bound_is_kept_and_an_open_circuit_stays_open() {
    let stage = Stage::with(BreakerLayer::new().rules(rules()));
    stage.open().await;
    assert!(stage.handle.force_open(&Target::new("forced", "model")));
    let mut failing = stage.layer.layer(Probe::answering(failing(ErrorKind::Server)));
    for model in 0..1_000_000 {
        let request = ask_for("openai", &model.to_string());
        _ = failing.ready().await.unwrap().call(request).await;
        if model % 50_000 == 0 {
            assert!(stage.handle.len() <= 10_000);
        }
    }
    assert_eq!(stage.handle.len(), 10_000);
    assert!(matches!(stage.state(), CircuitState::Open { .. }));
    assert_eq!(stage.handle.status(&Target::new("forced", "model")).state, CircuitState::ForcedOpen);
    assert!(matches!(stage.handle.overflow_status().state, CircuitState::Open { .. }), "the others share one");
}

#[tokio::test(start_paused = true)]
async fn state_is_shared_by_clones_and_by_services_of_one_layer_and_not_by_two_layers() {
    let stage = Stage::new(rules());
    stage.open().await;
    let service = stage.layer.layer(Probe::new());
    for mut service in [service.clone(), service, stage.layer.clone().layer(Probe::new())] {
        assert_eq!(service.ready().await.unwrap().call(ask()).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
    }
    let fresh = stage.layer.clone().rules(rules()).layer(Probe::new());
    fresh.oneshot(ask()).await.expect("a setter starts fresh circuits");
}

#[tokio::test(start_paused = true)]
async fn rules_may_differ_by_target() {
    let one = rules().trip(Consecutive::after(1.try_into().unwrap()));
    let all = PerTarget::new(rules()).provider("local", one.clone()).model("o3", one);
    let stage = Stage::with(BreakerLayer::new().rules(all));
    for (provider, model, failures) in [("openai", "gpt-4o", 8), ("local", "llama", 1), ("openai", "o3", 1)] {
        let mut until_open = 0;
        while stage.handle.status(&Target::new(provider, model)).state == CircuitState::Closed {
            stage.send(ask_for(provider, model), failing(ErrorKind::Server)).await.unwrap_err();
            until_open += 1;
        }
        assert_eq!(until_open, failures, "{provider} {model}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_counts_successes_from_the_first_and_forgets_when_it_opens() {
    let rate = Rate::new(seconds(60), 20.try_into().unwrap(), 0.5).unwrap();
    let stage = Stage::new(rules().trip(rate));
    for _ in 0..10 {
        stage.call(ok()).await.unwrap();
    }
    assert_eq!(stage.handle.len(), 1);
    stage.fail(9).await;
    assert_eq!(stage.state(), CircuitState::Closed);
    stage.fail(1).await;
    assert_eq!(stage.state(), open(seconds(5)));
    tokio::time::advance(seconds(5)).await;
    stage.call(ok()).await.unwrap();
    stage.fail(19).await;
    assert_eq!(stage.state(), CircuitState::Closed);
    tokio::time::advance(seconds(61)).await;
    stage.fail(19).await;
    assert_eq!(stage.state(), CircuitState::Closed, "the window has moved on");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_stopped_later_and_longer_and_tried_more_often() {
    let stage = Stage::with(BreakerLayer::batch().random(Random::seeded(1)));
    stage.fail(10).await;
    assert_eq!(stage.state(), CircuitState::Closed);
    stage.fail(1).await;
    let CircuitState::Open { remaining } = stage.state() else { panic!() };
    assert!((seconds(12)..=seconds(18)).contains(&remaining));
    tokio::time::advance(seconds(18)).await;
    for _ in 0..3 {
        assert_ne!(stage.state(), CircuitState::Closed);
        stage.call(ok()).await.unwrap();
    }
    assert_eq!(stage.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn open_times_are_as_configured() {
    let open_for = OpenTime::new(seconds(1), seconds(3)).unwrap().jitter(0.0).unwrap();
    let stage = Stage::new(rules().open_for(open_for).trip(Consecutive::after(1.try_into().unwrap())));
    for expected in [1, 2, 3, 3] {
        stage.fail(1).await;
        assert_eq!(stage.state(), open(seconds(expected)));
        tokio::time::advance(seconds(expected)).await;
    }
    assert!(OpenTime::new(seconds(5), seconds(4)).is_err() && OpenTime::new(Duration::ZERO, seconds(4)).is_err());
    assert!(OpenTime::default().jitter(1.0).is_err() && Probes::new(0, 1).is_err() && Probes::new(1, 16).is_err());
}

#[tokio::test(start_paused = true)]
async fn many_calls_of_a_healthy_target_leave_nothing_behind() {
    let stage = Stage::new(rules());
    let calls = (0..100).map(|_| stage.begin(ask(), ok()));
    assert!(join_all(calls).await.into_iter().all(|answer| answer.is_ok()));
    assert!(stage.handle.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_ones_own_is_told_of_successes_if_it_heeds_them() {
    /// Opens at the tenth call, whatever became of it.
    #[derive(Debug)]
    struct Tenth;
    impl TripRule for Tenth {
        fn after(&self, score: u32, _: Sample) -> Step {
            if score == 9 { Step::Trip } else { Step::Keep(score + 1) }
        }
    }
    let stage = Stage::new(rules().trip(Trip::by(Tenth)));
    for _ in 0..10 {
        assert_eq!(stage.state(), CircuitState::Closed);
        stage.call(ok()).await.unwrap();
    }
    stage.rejected().await;
}

#[tokio::test(start_paused = true)]
async fn targets_that_share_a_circuit_fail_together_except_for_what_is_one_models_own() {
    /// All models that nobody has listed.
    struct Unlisted;
    impl Sharing for Unlisted {
        fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str> {
            target.model.starts_with("gpt-").then_some("gpt-*")
        }
    }
    let own = rules().trip(Consecutive::after(1.try_into().unwrap()));
    let all = PerTarget::new(rules()).model("gpt-own", own);
    let stage = Stage::with(BreakerLayer::new().rules(all).sharing(Unlisted));
    for model in 0..20 {
        let model = format!("gpt-{model}");
        stage.send(ask_for("openai", &model), failing(ErrorKind::ModelNotFound)).await.unwrap_err();
    }
    stage.send(ask_for("openai", "gpt-1"), advising(ErrorKind::RateLimited, seconds(60))).await.unwrap_err();
    assert!(stage.handle.is_empty(), "that one model is missing or throttled says nothing of the others");
    for model in 0..8 {
        let model = format!("gpt-{model}");
        stage.send(ask_for("openai", &model), failing(ErrorKind::Server)).await.unwrap_err();
    }
    stage.rejected().await;
    stage.send(ask_for("openai", "o3"), ok()).await.unwrap();
    stage.send(ask_for("azure", "gpt-1"), ok()).await.unwrap();
    assert_eq!(stage.handle.of(&target()), HealthState::Open { remaining: seconds(5) });
    let names: Vec<_> = stage.handle.list().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["openai/gpt-*: open, 5.0s left"]);
    let circuit_of = |model| stage.handle.circuit_of(&Target::new("openai", model)).to_string();
    assert_eq!((circuit_of("gpt-1"), circuit_of("o3")), ("openai/gpt-*".to_owned(), "openai/o3".to_owned()));

    stage.send(ask_for("openai", "gpt-own"), failing(ErrorKind::Server)).await.unwrap_err();
    let own = stage.handle.status(&Target::new("openai", "gpt-own"));
    assert_eq!(own.state, open(seconds(5)), "a model with rules of its own is known by its name");
    assert_eq!(stage.handle.list().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn new_settings_begin_with_the_circuits_that_are_not_closed() {
    let before = Stage::new(rules());
    let limited = advising(ErrorKind::RateLimited, seconds(60));
    before.open().await;
    before.send(ask_for("openai", "cooling"), limited).await.unwrap_err();
    before.send(ask_for("openai", "failed-once"), failing(ErrorKind::Server)).await.unwrap_err();
    before.handle.force_open(&Target::new("openai", "forced"));
    tokio::time::advance(seconds(2)).await;

    let after = Stage::with(BreakerLayer::new().rules(rules().probes(Probes::ONE)).resuming(&before.handle));
    let mut listed: Vec<_> = after.handle.list().iter().map(ToString::to_string).collect();
    listed.sort();
    let expected =
        ["openai/cooling: cooling, 58.0s left", "openai/forced: forced_open", "openai/gpt-4o: open, 3.0s left"];
    assert_eq!(listed, expected);
    after.rejected().await;

    tokio::time::advance(seconds(3)).await;
    // The probe of the one is no news to the other.
    let probe = before.under_way(Answer::hang());
    let resumed = Stage::with(BreakerLayer::new().rules(rules()).resuming(&before.handle));
    assert_eq!(resumed.state(), open(Duration::ZERO));
    resumed.call(failing(ErrorKind::Server)).await.unwrap_err();
    assert_eq!(resumed.state(), open(seconds(10)), "how often it has opened is not forgotten");
    drop(probe);
}
