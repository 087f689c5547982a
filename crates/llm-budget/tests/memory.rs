//! What accounts take up, and what a call allocates. A program of its own, with an allocator that counts.

use std::{alloc::System, hint::black_box, num::NonZeroUsize, sync::Arc, time::Instant};

use futures_util::FutureExt;
use llm_budget::{
    BudgetLayer, Cap, CapRule, Claim, ClaimId, Claimed, Ledger, MemoryLedger, Per, Settlement, Streams, Window,
};
use llm_core::{CallId, Caller, Error, LlmRequest, LlmResponse, NanoUsd, Output, Target, TargetRef, Usage};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The most that an account takes up with its key, as the docs of `MemoryLedger` state it.
const BYTES_AN_ACCOUNT: usize = 450;
/// What a call allocates besides what the inner service does: what is set aside for it.
const ALLOCATIONS: usize = 1;

const AMOUNT: NanoUsd = NanoUsd(1_000_000_000_000);

fn rule(name: &str, per: Per) -> CapRule {
    CapRule::new(name, per, Cap::new(AMOUNT, Window::DAY))
}

fn ask(tenant: &str) -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("hi").max_output_tokens(10).build();
    request.context_mut().set_target(Target::new("openai", "gpt-4o"));
    request.context_mut().set_caller(Caller::tenant(tenant));
    request
}

fn fine(_: LlmRequest) -> std::future::Ready<Result<LlmResponse, Error>> {
    let mut output = Output::text("fine");
    output.set_usage(Usage::reported(1, 1));
    std::future::ready(Ok(LlmResponse::from(output)))
}

/// How often a call allocates.
fn allocations(service: &mut impl Service<LlmRequest, Response = LlmResponse>) -> usize {
    const CALLS: usize = 100;
    let requests: Vec<_> = (0..CALLS).map(|_| ask("acme")).collect();
    let region = Region::new(ALLOCATOR);
    for request in requests {
        let answer = service.call(request).now_or_never().expect("it does not wait");
        black_box(&answer);
    }
    region.change().allocations / CALLS
}

#[test]
fn a_hundred_thousand_tenants_stay_within_the_stated_bytes_and_a_call_allocates_what_it_holds() {
    const MOST: usize = 20_000;
    const TENANTS: usize = 100_000;
    let ledger = Arc::new(MemoryLedger::new(NonZeroUsize::new(MOST).unwrap()));
    let layer = BudgetLayer::new([rule("per-tenant", Per::TENANT)]).ledger(ledger.clone());
    let mut service = layer.layer(service_fn(fine));
    let region = Region::new(ALLOCATOR);
    let mut refused = 0;
    for number in 0..TENANTS {
        let answer = service.call(ask(&format!("some-tenant-{number}"))).now_or_never().unwrap();
        refused += usize::from(answer.is_err());
    }
    let change = region.change();
    let kept = (change.bytes_allocated - change.bytes_deallocated) / ledger.len();
    println!("an account takes up {kept} bytes");
    assert_eq!((ledger.len(), refused), (MOST, TENANTS - MOST), "nobody's spend was forgotten");
    assert!(kept <= BYTES_AN_ACCOUNT, "{kept}");

    let rules = [rule("all", Per::GLOBAL), rule("per-tenant", Per::TENANT), rule("per-model", Per::MODEL)];
    let layer = BudgetLayer::new(rules).streams(Streams::WorstCase);
    let bare = allocations(&mut service_fn(fine));
    let mut service = layer.layer(service_fn(fine));
    allocations(&mut service);
    assert_eq!(allocations(&mut service), bare + ALLOCATIONS);
}

/// Prints what reserving and settling takes. It asserts nothing about time.
#[test]
fn three_accounts_are_reserved_and_settled() {
    let ledger = MemoryLedger::default();
    let rules = [("all", Per::GLOBAL), ("per-tenant", Per::TENANT), ("per-user", Per::USER)];
    let rules = rules.map(|(name, per)| Arc::new(rule(name, per)));
    let keys = [
        llm_budget::AccountKey::new("all"),
        llm_budget::AccountKey { tenant: Some("acme".into()), ..llm_budget::AccountKey::new("per-tenant") },
        llm_budget::AccountKey {
            tenant: Some("acme".into()),
            user: Some("bob".into()),
            ..llm_budget::AccountKey::new("per-user")
        },
    ];
    let target = TargetRef { provider: "openai", model: "gpt-4o", key: None };
    for count in [1, 3] {
        let claimed = rules.iter().zip(&keys).map(|(rule, key)| Claimed { rule, key: key.names() });
        let accounts: Vec<_> = claimed.take(count).collect();
        const ROUNDS: u32 = 20_000;
        let began = Instant::now();
        for round in 0..ROUNDS {
            let id = ClaimId::new(CallId(u128::from(round)), 0);
            let claim = Claim { id, accounts: &accounts, amount: NanoUsd(1_000), expects: NanoUsd::ZERO, target };
            let held = ledger.reserve(&claim).into_ready();
            let mut hold = held.expect("it is in memory").expect("it fits");
            hold.settle(Settlement::reported(NanoUsd(10)));
        }
        println!("{count} accounts: {} ns", began.elapsed().as_nanos() / u128::from(ROUNDS));
        let mut reserved = NanoUsd::ZERO;
        ledger.for_each(&mut |status| reserved = reserved.saturating_add(status.reserved()));
        assert_eq!(reserved, NanoUsd::ZERO);
    }
}
