//! Our ledger in memory, and what it is measured beside in this program.

use std::{hint::black_box, sync::Arc};

use llm_budget::{AccountKey, Cap, CapRule, Claim, ClaimId, Claimed, Ledger, MemoryLedger, Per, Settlement, Window};
use llm_core::{CallId, NanoUsd, TargetRef};
use smallvec::SmallVec;

use super::{Accounts, locked};
use crate::{
    rounds::{Case, by_turns},
    tenants::Tenants,
};

/// What the names of our cases begin with.
pub(super) const NAME: &str = "llm-budget, ";

/// Where calls go.
pub(super) const TARGET: TargetRef<'_> = TargetRef { provider: "openai", model: "gpt-4o", key: None };

/// What is set aside, and what it comes to.
pub(super) const AMOUNT: NanoUsd = NanoUsd(1_000_000);
pub(super) const COST: NanoUsd = NanoUsd(10_000);

/// More than is ever spent here.
pub(super) const CAP: NanoUsd = NanoUsd(u64::MAX / 2);

/// Rules of which all calls share an account, and such of which no two tenants do.
const ALL_SHARE: [(&str, Per); 3] = [("all", Per::GLOBAL), ("per-tenant", Per::TENANT), ("per-user", Per::USER)];
const NOBODY_SHARES: [(&str, Per); 3] = [("per-job", Per::JOB), ("per-tenant", Per::TENANT), ("per-user", Per::USER)];

/// What is measured in this program.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for tenants in Tenants::ALL {
        cases.push(case(&tenants.name(), Accounts::One, &NOBODY_SHARES[1..2], tenants));
    }
    for tenants in Tenants::ALL {
        let name = format!("{}, and one for all", tenants.name());
        cases.push(case(&name, Accounts::Three, &ALL_SHARE, tenants));
        cases.push(case(&tenants.name(), Accounts::Three, &NOBODY_SHARES, tenants));
    }
    for accounts in Accounts::ALL {
        cases.extend(Tenants::ALL.map(|tenants| locked::case(accounts, tenants)));
    }
    cases
}

fn case(name: &str, accounts: Accounts, rules: &[(&str, Per)], tenants: Tenants) -> Case {
    // As a layer has it: of one thread, and used by all.
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::default());
    let rule = |(name, per): &(&str, Per)| (Arc::new(CapRule::new(*name, *per, Cap::new(CAP, Window::DAY))), *per);
    let rules: Arc<[(Arc<CapRule>, Per)]> = rules.iter().map(rule).collect();
    let case = Case::new(&format!("{NAME}{name}"), accounts.name(), move |thread| {
        let (ledger, rules) = (Arc::clone(&ledger), Arc::clone(&rules));
        Box::new(move || {
            let keys = |tenant: String| rules.iter().map(|(rule, per)| key(rule, *per, &tenant)).collect();
            let keys: Vec<Vec<AccountKey>> = tenants.of(thread).into_iter().map(keys).collect();
            by_turns(keys, move |keys, _| {
                let claimed = rules.iter().zip(keys).map(|((rule, _), key)| Claimed { rule, key: key.names() });
                let accounts: SmallVec<[_; 4]> = claimed.collect();
                let id = ClaimId::new(CallId(7), 0);
                let claim = Claim { id, accounts: &accounts, amount: AMOUNT, expects: NanoUsd::ZERO, target: TARGET };
                let reserved = ledger.reserve(black_box(&claim)).into_ready().expect("it is in memory");
                reserved.expect("it is within every cap").settle(Settlement::reported(COST));
            })
        })
    });
    case.by(tenants)
}

/// The account of a call for this tenant.
fn key(rule: &CapRule, per: Per, tenant: &str) -> AccountKey {
    let has = |part: Per, name: &str| per.includes(part).then(|| Arc::from(name));
    AccountKey {
        tenant: has(Per::TENANT, tenant),
        user: has(Per::USER, "bob"),
        workflow: has(Per::WORKFLOW, "summaries"),
        job: has(Per::JOB, "2026-11-30"),
        ..AccountKey::new(rule.name().clone())
    }
}
