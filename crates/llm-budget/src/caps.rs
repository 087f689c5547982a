//! What may be spent, by whom, and who hears of it: the rules that accounts go by.

use std::sync::Arc;

use llm_core::NanoUsd;
use serde::Deserialize;

use crate::{
    Per, Window,
    scope::{Scope, Scoped},
};

/// How much may be spent within which window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How much.
    pub amount: NanoUsd,
    /// Within which window.
    pub window: Window,
}

impl Cap {
    /// So much within this window.
    pub const fn new(amount: NanoUsd, window: Window) -> Self {
        Self { amount, window }
    }

    /// Whether the other one is always reached before.
    pub(crate) fn is_idle_beside(&self, wider: &Self) -> bool {
        wider.amount < self.amount && wider.window.holds(&self.window)
    }
}

/// A share of a cap, from 1 to 100 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// So many hundredths; `None` unless it is from 1 to 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent >= 1 && percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `spent` is at least this share of `cap`. Of nothing every share is reached by spending something.
    pub(crate) fn is_reached(self, spent: NanoUsd, cap: NanoUsd) -> bool {
        spent > NanoUsd::ZERO && u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(self.0)
    }
}

/// What happens at a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Calls are refused.
    #[default]
    Hard,
    /// Somebody is told, and calls go on.
    Soft,
}

/// A rule by which accounts are kept: what may be spent, in accounts of whom, of which calls. A call is held to all rules that
/// are about it.
///
/// ```
/// use llm_budget::{Cap, CapRule, Per, Window};
///
/// let rule = CapRule::new("per-tenant", Per::TENANT, Cap::new("2.00".parse()?, Window::DAY))
///     .cap(Cap::new("20.00".parse()?, Window::MONTH))
///     .models(["openai/*"]);
/// # let _ = rule;
/// # Ok::<(), llm_core::MoneyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapRule {
    scope: Scope,
    caps: Vec<Cap>,
    strictness: Strictness,
    alerts: Vec<Percent>,
}

impl CapRule {
    /// When somebody is told, unless stated otherwise: in good time, soon, now, and that it is over.
    pub const ALERTS: [Percent; 4] = [Percent(50), Percent(80), Percent(95), Percent(100)];

    /// A hard cap on all calls, for each account. Callers who are refused are told the rule's name, so it should say
    /// nothing of others. It is also what accounts are known by: rules of one name have the same accounts.
    pub fn new(name: impl Into<Arc<str>>, per: Per, cap: Cap) -> Self {
        Self::scoped(Scope::new(name, per), cap)
    }

    pub(crate) fn scoped(scope: Scope, cap: Cap) -> Self {
        Self { scope, caps: vec![cap], strictness: Strictness::Hard, alerts: Self::ALERTS.to_vec() }
    }

    /// Another cap on the same accounts, for another window. Calls are held to all of them.
    pub fn cap(mut self, cap: Cap) -> Self {
        self.caps.push(cap);
        self
    }

    /// Refuses nothing, and only tells.
    pub fn soft(mut self) -> Self {
        self.strictness = Strictness::Soft;
        self
    }

    /// The shares of each cap at which somebody is told, once a window. Defaults to [`ALERTS`](Self::ALERTS).
    pub fn alert_at(mut self, shares: impl IntoIterator<Item = Percent>) -> Self {
        self.alerts = shares.into_iter().collect();
        // Ascending, so that those after one that is not reached need not be looked at.
        self.alerts.sort_unstable();
        self.alerts.dedup();
        self
    }

    /// Only calls of these tenants. Those of all by default, as for whatever is named below.
    pub fn tenants(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.tenants(names);
        self
    }

    /// Only calls of these users.
    pub fn users(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.users(names);
        self
    }

    /// Only calls with the API keys of these names.
    pub fn keys(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.keys(names);
        self
    }

    /// Only calls for these workflows.
    pub fn workflows(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.workflows(names);
        self
    }

    /// Only calls of these jobs.
    pub fn jobs(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.jobs(names);
        self
    }

    /// Only calls of these models: `model`, `provider/model`, or beginnings of either that end in `*`.
    /// Where no target is chosen yet, a model is the same with its provider before it and without, as far as the catalogue
    /// knows whose it is, and a route is listed by its own name.
    pub fn models(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.models(names);
        self
    }

    /// A call that this rule is about is not held to the rule of that name, if that stands before this one: everybody $2
    /// a day, and one of them $20.
    ///
    /// ```
    /// use llm_budget::{Cap, CapRule, Per, Window};
    ///
    /// let a_day = |usd: &str| Ok::<_, llm_core::MoneyError>(Cap::new(usd.parse()?, Window::DAY));
    /// let rules = [
    ///     CapRule::new("per-tenant", Per::TENANT, a_day("2")?),
    ///     CapRule::new("acme", Per::TENANT, a_day("20")?).tenants(["acme"]).instead_of("per-tenant"),
    /// ];
    /// # let _ = rules;
    /// # Ok::<(), llm_core::MoneyError>(())
    /// ```
    pub fn instead_of(mut self, name: impl Into<Arc<str>>) -> Self {
        self.scope.instead_of = Some(name.into());
        self
    }

    /// What it is called.
    pub fn name(&self) -> &Arc<str> {
        &self.scope.name
    }

    /// What accounts are kept by.
    pub fn per(&self) -> Per {
        self.scope.per
    }

    /// The caps of each account.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// What happens at a cap.
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// The shares at which somebody is told, in ascending order.
    pub fn alerts(&self) -> &[Percent] {
        &self.alerts
    }

    pub(crate) fn is_hard(&self) -> bool {
        self.strictness == Strictness::Hard
    }
}

impl Scoped for CapRule {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn scope_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_reached_at_its_very_cent() {
        let half = Percent::new(50).unwrap();
        assert!(half.is_reached(NanoUsd(5), NanoUsd(10)) && !half.is_reached(NanoUsd(4), NanoUsd(10)));
        assert!(half.is_reached(NanoUsd(u64::MAX), NanoUsd::MAX));
        assert!(!half.is_reached(NanoUsd(0), NanoUsd(0)) && half.is_reached(NanoUsd(1), NanoUsd(0)));
        assert!(Percent::new(0).is_none() && Percent::new(101).is_none());
    }
}
