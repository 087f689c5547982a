//! What checks of ledgers are made of.

use std::sync::Arc;

use llm_core::{CallId, NanoUsd};

use super::{HOUR, Make, TARGET};
use crate::{
    AccountKey, AccountStatus, Balance, Cap, CapRule, Change, Claim, ClaimId, Claimed, Hold, Ledger, Per, Refusal,
    Settlement, Window,
};

/// A ledger and the rules that a check claims by.
pub(super) struct Bench {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) rules: Vec<Arc<CapRule>>,
    claims: u32,
}

pub(super) fn usd(nanos: u64) -> NanoUsd {
    NanoUsd(nanos)
}

pub(super) fn spent(nanos: u64) -> Settlement {
    Settlement::reported(usd(nanos))
}

pub(super) fn rolling(name: &str, amount: u64) -> CapRule {
    CapRule::new(name, Per::TENANT, Cap::new(usd(amount), Window::Rolling(HOUR)))
}

impl Bench {
    pub(super) fn new(make: Make<'_>, rules: impl IntoIterator<Item = CapRule>) -> Self {
        Self { ledger: make(), rules: rules.into_iter().map(Arc::new).collect(), claims: 0 }
    }

    pub(super) fn key(&self, rule: usize, tenant: &str) -> AccountKey {
        AccountKey { tenant: Some(tenant.into()), ..AccountKey::new(Arc::clone(self.rules[rule].name())) }
    }

    /// Claims from these accounts: rules by their places, with the tenant.
    pub(super) async fn reserve(&mut self, accounts: &[(usize, &str)], amount: u64) -> Result<Box<dyn Hold>, Refusal> {
        self.reserve_expecting(accounts, amount, 0).await
    }

    pub(super) async fn reserve_expecting(
        &mut self,
        accounts: &[(usize, &str)],
        amount: u64,
        expects: u64,
    ) -> Result<Box<dyn Hold>, Refusal> {
        self.claims += 1;
        let keys: Vec<_> = accounts.iter().map(|(rule, tenant)| (*rule, self.key(*rule, tenant))).collect();
        let claimed = keys.iter().map(|(rule, key)| Claimed { rule: &self.rules[*rule], key: key.names() });
        let accounts: Vec<_> = claimed.collect();
        let id = ClaimId::new(CallId(u128::from(self.claims)), 0);
        self.ledger
            .reserve(&Claim { id, accounts: &accounts, amount: usd(amount), expects: usd(expects), target: TARGET })
            .await
    }

    pub(super) async fn granted(&mut self, accounts: &[(usize, &str)], amount: u64) -> Box<dyn Hold> {
        let answer = self.reserve(accounts, amount).await;
        answer.unwrap_or_else(|refusal| panic!("{amount} was refused where it fits: {refusal:?}"))
    }

    pub(super) async fn refused(&mut self, accounts: &[(usize, &str)], amount: u64) -> Refusal {
        match self.reserve(accounts, amount).await {
            Ok(_) => panic!("{amount} was granted where it does not fit"),
            Err(refusal) => refusal,
        }
    }

    pub(super) async fn spend(&mut self, accounts: &[(usize, &str)], amount: u64) {
        self.granted(accounts, amount).await.settle(Settlement::reported(usd(amount)));
    }

    pub(super) fn status(&self, rule: usize, tenant: &str) -> Option<AccountStatus> {
        self.ledger.look(&self.key(rule, tenant).names())
    }

    /// What is spent, reserved and owed.
    #[track_caller]
    pub(super) fn assert_is(&self, rule: usize, tenant: &str, expected: [u64; 3], when: &str) {
        let balance = self.status(rule, tenant).map(|status| status.balances[0]);
        let found = balance.map_or([0; 3], |Balance { spent, reserved, debt, .. }| [spent.0, reserved.0, debt.0]);
        assert_eq!(found, expected, "spent, reserved and debt of {tenant} {when}");
    }

    pub(super) async fn change(&self, rule: usize, tenant: &str, change: Change) {
        let key = self.key(rule, tenant);
        assert!(self.ledger.change(&self.rules[rule], &key.names(), change).await, "{change:?} was not done");
    }
}
