//! Any history of calls, against a naive model: what is reserved, spent and owed at every step.

use std::{num::NonZeroU64, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_budget::{Balance, BudgetHandle, BudgetLayer, Cap, CapRule, Metered, Per, Streams, Window};
use llm_core::{Again, Body, Caller, Error, ErrorKind, LlmRequest, NanoUsd, Usage};
use llm_test::Answer;
use proptest::prelude::*;

use crate::stage::{Stage, TOKEN, answer, ask, mills, streamed, whole, words};

#[derive(Clone, Debug)]
enum Step {
    /// A whole answer of so many tokens.
    Whole { tenant: usize, most: u64, output: u64 },
    /// A failure, with usage that the provider bills.
    Fail { tenant: usize, billed: u64 },
    /// A call that is dropped before its head.
    Drop { tenant: usize },
    /// A call that panics.
    Panic { tenant: usize },
    /// A stream that begins, and whether it breaks off at the end.
    Stream { tenant: usize, output: u64, is_cut: bool },
    /// So many frames of a stream.
    Read { which: usize, frames: usize },
    /// Nobody wants the rest of a stream.
    Leave { which: usize },
    /// An attempt that is billed and fails, and another one, as a layer above would make it.
    Retry { tenant: usize, billed: u64, output: u64 },
    /// Two attempts at the same time, of which the first whose head comes is read and the other is dropped.
    Hedge { tenant: usize, output: u64 },
    /// A layer with the same rules takes the place of this one.
    Resume,
    /// Time passes, over midnight perhaps.
    Wait { hours: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tenant = || 0_usize..3;
    let step = prop_oneof![
        4 => (tenant(), 1_u64..3_000, 0_u64..3_500)
            .prop_map(|(tenant, most, output)| Step::Whole { tenant, most, output }),
        1 => (tenant(), 0_u64..500).prop_map(|(tenant, billed)| Step::Fail { tenant, billed }),
        1 => tenant().prop_map(|tenant| Step::Drop { tenant }),
        1 => tenant().prop_map(|tenant| Step::Panic { tenant }),
        4 => (tenant(), 0_u64..900, any::<bool>())
            .prop_map(|(tenant, output, is_cut)| Step::Stream { tenant, output, is_cut }),
        8 => (any::<usize>(), 1_usize..600).prop_map(|(which, frames)| Step::Read { which, frames }),
        2 => any::<usize>().prop_map(|which| Step::Leave { which }),
        2 => (tenant(), 0_u64..500, 0_u64..900)
            .prop_map(|(tenant, billed, output)| Step::Retry { tenant, billed, output }),
        2 => (tenant(), 0_u64..900).prop_map(|(tenant, output)| Step::Hedge { tenant, output }),
        1 => Just(Step::Resume),
        1 => (0_u64..30).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..60)
}

fn of(tenant: usize, mut request: LlmRequest) -> LlmRequest {
    request.context_mut().set_caller(Caller::tenant(tenant.to_string()));
    request
}

fn balances(handle: &BudgetHandle) -> Vec<(String, Balance)> {
    let accounts = handle.accounts();
    accounts.into_iter().map(|status| (status.key.to_string(), status.balances[0])).collect()
}

/// Everybody is held to one cap and each tenant to another, but for one that has its own.
fn layer() -> BudgetLayer {
    let per_tenant = |name: &str, amount| CapRule::new(name, Per::TENANT, Cap::new(mills(amount), Window::DAY));
    let all = CapRule::new("all", Per::GLOBAL, Cap::new(mills(1_500), Window::Lifetime));
    let rules = [per_tenant("day", 300), per_tenant("large", 600).tenants(["2"]).instead_of("day"), all];
    // Little enough for streams to ask for more.
    let metered = Metered::default().likely_output(NonZeroU64::new(200).unwrap());
    BudgetLayer::new(rules).streams(Streams::Metered(metered))
}

/// What stands above a cap can only be what was settled above its reservation: answers that are longer than their
/// ceiling, and what a provider bills although it failed.
async fn play(steps: Vec<Step>) {
    let mut stage = Stage::of(layer(), |layer| layer);
    let mut open: Vec<(Body, u64, bool)> = Vec::new();
    let (mut reported, mut excess) = (0_u64, 0_u64);
    for step in steps {
        match step {
            Step::Whole { tenant, most, output } => {
                let mut request = of(tenant, ask());
                request.context_mut().lower_output_ceiling(most);
                if stage.send(request, answer(output)).await.is_ok() {
                    reported += output * TOKEN;
                    excess += output.saturating_sub(most) * TOKEN;
                }
            }
            Step::Fail { tenant, billed } => {
                let failed = Error::new(ErrorKind::Interrupted, "cut").with_usage(Usage::reported(1, billed));
                let error = stage.send(of(tenant, ask()), Answer::fail(failed)).await.unwrap_err();
                if error.kind() == ErrorKind::Interrupted {
                    reported += billed * TOKEN;
                }
            }
            Step::Drop { tenant } => _ = stage.send(of(tenant, ask()), Answer::hang()).now_or_never(),
            Step::Panic { tenant } => {
                let call = stage.send(of(tenant, ask()), Answer::panic_in_future());
                _ = std::panic::AssertUnwindSafe(call).catch_unwind().await;
            }
            Step::Stream { tenant, output, is_cut } => {
                let frames = if is_cut { words(output) } else { whole(output) };
                if let Ok(response) = stage.send(of(tenant, streamed(3_000)), Answer::stream(frames)).await {
                    open.push((response.body, output, is_cut));
                }
            }
            Step::Read { which, frames } if !open.is_empty() => {
                let at = which % open.len();
                for _ in 0..frames {
                    let (body, output, is_cut) = &mut open[at];
                    match body.next().await {
                        Some(Ok(frame)) if frame.is_last() => reported += *output * TOKEN * u64::from(!*is_cut),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => {
                            drop(open.swap_remove(at));
                            break;
                        }
                    }
                }
            }
            // A stream that has reported and finished is billed by its report also when nobody reads its last frame.
            Step::Leave { which } if !open.is_empty() => {
                let (body, ..) = open.swap_remove(which % open.len());
                let known: NanoUsd = stage.handle.models().iter().map(|spend| spend.reported).sum();
                drop(body);
                let now: NanoUsd = stage.handle.models().iter().map(|spend| spend.reported).sum();
                reported += now.saturating_sub(known).0;
            }
            Step::Read { .. } | Step::Leave { .. } => {}
            Step::Retry { tenant, billed, output } => {
                let mut request = of(tenant, ask());
                let failed = Error::new(ErrorKind::Interrupted, "cut").with_usage(Usage::reported(1, billed));
                let error = stage.send(request.clone(), Answer::fail(failed)).await.unwrap_err();
                if error.kind() == ErrorKind::Interrupted {
                    reported += billed * TOKEN;
                    request.context_mut().begin_attempt(Again::Retry, Duration::ZERO);
                    reported += stage.send(request, answer(output)).await.map_or(0, |_| output * TOKEN);
                }
            }
            Step::Hedge { tenant, output } => {
                let request = of(tenant, ask());
                let mut late = Box::pin(stage.send(request.clone(), Answer::hang()));
                assert!(late.as_mut().now_or_never().is_none_or(|answer| answer.is_err()));
                let mut hedge = request;
                hedge.context_mut().begin_attempt(Again::Hedge, Duration::ZERO);
                reported += stage.send(hedge, answer(output)).await.map_or(0, |_| output * TOKEN);
            }
            Step::Resume => stage = Stage::resuming(layer(), &stage),
            Step::Wait { hours } => tokio::time::sleep(Duration::from_secs(hours * 3_600)).await,
        }
        let balances = balances(&stage.handle);
        for (name, balance) in &balances {
            assert_eq!(name.starts_with("large"), name.ends_with("tenant 2)"), "{name} is held to the other one");
            let Balance { cap, spent, reserved, debt, .. } = balance;
            assert!(spent.0 + reserved.0 - debt.0 <= cap.0, "{name}: {balance:?}");
            assert!(debt.0 <= excess, "{name} owes what no settlement made: {balance:?}");
        }
        let reserved = |name: &str| {
            let named = balances.iter().filter(|(known, _)| known.starts_with(name));
            named.map(|(_, balance)| balance.reserved.0).sum::<u64>()
        };
        assert_eq!(
            reserved("all"),
            reserved("day") + reserved("large"),
            "every reservation stands in both of its accounts"
        );
        let all = balances.iter().find(|(name, _)| name == "all").map(|(_, balance)| *balance);
        let (spent, by_estimate) = all.map_or((0, 0), |balance| (balance.spent.0, balance.estimated.0));
        let models = stage.handle.models();
        let booked: NanoUsd = models.iter().map(|spend| spend.reported).sum();
        let estimated: NanoUsd = models.iter().map(|spend| spend.estimated).sum();
        assert_eq!(booked.0, reported, "what providers reported, to the nano-dollar");
        assert_eq!(spent, booked.0 + estimated.0, "all that was spent, over all days");
        assert_eq!(spent - by_estimate, reported, "the account tells what providers' logs say, and marks the rest");
    }
    drop(open);
    for (name, balance) in balances(&stage.handle) {
        assert_eq!(balance.reserved, NanoUsd::ZERO, "at rest something is reserved in {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn caps_hold_and_sums_are_right_whatever_calls_do(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}
