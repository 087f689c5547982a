//! A ledger that has to ask somebody: the same suite, and the same layer.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use llm_budget::{
    AccountKey, AccountRef, AccountStatus, BudgetLayer, CapRule, Change, Claim, Claimed, Hold, Ledger, LedgerFuture,
    MemoryLedger, Metered, Reason, Refusal, Settlement, Streams, suite,
};
use llm_core::{ErrorKind, NanoUsd, NoticeListener};
use llm_test::{Answer, Probe};
use tower::{Layer, ServiceExt};

use crate::stage::{Stage, TOKEN, answer, ask, mills, per_tenant, streamed, whole};

const FAR: Duration = Duration::from_millis(10);

/// Accounts in memory, ten milliseconds away.
#[derive(Debug, Default)]
struct Distant {
    memory: Arc<MemoryLedger>,
    is_cut_off: bool,
}

#[derive(Debug)]
struct DistantHold(Arc<Mutex<Box<dyn Hold>>>);

impl Ledger for Distant {
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>> {
        let memory = Arc::clone(&self.memory);
        let accounts: Vec<(Arc<CapRule>, AccountKey)> =
            claim.accounts.iter().map(|account| (Arc::clone(account.rule), account.key.to_key())).collect();
        let (id, amount, expects, is_cut_off) = (claim.id, claim.amount, claim.expects, self.is_cut_off);
        let target = claim.target.to_target();
        LedgerFuture::pending(async move {
            tokio::time::sleep(FAR).await;
            if is_cut_off {
                let (rule, left) = (Arc::clone(accounts[0].0.name()), NanoUsd::ZERO);
                return Err(Refusal { rule, reason: Reason::Unreachable, left, available: left, wait: None });
            }
            let accounts: Vec<_> = accounts.iter().map(|(rule, key)| Claimed { rule, key: key.names() }).collect();
            let held =
                memory.reserve(&Claim { id, accounts: &accounts, amount, expects, target: target.names() }).await;
            held.map(|hold| Box::new(DistantHold(Arc::new(Mutex::new(hold)))) as Box<dyn Hold>)
        })
    }

    fn for_each(&self, look: &mut dyn FnMut(AccountStatus)) {
        self.memory.for_each(look);
    }

    fn look(&self, key: &AccountRef<'_>) -> Option<AccountStatus> {
        self.memory.look(key)
    }

    fn change(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, change: Change) -> LedgerFuture<bool> {
        let (memory, rule, key) = (Arc::clone(&self.memory), Arc::clone(rule), key.to_key());
        LedgerFuture::pending(async move {
            tokio::time::sleep(FAR).await;
            memory.change(&rule, &key.names(), change).await
        })
    }

    fn notices(&self) -> NoticeListener {
        self.memory.notices()
    }
}

impl Hold for DistantHold {
    fn amount(&self) -> NanoUsd {
        self.0.lock().unwrap().amount()
    }

    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>> {
        let hold = Arc::clone(&self.0);
        LedgerFuture::pending(async move {
            tokio::time::sleep(FAR).await;
            let answer = hold.lock().unwrap().extend(more);
            answer.await
        })
    }

    fn settle(&mut self, settlement: Settlement) {
        self.0.lock().unwrap().settle(settlement);
    }
}

#[tokio::test(start_paused = true)]
async fn it_passes_the_suite_as_the_one_in_memory_does() {
    suite::all(&|| Arc::new(MemoryLedger::default())).await;
    suite::all(&|| Arc::<Distant>::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_money_and_is_made_then() {
    let layer = BudgetLayer::new([per_tenant(mills(200))]).ledger(Arc::<Distant>::default());
    let stage = Stage::of(layer, |layer| layer);
    let probe = Probe::answering(answer(2_000));
    let log = probe.log();
    let mut call = Box::pin(stage.layer.layer(probe).oneshot(ask()));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(log.calls(), 0);
    call.await.unwrap();
    assert_eq!((stage.spent(), stage.reserved()), (mills(100), mills(0)));
    assert_eq!(stage.send(ask(), answer(1)).await.unwrap_err().kind(), ErrorKind::BudgetExceeded);
    let fitting = BudgetLayer::new([per_tenant(mills(200))]).fit_output(NonZeroU64::MIN).ledger(stage.handle.ledger());
    let fitting = Stage::of(fitting, |layer| layer);
    assert_eq!(fitting.sent(ask()).await.context().output_ceiling(), Some(2_000));
}

#[tokio::test(start_paused = true)]
async fn nobody_pays_for_a_call_that_was_dropped_while_it_waited() {
    let layer = BudgetLayer::new([per_tenant(mills(200))]).ledger(Arc::<Distant>::default());
    let stage = Stage::of(layer, |layer| layer);
    assert!(stage.send(ask(), answer(1)).now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stage.handle.accounts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_reached_refuses() {
    let distant = Distant { is_cut_off: true, ..Distant::default() };
    let stage = Stage::of(BudgetLayer::new([per_tenant(mills(200))]).ledger(Arc::new(distant)), |layer| layer);
    let error = stage.send(ask(), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the ledger of the budget `per-tenant` cannot be reached");
}

#[tokio::test(start_paused = true)]
async fn a_stream_runs_on_while_its_ledger_is_asked_and_waits_only_when_it_must() {
    let terms = Metered::default().likely_output(NonZeroU64::new(200).unwrap());
    let layer = BudgetLayer::new([per_tenant(NanoUsd(600 * TOKEN))]).ledger(Arc::<Distant>::default());
    let stage = Stage::of(layer, |layer| layer.streams(Streams::Metered(terms)));
    for (spacing, waits) in [(Duration::from_millis(1), false), (Duration::ZERO, true)] {
        let frames = whole(400).spaced(spacing);
        let body = stage.send(streamed(3_000), Answer::stream(frames)).await.unwrap().body;
        let begun = tokio::time::Instant::now();
        body.collect().await.unwrap();
        let late = begun.elapsed() - spacing * 404;
        assert_eq!(late > Duration::ZERO, waits, "{late:?}");
        assert!(stage.handle.change(&crate::stage::key("acme"), Change::Reset).await);
    }
    let body = stage.send(streamed(3_000), Answer::stream(whole(1_000))).await.unwrap().body;
    assert_eq!(body.collect().await.unwrap_err().kind(), ErrorKind::BudgetExceeded);
    assert_eq!((stage.balance("acme").debt, stage.reserved()), (mills(0), mills(0)));
}
