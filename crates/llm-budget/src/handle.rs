//! Watching and controlling it at run time.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use llm_core::{Caller, Measure, Measures, NanoUsd, NoticeListener, Striped, TargetRef};

use crate::{
    AccountKey, AccountStatus, CapRule, Change, Ledger, ModelSpend, Per, account::Account, notice::dollars,
    scope::Scoped, shared::Shared, whose::Whose, window::Now,
};

/// Watches and controls the accounts of a layer. Clones do the same.
#[derive(Clone)]
pub struct BudgetHandle {
    shared: Striped<Shared>,
}

/// What has happened since the layer was made, or the first of those that it goes on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetCounts {
    /// Calls that were refused.
    pub refused: u64,
    /// Calls whose price nobody knew, whether they were refused for that or not.
    pub unpriced: u64,
    /// Calls whose ceiling was lowered to what was left.
    pub lowered: u64,
    /// Streams that were cut.
    pub cut: u64,
}

impl BudgetHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// The rules that accounts are kept by, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &CapRule> {
        self.shared.settings.rules.iter().map(Arc::as_ref)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The accounts that there are, by rule and name.
    pub fn accounts(&self) -> Vec<AccountStatus> {
        let mut accounts = Vec::new();
        self.shared.ledger.for_each(&mut |status| accounts.push(status));
        accounts.sort_by_cached_key(|status| status.key.to_string());
        accounts
    }

    /// How an account is; `None` if there is none, and nothing has been spent of it.
    pub fn account(&self, key: &AccountKey) -> Option<AccountStatus> {
        self.shared.ledger.look(&key.names())
    }

    /// The accounts that a caller's calls are held to, whatever the model: what a door may tell it is left. Accounts that
    /// have not begun are there as well.
    pub fn accounts_of(&self, caller: &Caller) -> Vec<AccountStatus> {
        let rules = self.shared.settings.rules.iter().filter(|rule| !rule.per().includes(Per::MODEL));
        let rules = rules.filter(|rule| rule.scope().concerns_caller(caller));
        let whose = Whose::new(caller, TargetRef { provider: "", model: "", key: None }, None);
        let status = |rule: &Arc<CapRule>| {
            let key = rule.scope().account(&whose);
            self.shared.ledger.look(&key).unwrap_or_else(|| AccountStatus {
                key: key.to_key(),
                rule: Arc::clone(rule),
                balances: Account::new(rule).balances(rule, Now::ZERO),
                is_frozen: false,
            })
        };
        rules.map(status).collect()
    }

    /// What was spent on each model, by name, and by what its calls were about.
    pub fn models(&self) -> Vec<ModelSpend> {
        self.shared.models.list()
    }

    /// Tops up, resets, freezes or unfreezes an account, which begins if it was not there. False, and nothing done, if
    /// there is no such rule, no room for another account, or the ledger cannot be reached.
    pub async fn change(&self, key: &AccountKey, change: Change) -> bool {
        let Some(rule) = self.shared.settings.rules.iter().find(|rule| *rule.name() == key.rule) else { return false };
        self.shared.ledger.change(rule, &key.names(), change).await
    }

    /// What keeps the accounts, for layers that share them.
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.shared.ledger)
    }

    /// What has happened so far.
    pub fn counts(&self) -> BudgetCounts {
        let counts = &self.shared.counts;
        BudgetCounts {
            refused: counts.refused.load(Relaxed),
            unpriced: counts.unpriced.load(Relaxed),
            lowered: counts.lowered.load(Relaxed),
            cut: counts.cut.load(Relaxed),
        }
    }

    /// Listens to what happens to accounts from now on. The notices come from `budget` and are named by the account
    /// (`per-tenant (tenant acme)`): `reached` with a share of a cap, and `refused`, once a window each; `topped_up`,
    /// `reset`, `frozen`, `unfrozen`. `crowded`, named by the rule, says that there is no room for another account, once a
    /// minute at most.
    pub fn notices(&self) -> NoticeListener {
        self.shared.ledger.notices()
    }
}

/// What the sums of accounts are called.
const SUMS: [&str; 4] = ["llm.budget.spent", "llm.budget.estimated", "llm.budget.reserved", "llm.budget.debt"];

/// The sums of all accounts of a rule, in dollars, with the labels `budget` and `window`: `llm.budget.spent`,
/// `llm.budget.estimated` (as much of that is by estimate), `llm.budget.reserved`, `llm.budget.debt`; and how many there are, `llm.budget.accounts`, by `budget`. By `provider`
/// and `model`, of which there are no more than the catalogue lists: `llm.budget.model_spent`, with `provenance`
/// (`reported`, `estimated`); `llm.budget.estimate_error`. And the [counts](BudgetCounts), as `llm.budget.refused` and
/// so on.
impl Measures for BudgetHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let mut sums: BTreeMap<(Arc<str>, String), [NanoUsd; 4]> = BTreeMap::new();
        let mut accounts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        self.shared.ledger.for_each(&mut |status| {
            *accounts.entry(Arc::clone(status.rule.name())).or_default() += 1;
            for (balance, cap) in status.balances.iter().zip(status.rule.caps()) {
                let sum = sums.entry((Arc::clone(status.rule.name()), cap.window.to_string())).or_default();
                for (sum, amount) in
                    sum.iter_mut().zip([balance.spent, balance.estimated, balance.reserved, balance.debt])
                {
                    *sum = sum.saturating_add(amount);
                }
            }
        });
        for ((budget, window), amounts) in &sums {
            let labels = [("budget", Cow::Borrowed(&**budget)), ("window", Cow::Borrowed(window.as_str()))];
            for (name, amount) in SUMS.into_iter().zip(amounts) {
                visit(&Measure { name, labels: &labels, value: dollars(*amount) });
            }
        }
        for (budget, count) in &accounts {
            let labels = [("budget", Cow::Borrowed(&**budget))];
            visit(&Measure { name: "llm.budget.accounts", labels: &labels, value: *count as f64 });
        }
        for spends in self.models().chunk_by(|one, next| one.model == next.model) {
            let model = &spends[0].model;
            let of = [("provider", Cow::Borrowed(model.provider())), ("model", Cow::Borrowed(model.model()))];
            let [reported, estimated] = [|spend: &ModelSpend| spend.reported, |spend: &ModelSpend| spend.estimated]
                .map(|amount| spends.iter().map(amount).sum());
            for (provenance, amount) in [("reported", reported), ("estimated", estimated)] {
                let [provider, model] = of.clone();
                let labels = [provider, model, ("provenance", Cow::Borrowed(provenance))];
                visit(&Measure { name: "llm.budget.model_spent", labels: &labels, value: dollars(amount) });
            }
            // By how much the estimate of a call is off, whatever it is about.
            let weighed = |spend: &ModelSpend| spend.estimate_error * spend.calls as f64;
            let calls: u64 = spends.iter().map(|spend| spend.calls).sum();
            let off = spends.iter().map(weighed).sum::<f64>() / calls as f64;
            visit(&Measure { name: "llm.budget.estimate_error", labels: &of, value: off });
        }
        let BudgetCounts { refused, unpriced, lowered, cut } = self.counts();
        let counts = [
            ("llm.budget.refused", refused),
            ("llm.budget.unpriced", unpriced),
            ("llm.budget.lowered", lowered),
            ("llm.budget.cut", cut),
        ];
        for (name, count) in counts {
            visit(&Measure { name, labels: &[], value: count as f64 });
        }
    }
}

impl fmt::Debug for BudgetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetHandle").field("ledger", &self.shared.ledger).field("counts", &self.counts()).finish()
    }
}
