//! A caller who leaves half-way through a stream pays for the prompt and what was produced, by estimate.

use futures_util::StreamExt;
use llm_budget::BudgetLayer;
use llm_core::{AttemptEnd, LlmRequest, NanoUsd, Provenance, Trail};
use llm_providers::ProviderDialect;
use llm_sim::{Ended, ModelConfig, Received};

use crate::stage::{DIALECTS, Stage, ask_for, mills, model, rule};

/// How many times as long the answers are that nobody waits for the end of.
const REST: u64 = 4;

async fn stage(dialect: ProviderDialect, model: ModelConfig) -> Stage {
    Stage::of(vec![model], dialect, BudgetLayer::new([rule(mills(100_000))])).await
}

/// Reads so many pieces of an answer, leaves, and returns what the provider knows of it.
async fn leave_after(stage: &Stage, request: LlmRequest, pieces: u64) -> Received {
    let mut body = stage.call(request).await.unwrap().body;
    let mut read = 0;
    while read < pieces {
        read += u64::from(body.next().await.unwrap().unwrap().is_content());
    }
    drop(body);
    stage.sim.until(|log| log[0].ended.is_some()).await.remove(0)
}

/// What a call has cost, as the trail and the ledger and the figures of its model say: by estimate, all of it.
fn charged(stage: &Stage, trail: &Trail) -> (u64, u64, NanoUsd) {
    let record = trail.attempts().remove(0);
    let usage = record.usage.unwrap();
    assert_eq!((record.end, usage.provenance), (Some(AttemptEnd::Abandoned), Provenance::Estimated));
    let spent = stage.recorder.at_rest();
    assert_eq!(record.cost, Some(spent));
    let models = stage.budget.models();
    assert_eq!((models[0].estimated, models[0].reported), (spent, NanoUsd::ZERO));
    (usage.input, usage.output, spent)
}

/// The error that the crate docs of `llm-budget` state: words are no tokens, and the simulated provider counts words.
#[tokio::test]
async fn what_was_produced_is_charged_up_to_a_fifth_and_a_token_above_and_never_below_what_the_provider_sent() {
    for dialect in DIALECTS {
        for tokens in [1, 2, 3, 5, 8, 10, 13, 20, 40, 80, 160, 320, 640, 1_280] {
            let stalls =
                ModelConfig { output_tokens: REST * tokens, ..model("m", Some(&format!("hang after {tokens}"))) };
            let stage = stage(dialect, stalls).await;
            let request = ask_for(0, "m", true, REST * tokens);
            let trail = request.context().trail();
            let sent = leave_after(&stage, request, tokens).await;
            assert_eq!(sent.ended, Some(Ended::CallerLeft { after_tokens: tokens }));
            let billed = sent.usage.unwrap();
            let (input, output, spent) = charged(&stage, &trail);
            assert_eq!((input, billed.output), (billed.input, tokens));
            assert!((tokens..=tokens + tokens / 5 + 1).contains(&output), "{dialect:?} {output} for {tokens}");
            assert!(spent >= stage.billed(&sent) && spent > NanoUsd(input * 500_000), "it is not free");
            assert!(spent < NanoUsd(input * 500_000 + REST * tokens * 1_000_000), "nor the full price");
        }
    }
}

/// What the provider makes until it hears that the caller has left, and what was on its way, is not in the estimate.
#[tokio::test]
async fn who_leaves_a_stream_that_runs_stops_it_and_pays_for_what_came_of_it() {
    let tokens = 2_000;
    for dialect in DIALECTS {
        let paced = ModelConfig { output_tokens: tokens, tokens_per_second: 500.0, ..model("m", None) };
        let stage = stage(dialect, paced).await;
        let request = ask_for(0, "m", true, tokens);
        let trail = request.context().trail();
        let sent = leave_after(&stage, request, 20).await;
        let Some(Ended::CallerLeft { after_tokens }) = sent.ended else { panic!("it has not stopped: {sent:?}") };
        assert!((20..tokens).contains(&after_tokens), "{after_tokens}");
        let (_, output, _) = charged(&stage, &trail);
        assert!((20..=25).contains(&output), "{output}");
    }
}
