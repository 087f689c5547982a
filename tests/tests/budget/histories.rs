//! Whatever providers and callers do, with every layer in its place: the ledger and the trails come to the same sum.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use futures_util::StreamExt;
use llm_budget::{BudgetLayer, Cap, CapRule, LimitLayer, Metered, Per, Streams, WhenShort, Window, limit::LimitRule};
use llm_core::{BoxLlmService, Caller, LlmRequest, NanoUsd, catalog::Catalog};
use llm_fallback::{Answer, FallbackLayer, When};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use proptest::prelude::*;
use tokio::{task::JoinSet, time::sleep};
use tower::{ServiceBuilder, ServiceExt};

use crate::full::{Full, hedge_after};

/// Providers, and what a million tokens of input and of output cost there.
const PROVIDERS: [(&str, f64, f64); 3] = [("first", 500.0, 1_000.0), ("second", 700.0, 700.0), ("third", 90.0, 330.0)];

const FAULTS: [&str; 9] = [
    "status 503",
    "status 429 retry-after=1",
    "cut",
    "cut after 0",
    "cut after 7",
    "error server_error after 3",
    "hang after 2",
    "delay 3s",
    "hang",
];

#[derive(Clone, Debug)]
struct History {
    seed: u64,
    /// How many of a hundred calls each fault hits, and there are nine of them.
    faults: u8,
    streams: Streams,
    is_on_top: bool,
    cap: NanoUsd,
    calls: Vec<Call>,
}

#[derive(Clone, Debug)]
struct Call {
    at: Duration,
    tenant: u8,
    stream: bool,
    most_output: u64,
    leaves: Option<Leaves>,
}

#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// So long after it has called, whatever has come.
    After(Duration),
    /// With so many frames read.
    With(usize),
}

fn history() -> impl Strategy<Value = History> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    let leaves = prop_oneof![
        3 => Just(None),
        1 => millis(6_000).prop_map(|after| Some(Leaves::After(after))),
        1 => (0_usize..60).prop_map(|frames| Some(Leaves::With(frames))),
    ];
    let call = (millis(5_000), 0_u8..2, any::<bool>(), 1_u64..150, leaves);
    let call =
        call.prop_map(|(at, tenant, stream, most_output, leaves)| Call { at, tenant, stream, most_output, leaves });
    let tokens = |count| NonZeroU64::new(count).unwrap();
    let metered = Metered::default().likely_output(tokens(24)).slice(tokens(16));
    let streams = prop_oneof![
        Just(Streams::WorstCase),
        Just(Streams::Metered(metered)),
        Just(Streams::Metered(metered.when_short(WhenShort::Finish(tokens(20))))),
    ];
    let calls = prop::collection::vec(call, 1..24);
    (any::<u64>(), 0_u8..10, streams, any::<bool>(), 50_u64..1_500, calls).prop_map(
        |(seed, faults, streams, is_on_top, mills, calls)| {
            let cap = NanoUsd(mills * 1_000_000);
            History { seed, faults, streams, is_on_top, cap, calls }
        },
    )
}

fn sim(place: usize, history: &History) -> Sim {
    let (_, input, output) = PROVIDERS[place];
    let answers = ModelConfig {
        input: Some(input),
        output: Some(output),
        output_tokens: 50,
        output_spread: 0.8,
        first_token: Duration::from_millis(300),
        ..ModelConfig::chat("m")
    };
    // Shares are of the calls that no rule before has hit.
    let rule = |fault: &&str| FaultRule::new(fault.parse().unwrap()).share(f64::from(history.faults) / 100.0);
    let model = FAULTS.iter().map(rule).fold(answers, ModelConfig::fault);
    let seed = history.seed.wrapping_add(place as u64);
    Sim::try_from(SimConfig { seed, ..SimConfig::new([model]) }).unwrap()
}

fn catalog() -> Arc<Catalog> {
    let entry = |(provider, input, output): &(&str, f64, f64)| {
        format!("[[models]]\nprovider = \"{provider}\"\nname = \"m\"\ninput = {input:?}\noutput = {output:?}\n")
    };
    let named: String = PROVIDERS.iter().map(entry).collect();
    // What the name stands for where nobody has chosen a provider yet.
    let plain = "[[models]]\nname = \"m\"\ninput = 500.0\noutput = 1000.0\n";
    Arc::new(Catalog::from_toml(&format!("{named}{plain}")).unwrap())
}

fn request(number: usize, call: &Call) -> LlmRequest {
    // As many answers as there are prompts.
    let chat = LlmRequest::chat("m").user(format!("{number}: why?")).max_output_tokens(call.most_output);
    let mut request = if call.stream { chat.stream().build() } else { chat.build() };
    request.context_mut().set_caller(Caller::tenant(call.tenant.to_string()));
    request
}

/// Makes a call, and leaves it where its caller does.
async fn make(service: BoxLlmService, request: LlmRequest, Call { at, leaves, .. }: Call) {
    sleep(at).await;
    let read = async {
        let Ok(response) = service.oneshot(request).await else { return };
        let frames = match leaves {
            Some(Leaves::With(frames)) => frames,
            Some(Leaves::After(_)) | None => usize::MAX,
        };
        let mut body = response.body.take(frames);
        while body.next().await.is_some() {}
    };
    match leaves {
        Some(Leaves::After(after)) => _ = tokio::time::timeout(after, read).await,
        Some(Leaves::With(_)) | None => read.await,
    }
}

async fn play(history: History) {
    let all = CapRule::new("all", Per::GLOBAL, Cap::new(history.cap, Window::Lifetime));
    let half = CapRule::new("each", Per::TENANT, Cap::new(NanoUsd(history.cap.0 * 2 / 3), Window::Lifetime));
    let budget = BudgetLayer::new([all, half]).streams(history.streams);
    let providers = (0..3).map(|place| (PROVIDERS[place].0, BoxLlmService::new(sim(place, &history))));
    let stacked = if history.is_on_top { Full::budget_on_top } else { Full::new };
    let full = stacked(providers.collect(), &catalog(), budget, Some(hedge_after(Duration::from_millis(700))));
    let limit = LimitRule::new("few", Per::TENANT).at_once(8.try_into().unwrap());
    let limit = LimitLayer::new([limit]);
    let limited = limit.handle();
    let fallback = FallbackLayer::new().case(When::new(), Answer::message("Not now."));
    let service = ServiceBuilder::new().layer(fallback).layer(limit).service(full.service.clone());
    let service = BoxLlmService::new(service);

    let mut calls = JoinSet::new();
    let mut trails = Vec::new();
    for (number, call) in history.calls.iter().enumerate() {
        let request = request(number, call);
        trails.push((request.context().id(), request.context().trail()));
        calls.spawn(make(service.clone(), request, call.clone()));
    }
    while let Some(made) = calls.join_next().await {
        made.unwrap();
    }

    let spent = full.recorder.at_rest();
    let costs = trails.iter().flat_map(|(_, trail)| trail.attempts()).filter_map(|attempt| attempt.cost);
    assert_eq!(spent, costs.sum(), "the ledger, and the trails");
    for (call, trail) in &trails {
        if history.is_on_top {
            assert!(full.recorder.of(*call).len() <= 1, "one call, one line");
        } else {
            full.paid(*call, trail);
        }
    }
    let models = full.budget.models();
    assert_eq!(models.iter().map(|spend| spend.reported.saturating_add(spend.estimated)).sum::<NanoUsd>(), spent);
    let accounts = full.budget.accounts();
    let of = |rule: &str| -> NanoUsd {
        let accounts = accounts.iter().filter(|status| &*status.key.rule == rule);
        accounts.map(|status| status.balances[0].spent).sum()
    };
    assert_eq!((of("all"), of("each")), (spent, spent));
    if history.streams == Streams::WorstCase && !history.is_on_top {
        assert_eq!(full.recorder.excess(), NanoUsd::ZERO, "the worst is the worst");
    }
    assert!(limited.list().iter().all(|status| status.in_flight == 0), "{:?}", limited.list());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_ledger_and_the_trails_agree_and_no_cap_is_passed_but_by_what_was_settled_above_its_reservation(
        history in history(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(history));
    }
}
