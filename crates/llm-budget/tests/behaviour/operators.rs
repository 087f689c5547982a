//! What operators see and do: balances, changes, notices and figures.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::FutureExt;
use llm_budget::{AccountKey, BudgetLayer, Cap, CapRule, Change, MemoryLedger, Per, Percent, Window};
use llm_core::{Caller, Measures, Severity};
use llm_test::{Answer, Gate};

use crate::stage::{Stage, answer, ask, ask_for, key, mills, per_tenant};

#[tokio::test(start_paused = true)]
async fn accounts_are_topped_up_reset_frozen_and_unfrozen() {
    let stage = Stage::new([per_tenant(mills(150))]);
    stage.send(ask(), answer(3_000)).await.unwrap();
    stage.send(ask(), answer(1)).await.unwrap_err();
    assert!(stage.handle.change(&key("acme"), Change::TopUp(mills(150))).await);
    stage.send(ask(), answer(3_000)).await.unwrap();
    assert!(stage.handle.change(&key("acme"), Change::Reset).await);
    stage.send(ask(), answer(0)).await.unwrap();
    assert_eq!(stage.balance("acme").cap, mills(150), "what was added went with it");
    assert!(stage.handle.change(&key("acme"), Change::Freeze).await);
    let error = stage.send(ask(), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-tenant` was frozen by hand");
    assert_eq!(error.retry_after(), None);
    assert!(stage.handle.change(&key("acme"), Change::Unfreeze).await);
    stage.send(ask_for("m", "acme", 1_000), answer(1)).await.unwrap();
    assert!(!stage.handle.change(&AccountKey::new("another"), Change::Reset).await, "there is no such rule");
}

#[tokio::test(start_paused = true)]
async fn a_soft_cap_tells_and_refuses_nobody() {
    let rule = per_tenant(mills(100)).soft().alert_at([Percent::new(60).unwrap(), Percent::new(100).unwrap()]);
    let stage = Stage::new([rule]);
    let mut notices = stage.handle.notices();
    for _ in 0..4 {
        stage.send(ask(), answer(1_000)).await.unwrap();
    }
    let mut heard = Vec::new();
    while let Some(Some(notice)) = notices.next().now_or_never() {
        heard.push((notice.kind, notice.severity, notice.numbers[0].1, notice.key));
    }
    let name = || "per-tenant (tenant acme)".to_owned();
    let expected = [("reached", Severity::Info, 60.0, name()), ("reached", Severity::Critical, 100.0, name())];
    assert_eq!(heard, expected);
    assert_eq!(stage.status("acme").left(), None);
}

#[tokio::test(start_paused = true)]
async fn new_accounts_are_refused_where_there_is_no_room_and_nothing_spent_is_forgotten() {
    let rules = || [per_tenant(mills(150)), CapRule::new("soft", Per::USER, Cap::new(mills(1), Window::DAY)).soft()];
    let layer = BudgetLayer::new(rules()).most_accounts(NonZeroUsize::new(4).unwrap());
    let stage = Stage::of(layer, |layer| layer);
    for tenant in ["acme", "b", "c"] {
        stage.send(ask_for("m", tenant, 100), answer(100)).await.unwrap_or_else(|error| panic!("{tenant}: {error}"));
        if tenant == "b" {
            break;
        }
    }
    let error = stage.send(ask_for("m", "c", 100), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-tenant` has no room for another account");
    assert_eq!(stage.spent(), mills(5));
    assert!(stage.handle.change(&key("acme"), Change::Reset).await);
    // A search for idle accounts is not repeated for every new name.
    stage.send(ask_for("m", "c", 100), answer(1)).await.unwrap();
    assert!(stage.handle.account(&key("acme")).is_none());
}

#[tokio::test(start_paused = true)]
async fn names_that_callers_make_up_crowd_out_each_other_and_nobody_else() {
    let per_job = CapRule::new("per-job", Per::JOB, Cap::new(mills(50), Window::DAY));
    let layer = BudgetLayer::new([per_tenant(mills(500)), per_job]).most_accounts(NonZeroUsize::new(4).unwrap());
    let stage = Stage::of(layer, |layer| layer);
    let mut notices = stage.handle.notices();
    let ask = |tenant: &str, job: &str| {
        let mut request = ask_for("m", tenant, 800);
        request.context_mut().set_caller(Caller { job: Some(job.into()), ..Caller::tenant(tenant) });
        request
    };
    for job in ["1", "2", "3", "4", "5"] {
        stage.send(ask("acme", job), answer(800)).await.unwrap_or_else(|error| panic!("{job}: {error}"));
    }
    let told = std::iter::from_fn(|| notices.next().now_or_never().flatten());
    let crowds: Vec<_> = told.filter(|notice| notice.kind == "crowded").collect();
    let [crowd] = &crowds[..] else { panic!("{crowds:?}") };
    assert_eq!((&*crowd.key, crowd.numbers[0].1), ("per-job", 5.0));
    let error = stage.send(ask("acme", "6"), answer(800)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-job` has $0.01 left, and $0.04 would be needed", "5 and 6 share");
    stage.send(ask("acme", "4"), answer(200)).await.unwrap_err();
    stage.send(ask("zeta", "1"), answer(800)).await.unwrap();
    let shared = AccountKey { tenant: Some("zeta".into()), ..AccountKey::new("per-job") };
    assert_eq!(stage.handle.account(&shared).unwrap().balances[0].spent, mills(40));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_resumes_goes_on_with_what_was_spent_learned_and_counted_and_calls_under_way_settle_in_it() {
    let before = Stage::new([per_tenant(mills(300))]);
    before.send(ask_for("m", "acme", 1_000), answer(1_000)).await.unwrap();
    before.send(ask_for("m", "acme", 9_000), answer(1)).await.unwrap_err();
    let gate = Gate::new();
    let mut call = Box::pin(before.send(ask(), answer(1_000).gate(&gate)));
    assert!(call.as_mut().now_or_never().is_none());

    let after = Stage::resuming(BudgetLayer::new([per_tenant(mills(240))]), &before);
    assert_eq!((after.spent(), after.reserved(), after.balance("acme").cap), (mills(50), mills(150), mills(300)));
    let error = after.send(ask_for("m", "acme", 1_000), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-tenant` has $0.04 left, and $0.05 would be needed");
    gate.open();
    call.await.unwrap();
    assert_eq!((after.spent(), after.reserved(), after.balance("acme").cap), (mills(100), mills(0), mills(240)));
    after.send(ask_for("m", "acme", 2_800), answer(2_800)).await.unwrap();
    assert_eq!(after.handle.counts().refused, 2);
    let [spend] = &after.handle.models()[..] else { panic!("one model was called") };
    assert_eq!((spend.calls, spend.reported), (3, mills(240)));
    assert_eq!(before.handle.models(), after.handle.models());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_resumes_keeps_a_ledger_of_its_own_and_its_own_bound_on_accounts() {
    let before = Stage::new([per_tenant(mills(300))]);
    before.send(ask(), answer(1_000)).await.unwrap();
    let given = BudgetLayer::new([per_tenant(mills(300))]).ledger(Arc::new(MemoryLedger::default()));
    assert!(Stage::resuming(given, &before).handle.accounts().is_empty());
    let narrow = BudgetLayer::new([per_tenant(mills(300))]).most_accounts(NonZeroUsize::MIN);
    let narrow = Stage::resuming(narrow, &before);
    let error = narrow.send(ask_for("m", "other", 1), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-tenant` has no room for another account");
    narrow.send(ask_for("m", "acme", 1), answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_a_caller_is_told_before_its_first_call() {
    let by_model = CapRule::new("model", Per::MODEL, Cap::new(mills(7), Window::DAY));
    let stage = Stage::new([per_tenant(mills(150)), by_model, per_tenant(mills(1)).tenants(["x"])]);
    assert!(stage.handle.accounts_of(&Caller::tenant("acme")).is_empty(), "a rule of one name takes the other's place");
    let stage = Stage::new([per_tenant(mills(150))]);
    let left = || stage.handle.accounts_of(&Caller::tenant("acme"))[0].left();
    assert_eq!(left(), Some(mills(150)));
    stage.send(ask(), answer(1_000)).await.unwrap();
    assert_eq!(left(), Some(mills(100)));
}

#[tokio::test(start_paused = true)]
async fn figures_have_labels_that_no_caller_makes_up() {
    let stage = Stage::new([per_tenant(mills(150))]);
    for tenant in ["acme", "other"] {
        stage.send(ask_for("m", tenant, 1_000), answer(1_000)).await.unwrap();
    }
    assert!(stage.send(ask_for("m", "acme", 1_000), Answer::hang()).now_or_never().is_none());
    stage.send(ask(), answer(1)).await.unwrap_err();
    let mut seen = Vec::new();
    stage.handle.measure(&mut |measure| {
        let labels: Vec<_> = measure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        seen.push(format!("{}{{{}}} {}", measure.name, labels.join(","), measure.value));
    });
    let expected = [
        "llm.budget.spent{budget=per-tenant,window=day} 0.1",
        "llm.budget.estimated{budget=per-tenant,window=day} 0",
        "llm.budget.reserved{budget=per-tenant,window=day} 0",
        "llm.budget.debt{budget=per-tenant,window=day} 0",
        "llm.budget.accounts{budget=per-tenant} 2",
        "llm.budget.model_spent{provider=openai,model=m,provenance=reported} 0.1",
        "llm.budget.model_spent{provider=openai,model=m,provenance=estimated} 0",
        "llm.budget.refused{} 1",
        "llm.budget.cut{} 0",
    ];
    for line in expected {
        assert!(seen.iter().any(|seen| seen == line), "{line} is not among {seen:#?}");
    }
    assert!(!format!("{seen:?}{:?}", stage.handle).contains("acme"));
}
