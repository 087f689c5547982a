//! Every attempt that a provider may bill has its line in the trail and in the ledger, over sockets.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use llm_budget::{BudgetLayer, Metered, Streams};
use llm_core::{
    Again, AttemptEnd, BoxLlmService, CacheTtl, Caller, ErrorKind, LlmRequest, NanoUsd, Part, Payload, Provenance,
    Stage as When, Usage, catalog::Catalog,
};
use llm_providers::ProviderDialect;
use llm_retry::HedgeLayer;
use llm_sim::{FaultRule, ModelConfig, SimConfig, SimServer};

use crate::{
    full::{Full, hedge_after},
    stage::{DIALECTS, OUTPUT, mills, provider, rule, serve},
};

/// What tokens cost, in nano-dollars: at the first provider, and at the second for a half.
const INPUT: u64 = 1_000;
const CACHE_READ: u64 = 100;
const CACHE_WRITE: u64 = 1_250;
const TOKEN: u64 = 4_000;

fn catalog() -> Arc<Catalog> {
    let text = r#"
        [[models]]
        provider = "first"
        name = "m"
        input = 1.0
        cache_read = 0.1
        cache_write = 1.25
        output = 4.0
        [[models]]
        provider = "second"
        name = "m"
        input = 0.5
        output = 2.0
    "#;
    Arc::new(Catalog::from_toml(text).unwrap())
}

/// Two providers; the calls of the first go wrong as these scripts say, one each, and then no more.
struct Setting {
    full: Full,
    sims: [SimServer; 2],
}

impl Setting {
    async fn new(dialect: ProviderDialect, scripts: &[&str], budget: BudgetLayer, hedge: Option<HedgeLayer>) -> Self {
        let answers = || ModelConfig { output_tokens: OUTPUT, ..ModelConfig::instant("m") };
        let faults =
            (1..).zip(scripts).map(|(call, script)| FaultRule::new(script.parse().unwrap()).calls(call..=call));
        let first = faults.fold(answers(), ModelConfig::fault);
        let sims = [serve(SimConfig::new([first])).await, serve(SimConfig::new([answers()])).await];
        let catalog = catalog();
        let providers = ["first", "second"]
            .into_iter()
            .zip(&sims)
            .map(|(name, sim)| (name, provider(name, dialect, sim, &catalog)));
        let providers: Vec<_> = providers.map(|(name, provider)| (name, BoxLlmService::new(provider))).collect();
        Self { full: Full::new(providers, &catalog, budget, hedge), sims }
    }

    fn calls(&self) -> [u64; 2] {
        self.sims.each_ref().map(SimServer::requests)
    }
}

fn ask(prompt: &str, stream: bool) -> LlmRequest {
    let chat = LlmRequest::chat("m").user(prompt).max_output_tokens(2 * OUTPUT);
    let mut request = if stream { chat.stream().build() } else { chat.build() };
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

fn whole_answer(input: u64) -> NanoUsd {
    NanoUsd(input * INPUT + OUTPUT * TOKEN)
}

#[tokio::test]
async fn an_attempt_that_broke_off_and_the_retry_and_the_failover_after_it_are_paid_for_each() {
    for dialect in DIALECTS {
        // The first provider has one more call, and then the second one answers: one is kept for it.
        let setting =
            Setting::new(dialect, &["cut after 0", "cut"], BudgetLayer::new([rule(mills(1_000))]), None).await;
        let request = ask("Why?", true);
        let trail = request.context().trail();
        setting.full.text(request.clone()).await.unwrap();
        assert_eq!(setting.calls(), [2, 1]);
        let attempts = trail.attempts();
        let input = attempts[0].usage.unwrap().input;
        assert_eq!(
            attempts.iter().map(|attempt| (attempt.reason, attempt.end.unwrap())).collect::<Vec<_>>(),
            [
                (Again::First, AttemptEnd::Failed(ErrorKind::Interrupted)),
                (Again::Retry, AttemptEnd::Failed(ErrorKind::Interrupted)),
                (Again::Failover, AttemptEnd::Complete),
            ]
        );
        let paid = setting.full.paid(request.context().id(), &trail);
        let prompt = NanoUsd(input * INPUT);
        assert_eq!(paid, [prompt, prompt, NanoUsd(whole_answer(input).0 / 2)], "the second charges the half");
        assert_eq!(setting.full.recorder.at_rest(), paid.iter().copied().sum());
        assert_eq!(setting.full.balance().spent, paid.into_iter().sum());
    }
}

#[tokio::test]
async fn the_attempt_that_was_late_is_paid_for_beside_the_hedge_that_won() {
    for (dialect, stream) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let hedge = hedge_after(Duration::from_millis(20));
        let setting = Setting::new(dialect, &["hang"], BudgetLayer::new([rule(mills(1_000))]), Some(hedge)).await;
        let request = ask("Why?", stream);
        let trail = request.context().trail();
        setting.full.text(request.clone()).await.unwrap();
        assert_eq!(setting.calls(), [1, 1]);
        let attempts = trail.attempts();
        assert_eq!((attempts[0].end, attempts[1].reason), (Some(AttemptEnd::Abandoned), Again::Hedge));
        let usages: Vec<_> = attempts.iter().map(|attempt| attempt.usage.unwrap().provenance).collect();
        assert_eq!(usages, [Provenance::Estimated, Provenance::Reported]);
        let input = attempts[1].usage.unwrap().input;
        let paid = setting.full.paid(request.context().id(), &trail);
        assert_eq!(paid, [NanoUsd(input * INPUT), NanoUsd(whole_answer(input).0 / 2)], "{dialect:?} {stream}");
        assert_eq!(setting.full.recorder.at_rest(), paid.into_iter().sum());
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_for_want_of_money_is_paid_for_as_far_as_it_came() {
    for dialect in DIALECTS {
        let tokens = |count| NonZeroU64::new(count).unwrap();
        let metered = Metered::default().likely_output(tokens(10)).slice(tokens(8));
        let cap = NanoUsd(10 * INPUT + 30 * TOKEN);
        let budget = BudgetLayer::new([rule(cap)]).streams(Streams::Metered(metered));
        let setting = Setting::new(dialect, &[], budget, None).await;
        let request = ask("Why?", true);
        let trail = request.context().trail();
        let error = setting.full.text(request.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.stage(), setting.calls()),
            (ErrorKind::BudgetExceeded, When::AfterContent, [1, 0])
        );
        let attempt = trail.attempts().remove(0);
        let usage = attempt.usage.unwrap();
        assert_eq!((attempt.end, usage.provenance), (Some(AttemptEnd::Abandoned), Provenance::Estimated));
        assert!((10..30).contains(&usage.output), "{usage:?}");
        let paid = setting.full.paid(request.context().id(), &trail);
        assert_eq!(paid, [NanoUsd(usage.input * INPUT + usage.output * TOKEN)]);
        assert_eq!((setting.full.recorder.at_rest(), setting.full.budget.counts().cut), (paid[0], 1));
    }
}

#[tokio::test]
async fn tokens_that_the_provider_had_cached_cost_what_it_charges_for_those() {
    for stream in [false, true] {
        let budget = BudgetLayer::new([rule(mills(1_000))]);
        let setting = Setting::new(ProviderDialect::Anthropic, &[], budget, None).await;
        let mut usages = Vec::new();
        for _ in 0..2 {
            let mut request = ask("Why?", stream);
            if let Payload::Chat(chat) = request.payload_mut() {
                let long = Part { cache: Some(CacheTtl::FiveMinutes), ..Part::text("Think of the sky. ".repeat(300)) };
                chat.messages[0].parts.insert(0, long);
            }
            let trail = request.context().trail();
            setting.full.text(request.clone()).await.unwrap();
            let usage = trail.attempts()[0].usage.unwrap();
            let Usage { input, cache_read, cache_write, output, .. } = usage;
            let fresh = input - cache_read - cache_write;
            let cost = fresh * INPUT + cache_read * CACHE_READ + cache_write * CACHE_WRITE + output * TOKEN;
            assert_eq!(setting.full.paid(request.context().id(), &trail), [NanoUsd(cost)]);
            usages.push(usage);
        }
        assert!(usages[0].cache_write > 1_024 && usages[0].cache_read == 0, "{usages:?}");
        assert!(usages[1].cache_read == usages[0].cache_write && usages[1].cache_write == 0, "{usages:?}");
        let log: Vec<_> = setting.sims[0].log().iter().map(|call| call.usage.unwrap()).collect();
        assert_eq!(log, usages);
        setting.full.recorder.at_rest();
    }
}
