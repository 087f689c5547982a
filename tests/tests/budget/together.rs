//! The budget among the other layers, on paused time: what each makes of what it refuses, and of what is refused to it.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use llm_breaker::BreakerLayer;
use llm_budget::{BudgetLayer, LimitLayer, Metered, Per, Streams, limit::LimitRule};
use llm_core::{
    Again, AttemptEnd, BoxLlmService, Caller, ErrorKind, LlmRequest, NanoUsd, Served, Stage as When, Target,
    catalog::Catalog,
};
use llm_fallback::{Answer, FallbackLayer, When as Case};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use tower::{ServiceBuilder, ServiceExt};

use crate::{
    full::{Full, hedge_after},
    recorder::Recorder,
    stage::rule,
};

/// What a token of output costs at the first provider, in nano-dollars, and at the second a half of it.
const TOKEN: u64 = 4_000;
const OUTPUT: u64 = 20;
const MOST_OUTPUT: u64 = 100;

const PRICED: &str = r#"
    [[models]]
    name = "m"
    input = 0.0
    output = 4.0
    [[models]]
    provider = "second"
    name = "m"
    input = 0.0
    output = 2.0
"#;

fn catalog(text: &str) -> Arc<Catalog> {
    Arc::new(Catalog::from_toml(text).unwrap())
}

/// A provider that charges so much for a million tokens of output. Its calls go wrong as these scripts say, one each.
fn sim(output: f64, scripts: &[&str]) -> Sim {
    let answers = ModelConfig {
        input: Some(0.0),
        output: Some(output),
        output_tokens: OUTPUT,
        tokens_per_second: 100.0,
        ..ModelConfig::chat("m")
    };
    let faults = (1..).zip(scripts).map(|(call, script)| FaultRule::new(script.parse().unwrap()).calls(call..=call));
    Sim::try_from(SimConfig::new([faults.fold(answers, ModelConfig::fault)])).unwrap()
}

/// Two providers, the second of which is cheaper.
fn sims(scripts: &[&str]) -> [Sim; 2] {
    [sim(4.0, scripts), sim(2.0, &[])]
}

fn named(sims: &[Sim]) -> Vec<(&'static str, BoxLlmService)> {
    ["first", "second"].into_iter().zip(sims).map(|(name, sim)| (name, BoxLlmService::new(sim.clone()))).collect()
}

fn calls<const N: usize>(sims: &[Sim; N]) -> [u64; N] {
    sims.each_ref().map(Sim::requests)
}

fn cap(tokens: u64) -> BudgetLayer {
    BudgetLayer::new([rule(NanoUsd(tokens * TOKEN))]).streams(Streams::WorstCase)
}

fn ask(stream: bool) -> LlmRequest {
    let chat = LlmRequest::chat("m").user("Why?").max_output_tokens(MOST_OUTPUT);
    let mut request = if stream { chat.stream().build() } else { chat.build() };
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

/// The reasons and ends of a call's attempts.
fn trail(request: &LlmRequest) -> Vec<(Again, AttemptEnd)> {
    request.context().trail().attempts().iter().map(|attempt| (attempt.reason, attempt.end.unwrap())).collect()
}

const REFUSED: AttemptEnd = AttemptEnd::Failed(ErrorKind::BudgetExceeded);

#[tokio::test(start_paused = true)]
async fn what_the_budget_refuses_goes_to_a_cheaper_target_and_takes_nothing_from_the_allowance() {
    for stream in [false, true] {
        let sims = sims(&[]);
        let full = Full::new(named(&sims), &catalog(PRICED), cap(60), None);
        let request = ask(stream);
        full.text(request.clone()).await.unwrap();
        assert_eq!(trail(&request), [(Again::First, REFUSED), (Again::Failover, AttemptEnd::Complete)]);
        assert_eq!((request.context().calls_left(), calls(&sims)[0]), (2, 0));
        assert_eq!(full.paid(request.context().id(), &request.context().trail()), [NanoUsd(OUTPUT * TOKEN / 2)]);
        full.recorder.at_rest();
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_budget_refuses_everywhere_is_neither_tried_again_nor_hedged() {
    for stream in [false, true] {
        let sims = sims(&[]);
        let full = Full::new(named(&sims), &catalog(PRICED), cap(40), Some(hedge_after(Duration::ZERO)));
        let request = ask(stream);
        let begun = tokio::time::Instant::now();
        let error = full.text(request.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after(), calls(&sims)), (ErrorKind::BudgetExceeded, None, [0, 0]));
        assert_eq!(trail(&request), [(Again::First, REFUSED), (Again::Failover, REFUSED)], "{stream}");
        assert_eq!((begun.elapsed(), request.context().calls_left()), (Duration::ZERO, 2));
        assert!(full.recorder.lines().is_empty());

        let rich = Full::new(named(&sims), &catalog(PRICED), cap(1_000), Some(hedge_after(Duration::ZERO)));
        let request = ask(stream);
        rich.text(request.clone()).await.unwrap();
        assert_eq!(trail(&request)[1].0, Again::Hedge, "that would be hedged at once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_refused_and_the_router_goes_on_to_one_that_has_one() {
    let unpriced = "[[models]]\nprovider = \"first\"\nname = \"m\"\n";
    let second = "[[models]]\nprovider = \"second\"\nname = \"m\"\ninput = 0.0\noutput = 2.0\n";
    let sims = sims(&[]);
    let full = Full::new(named(&sims), &catalog(&format!("{unpriced}{second}")), cap(1_000), None);
    let request = ask(false);
    full.text(request.clone()).await.unwrap();
    assert_eq!(trail(&request), [(Again::First, REFUSED), (Again::Failover, AttemptEnd::Complete)]);
    assert_eq!((calls(&sims), request.context().calls_left()), ([0, 1], 2));

    let full = Full::new(named(&sims[..1]), &catalog(unpriced), cap(1_000), None);
    let error = full.text(ask(false)).await.unwrap_err();
    assert_eq!(
        error.message(),
        "the price of `first/m` is not known, and the budget `per-tenant` needs it: state its `input` and `output` price in \
         a [[models]] entry of the catalogue"
    );
    assert_eq!((full.budget.counts().unpriced, calls(&sims)), (1, [0, 1]));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_below_costs_nothing() {
    for stream in [false, true] {
        let (sims, target) = ([sim(4.0, &[])], Target::new("first", "m"));
        let full = Full::new(named(&sims), &catalog(PRICED), cap(1_000), None);
        assert!(full.breaker.force_open(&target));
        let mut request = ask(stream);
        assert_eq!(full.text(request.clone()).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
        assert!(full.recorder.lines().is_empty(), "the router does not even go there");

        // Without a router, what was set aside is given back.
        let (breaker, recorder) = (BreakerLayer::new(), Recorder::default());
        assert!(breaker.handle().force_open(&target));
        let budget = cap(1_000).catalog(catalog(PRICED)).ledger(Arc::new(recorder.clone()));
        request.context_mut().set_target(target);
        let service = ServiceBuilder::new().layer(budget).layer(breaker).service(sims[0].clone());
        assert_eq!(service.oneshot(request.clone()).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
        let [line] = &recorder.lines()[..] else { panic!("it was asked for: {:?}", recorder.lines()) };
        assert_eq!((line.held, line.cost()), (NanoUsd(MOST_OUTPUT * TOKEN), Some(NanoUsd::ZERO)));
        assert_eq!((recorder.at_rest(), calls(&sims)), (NanoUsd::ZERO, [0]));
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_is_spent_a_fallback_answers_and_is_free() {
    for stream in [false, true] {
        let sims = sims(&[]);
        let full = Full::new(named(&sims), &catalog(PRICED), cap(10), None);
        let fallback = FallbackLayer::new().case(Case::new(), Answer::message("Please come back tomorrow."));
        let service = ServiceBuilder::new().layer(fallback).service(full.service.clone());
        let response = service.oneshot(ask(stream)).await.unwrap();
        assert_eq!(response.head.served, Served::Degraded);
        assert_eq!(response.body.collect().await.unwrap().first_text(), "Please come back tomorrow.");
        assert_eq!((full.recorder.at_rest(), calls(&sims)), (NanoUsd::ZERO, [0, 0]));

        // Above the fallback too: what it makes up is no provider's work, and what was tried before is.
        let sims = [sim(4.0, &["cut after 5"; 3])];
        let full = Full::new(named(&sims), &catalog(PRICED), cap(1_000), None);
        let fallback = FallbackLayer::new().case(Case::new(), Answer::message("Please come back tomorrow."));
        let above = cap(1_000).catalog(catalog(PRICED)).ledger(Arc::new(full.recorder.clone()));
        let service = ServiceBuilder::new().layer(above).layer(fallback).service(full.service.clone());
        let request = ask(false);
        let response = service.oneshot(request.clone()).await.unwrap();
        assert_eq!((response.head.served, calls(&sims)), (Served::Degraded, [3]));
        let attempts: NanoUsd = request.context().trail().attempts().iter().filter_map(|attempt| attempt.cost).sum();
        assert_eq!(full.recorder.at_rest(), attempts.saturating_add(attempts), "once in each of the two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_above_the_router_counts_one_call_however_many_attempts_it_takes() {
    let sims = sims(&["status 500", "status 500"]);
    let full = Full::new(named(&sims), &catalog(PRICED), cap(1_000), None);
    let limit = LimitRule::new("few", Per::TENANT).requests_per_minute(NonZeroU32::new(2).unwrap());
    let service = ServiceBuilder::new().layer(LimitLayer::new([limit])).service(full.service.clone());
    let request = ask(false);
    service.clone().oneshot(request.clone()).await.unwrap();
    assert_eq!((trail(&request).len(), calls(&sims)), (3, [2, 1]));
    service.clone().oneshot(ask(false)).await.unwrap();
    let spent = full.recorder.at_rest();
    let error = service.clone().oneshot(ask(false)).await.unwrap_err();
    assert_eq!((error.kind(), full.recorder.at_rest()), (ErrorKind::LimitExceeded, spent));
    tokio::time::sleep(error.retry_after().unwrap()).await;
    service.oneshot(ask(false)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_budget_above_the_router_pays_for_all_attempts_at_the_prices_of_their_targets() {
    for stream in [false, true] {
        let sims = sims(&["cut after 0", "hang"]);
        let hedge = hedge_after(Duration::from_secs(1));
        let full = Full::budget_on_top(named(&sims), &catalog(PRICED), cap(1_000), Some(hedge));
        let request = ask(stream);
        full.text(request.clone()).await.unwrap();
        let attempts = request.context().trail().attempts();
        let costs: Vec<_> = attempts.iter().map(|attempt| attempt.cost.unwrap()).collect();
        assert_eq!((calls(&sims), costs.len()), ([2, 1], 3));
        assert_eq!(costs[2], NanoUsd(OUTPUT * TOKEN / 2), "{attempts:?}");
        let [line] = &full.recorder.of(request.context().id())[..] else { panic!("one call, one line") };
        assert_eq!((line.held, line.cost().unwrap()), (NanoUsd(MOST_OUTPUT * TOKEN), costs.into_iter().sum()));
        full.recorder.at_rest();

        let spent = Full::budget_on_top(named(&sims), &catalog(PRICED), cap(60), None);
        let request = ask(stream);
        assert_eq!(spent.text(request.clone()).await.unwrap_err().kind(), ErrorKind::BudgetExceeded);
        assert_eq!(calls(&sims), [2, 1], "nobody is asked, though the second would be cheap enough");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_cut_is_not_begun_again_and_its_provider_is_not_blamed() {
    let sims = sims(&[]);
    let tokens = |count| NonZeroU64::new(count).unwrap();
    let metered = Streams::Metered(Metered::default().likely_output(tokens(4)).slice(tokens(4)));
    let full = Full::new(named(&sims), &catalog(PRICED), cap(12).streams(metered), None);
    let request = ask(true);
    let error = full.text(request.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::BudgetExceeded, When::AfterContent));
    assert_eq!((trail(&request), calls(&sims)), (vec![(Again::First, AttemptEnd::Abandoned)], [1, 0]));
    assert_eq!(full.breaker.status(&Target::new("first", "m")).score, 0);
    assert!(full.recorder.at_rest() <= NanoUsd(12 * TOKEN));
}
