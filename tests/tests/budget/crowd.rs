//! A crowd of callers at one cap, over sockets: some are failed, some leave, and the books are right to the nano-dollar.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use llm_budget::{BudgetLayer, Metered, Settlement, Streams};
use llm_core::{
    AttemptEnd, AttemptRecord, BoxLlmService, CallId, Context, Error, ErrorKind, NanoUsd, Provenance, Trail,
    catalog::Catalog,
};
use llm_providers::ProviderDialect;
use llm_sim::{FaultRule, ModelConfig, Received, SimConfig};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    full::{Full, hedge_after},
    stage::{DIALECTS, OUTPUT, Stage, ask, mills, model, number, provider, rule, serve},
};

/// Dialects, and whether an answer is streamed.
fn ways() -> impl Iterator<Item = (ProviderDialect, bool)> {
    DIALECTS.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)])
}

/// Looks at the account all the time until it is dropped.
struct Watch(tokio::task::JoinHandle<()>);

impl Watch {
    fn over(stage: &Arc<Stage>, cap: NanoUsd) -> Self {
        let stage = Arc::clone(stage);
        Self(tokio::spawn(async move {
            loop {
                if let Some(status) = stage.budget.accounts().first() {
                    let balance = status.balances[0];
                    assert_eq!(balance.debt, NanoUsd::ZERO, "{balance:?}");
                    assert!(balance.spent.0 + balance.reserved.0 <= cap.0, "{balance:?}");
                }
                assert!(stage.billed_in_all() <= cap, "the provider bills more than there is");
                tokio::task::yield_now().await;
            }
        }))
    }

    /// Fails if it has seen anything that may not be.
    async fn seen_nothing(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled(), "it has failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_150_callers_at_once_none_gets_past_the_cap_and_one_by_one_exactly_31_calls_are_paid_for() {
    let cap = mills(2_000);
    for (dialect, stream) in ways() {
        let budget = BudgetLayer::new([rule(cap)]).streams(Streams::WorstCase);
        let stage = Arc::new(Stage::new(dialect, budget).await);
        let watch = Watch::over(&stage, cap);
        let mut callers = JoinSet::new();
        for number in 0..150 {
            let stage = Arc::clone(&stage);
            callers.spawn(async move { answered(&stage, number, stream).await });
        }
        let mut succeeded = 0;
        while let Some(result) = callers.join_next().await {
            match result.unwrap() {
                Ok(()) => succeeded += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}"),
            }
        }
        assert!((13..=31).contains(&succeeded), "thirteen times $0.15 fit at once: {succeeded}");
        for number in 150..200 {
            succeeded += usize::from(answered(&stage, number, stream).await.is_ok());
        }
        watch.seen_nothing().await;
        assert_eq!((succeeded, stage.sim.requests()), (31, 31), "{dialect:?}, streamed: {stream}");
        let held: Vec<_> = stage.recorder.lines().iter().map(|line| line.held).collect();
        assert!(held.iter().all(|held| (mills(140)..=mills(150)).contains(held)), "{held:?}");
        let spent = stage.recorder.at_rest();
        assert_eq!((spent, stage.balance().spent, stage.billed_in_all()), (mills(31 * 60), spent, spent));
    }
}

async fn answered(stage: &Stage, number: usize, stream: bool) -> Result<(), Error> {
    let text = stage.call(ask(number, "good", stream)).await?.body.collect().await?.first_text();
    assert!(text.starts_with("Simulated answer"));
    Ok(())
}

/// What becomes of a caller.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is answered, or failed by its provider.
    Stays,
    /// It leaves before the head of an answer.
    LeavesBeforeTheHead,
    /// It leaves with the answer half told.
    LeavesMidway,
}

/// A caller in three is failed by the provider, and another one leaves.
const KINDS: [(&str, Fate); 9] = [
    ("good", Fate::Stays),
    ("refuses", Fate::Stays),
    ("hangs", Fate::LeavesBeforeTheHead),
    ("good", Fate::Stays),
    ("errs", Fate::Stays),
    ("stalls", Fate::LeavesMidway),
    ("good", Fate::Stays),
    ("cuts", Fate::Stays),
    ("stalls", Fate::LeavesMidway),
];

/// What is known of a call when its caller is gone.
struct Gone {
    call: CallId,
    trail: Trail,
    error: Option<ErrorKind>,
}

/// When those leave who see nothing of an answer: not before all of them have called.
struct Leaving {
    called: AtomicUsize,
    now: watch::Sender<bool>,
}

/// Makes a call, and leaves as its fate has it.
async fn make(stage: Arc<Stage>, number: usize, stream: bool, leaving: Arc<Leaving>) -> Gone {
    let (model, fate) = KINDS[number % KINDS.len()];
    let request = ask(number, model, stream);
    let gone = |error: Option<Error>| Gone {
        call: request.context().id(),
        trail: request.context().trail(),
        error: error.map(|error| error.kind()),
    };
    let answer = async {
        let mut body = stage.call(request.clone()).await?.body;
        match fate {
            Fate::Stays => drop(body.collect().await?),
            Fate::LeavesBeforeTheHead => panic!("it has a head"),
            Fate::LeavesMidway => {
                let mut pieces = 0;
                while pieces < 13 {
                    pieces += usize::from(body.next().await.expect("thirteen come")?.is_content());
                }
            }
        }
        Ok(())
    };
    if sees_when(number, stream) {
        return gone(answer.await.err());
    }
    let mut answer = std::pin::pin!(answer);
    let mut now = leaving.now.subscribe();
    let refused = answer.as_mut().now_or_never();
    leaving.called.fetch_add(1, Relaxed);
    match refused {
        Some(result) => gone(result.err()),
        None => tokio::select! {
            result = answer => gone(result.err()),
            _ = now.wait_for(|now| *now) => gone(None),
        },
    }
}

/// Whether a caller knows by itself when its call is over for it.
fn sees_when(number: usize, stream: bool) -> bool {
    match KINDS[number % KINDS.len()].1 {
        Fate::Stays => true,
        Fate::LeavesBeforeTheHead => false,
        // The half of a whole answer is nothing that a caller sees.
        Fate::LeavesMidway => stream,
    }
}

/// Lets all of them call at once. Those who wait for nothing leave once the provider has all calls that are paid for.
async fn crowd(stage: &Arc<Stage>, numbers: std::ops::Range<usize>, stream: bool) -> HashMap<usize, Gone> {
    let leaving = Arc::new(Leaving { called: AtomicUsize::new(0), now: watch::Sender::new(false) });
    let (mut busy, mut waiting) = (JoinSet::new(), JoinSet::new());
    for number in numbers.clone() {
        let made = make(Arc::clone(stage), number, stream, Arc::clone(&leaving)).map(move |gone| (number, gone));
        if sees_when(number, stream) {
            busy.spawn(made)
        } else {
            waiting.spawn(made)
        };
    }
    let mut all: HashMap<_, _> = busy.join_all().await.into_iter().collect();
    while leaving.called.load(Relaxed) < waiting.len() {
        tokio::task::yield_now().await;
    }
    let is_open = |call: &&Received| call.ended.is_none() && numbers.contains(&number(call));
    stage.sim.until(|log| log.iter().filter(is_open).count() == stage.recorder.open()).await;
    leaving.now.send_replace(true);
    all.extend(waiting.join_all().await);
    all
}

/// The only line of the trail of a call that was paid for.
fn record(gone: &Gone) -> AttemptRecord {
    let [record] = &gone.trail.attempts()[..] else { panic!("it was one attempt: {:?}", gone.trail) };
    record.clone()
}

/// What all of the provider's reports come to, by the ledger and by the provider's own log; and the rest is by estimate.
async fn check(stage: &Stage, gone: &HashMap<usize, Gone>) {
    let log = stage.sim.until(|log| log.iter().all(|call| call.ended.is_some())).await;
    let log: HashMap<_, _> = log.iter().map(|received| (number(received), received)).collect();
    let (mut reported, mut estimated, mut paid) = (NanoUsd::ZERO, NanoUsd::ZERO, 0);
    for (number, gone) in gone {
        let lines = stage.recorder.of(gone.call);
        if lines.is_empty() {
            assert_eq!((gone.error, log.contains_key(number)), (Some(ErrorKind::BudgetExceeded), false));
            continue;
        }
        let [line] = &lines[..] else { panic!("one attempt, one line: {lines:?}") };
        let (record, settled, received) = (record(gone), line.settled.unwrap(), log[number]);
        assert_eq!((record.cost, record.usage), (Some(settled.cost()), Some(settled.usage)), "{record:?}");
        assert!(settled.cost() <= line.held, "no more was spent than was set aside: {line:?}");
        let (model, _) = KINDS[number % KINDS.len()];
        match settled.usage.provenance {
            Provenance::Reported => {
                assert_eq!((record.end, received.usage), (Some(AttemptEnd::Complete), Some(settled.usage)));
                assert_eq!(
                    settled,
                    Settlement { usage: settled.usage, ..Settlement::reported(stage.billed(received)) }
                );
                reported = reported.saturating_add(stage.billed(received));
            }
            Provenance::Estimated => {
                assert_ne!((model, record.end), ("good", Some(AttemptEnd::Complete)));
                let is_free = received.usage.is_none() && model != "hangs";
                assert_eq!(
                    (settled.estimated == NanoUsd::ZERO, settled.reported),
                    (is_free, NanoUsd::ZERO),
                    "{record:?}"
                );
                estimated = estimated.saturating_add(settled.estimated);
            }
        }
        paid += 1;
    }
    assert_eq!(paid, stage.sim.requests());
    let models = stage.budget.models();
    assert_eq!(models.iter().map(|spend| spend.reported).sum::<NanoUsd>(), reported);
    assert_eq!(models.iter().map(|spend| spend.estimated).sum::<NanoUsd>(), estimated);
    assert!(reported > NanoUsd::ZERO && estimated > NanoUsd::ZERO);
    let (spent, balance) = (stage.recorder.at_rest(), stage.balance());
    assert_eq!((balance.spent, balance.estimated, spent.saturating_sub(reported)), (spent, estimated, estimated));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_a_third_fails_and_a_third_leaves_the_books_are_the_providers_to_the_nano_dollar() {
    let cap = mills(3_000);
    let metered = Metered::default().likely_output(NonZeroU64::new(20).unwrap()).slice(NonZeroU64::new(16).unwrap());
    let ways = ways().map(|(dialect, stream)| (dialect, stream, Streams::WorstCase));
    for (dialect, stream, streams) in ways.chain(DIALECTS.map(|dialect| (dialect, true, Streams::Metered(metered)))) {
        let stage = Arc::new(Stage::new(dialect, BudgetLayer::new([rule(cap)]).streams(streams)).await);
        let watch = Watch::over(&stage, cap);
        // There is money for each of these.
        let mut gone = crowd(&stage, 0..9, stream).await;
        assert!(gone.values().all(|gone| gone.error != Some(ErrorKind::BudgetExceeded)));
        let failed = [1, 4, 7].map(|number| gone[&number].error.unwrap());
        assert_eq!(failed, [ErrorKind::Overloaded, ErrorKind::Server, ErrorKind::Interrupted], "{dialect:?} {stream}");
        gone.extend(crowd(&stage, 9..150, stream).await);
        check(&stage, &gone).await;
        assert!(gone.values().any(|gone| gone.error == Some(ErrorKind::BudgetExceeded)), "there are too many");
        watch.seen_nothing().await;
    }
}

/// What happens in which order is left to the threads: all that is sure is that it adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_every_layer_in_its_place_and_callers_who_leave_at_any_time_the_ledger_and_the_trails_agree() {
    let catalog = "[[models]]\nname = \"m\"\ninput = 500.0\noutput = 1000.0\n";
    let catalog = Arc::new(Catalog::from_toml(catalog).unwrap());
    for (dialect, on_top) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let rules =
            ["status 503", "cut after 0", "cut after 9", "hang after 3", "error server_error after 5", "delay 40ms"];
        let fault = |script: &str| FaultRule::new(script.parse().unwrap()).share(0.08);
        let answers = ModelConfig { output_tokens: OUTPUT, tokens_per_second: 5_000.0, ..model("m", None) };
        let answers = rules.iter().fold(answers, |model, script| model.fault(fault(script)));
        let sims = [
            serve(SimConfig::new([answers.clone()])).await,
            serve(SimConfig { seed: 7, ..SimConfig::new([answers]) }).await,
        ];
        let providers = ["first", "second"].into_iter().zip(&sims);
        let providers =
            providers.map(|(name, sim)| (name, BoxLlmService::new(provider(name, dialect, sim, &catalog)))).collect();
        let stacked = if on_top { Full::budget_on_top } else { Full::new };
        let budget = BudgetLayer::new([rule(mills(15_000))]);
        let full = Arc::new(stacked(providers, &catalog, budget, Some(hedge_after(Duration::from_millis(10)))));
        let mut callers = JoinSet::new();
        let mut trails = Vec::new();
        for number in 0..150_u64 {
            let mut request = ask(usize::try_from(number).unwrap(), "m", number % 3 > 0);
            // The router chooses the target.
            let caller = request.context().caller().clone();
            *request.context_mut() = Context::default();
            request.context_mut().set_caller(caller);
            trails.push((request.context().id(), request.context().trail()));
            let full = Arc::clone(&full);
            callers.spawn(async move {
                let read = async {
                    let Ok(response) = full.call(request).await else { return };
                    let mut frames = response.body.take(if number % 4 == 0 { number as usize / 4 } else { usize::MAX });
                    while frames.next().await.is_some() {}
                };
                // Those who wait for what hangs leave as well.
                _ = tokio::time::timeout(Duration::from_millis(if number % 5 == 0 { number } else { 500 }), read).await;
            });
        }
        while let Some(left) = callers.join_next().await {
            left.unwrap();
        }
        let spent = full.recorder.at_rest();
        let costs = trails.iter().flat_map(|(_, trail)| trail.attempts()).filter_map(|attempt| attempt.cost);
        assert_eq!((spent, full.balance().spent), (costs.sum(), spent), "{dialect:?}, on top: {on_top}");
        if !on_top {
            trails.iter().for_each(|(call, trail)| drop(full.paid(*call, trail)));
        }
    }
}
