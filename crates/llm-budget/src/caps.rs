//! What may be spent, by whom, and who hears of it: the rules that accounts go by.

use std::{fmt, sync::Arc};

use llm_core::{AllowedModels, Caller, NanoUsd, TargetRef};
use serde::Deserialize;

use crate::{AccountRef, Window};

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
}

/// What callers share an account by: any mix of these, or nothing at all.
///
/// A person is one of a tenant and a job is one run of a tenant's workflow, so accounts by user or job are by those as
/// well: nothing is ever shared between the users `bob` of two tenants. A call that lacks a field by which accounts are
/// kept has the account of nobody, which all such calls share.
///
/// ```
/// use llm_budget::Per;
///
/// assert!(Per::USER.and(Per::MODEL).includes(Per::TENANT));
/// assert_eq!(Per::JOB.to_string(), "tenant, workflow, job");
/// assert_eq!(Per::GLOBAL.to_string(), "global");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Per(u8);

impl Per {
    /// One account for all.
    pub const GLOBAL: Self = Self(0);
    /// By customer.
    pub const TENANT: Self = Self(1);
    /// By person or machine, and so by tenant.
    pub const USER: Self = Self(2 | Self::TENANT.0);
    /// By what the calls are for, whoever makes them.
    pub const WORKFLOW: Self = Self(4);
    /// By run of a workflow, and so by tenant and workflow.
    pub const JOB: Self = Self(8 | Self::TENANT.0 | Self::WORKFLOW.0);
    /// By provider and model, by the catalogue's name for it, whatever alias it is called by.
    pub const MODEL: Self = Self(16);

    const NAMED: [(&str, Self); 5] = [
        ("tenant", Self::TENANT),
        ("user", Self::USER),
        ("workflow", Self::WORKFLOW),
        ("job", Self::JOB),
        ("model", Self::MODEL),
    ];

    /// By these as well.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether accounts are kept by all of these.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What goes by this name in a configuration file.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let named = Self::NAMED.into_iter().find_map(|(known, per)| (known == name).then_some(per));
        named.or((name == "global").then_some(Self::GLOBAL))
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::GLOBAL {
            return f.write_str("global");
        }
        let mut names = Self::NAMED.iter().filter(|(_, per)| self.includes(*per)).map(|(name, _)| *name);
        f.write_str(names.next().unwrap_or_default())?;
        names.try_for_each(|name| write!(f, ", {name}"))
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

/// A rule by which accounts are kept: what may be spent, in accounts of whom, of which calls.
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
    name: Arc<str>,
    per: Per,
    caps: Vec<Cap>,
    strictness: Strictness,
    alerts: Vec<Percent>,
    concerns: Concerns,
}

/// Which calls a rule is about. What is absent concerns all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Concerns {
    tenants: Option<Box<[Box<str>]>>,
    users: Option<Box<[Box<str>]>>,
    workflows: Option<Box<[Box<str>]>>,
    jobs: Option<Box<[Box<str>]>>,
    models: Option<AllowedModels>,
}

fn list(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Option<Box<[Box<str>]>> {
    Some(names.into_iter().map(Into::into).collect())
}

impl CapRule {
    /// When somebody is told, unless stated otherwise: in good time, soon, now, and that it is over.
    pub const ALERTS: [Percent; 4] = [Percent(50), Percent(80), Percent(95), Percent(100)];

    /// A hard cap on all calls, for each account. Callers who are refused are told the rule's name, so it should say
    /// nothing of others. It is also what accounts are known by: rules of one name have the same accounts.
    pub fn new(name: impl Into<Arc<str>>, per: Per, cap: Cap) -> Self {
        Self {
            name: name.into(),
            per,
            caps: vec![cap],
            strictness: Strictness::Hard,
            alerts: Self::ALERTS.to_vec(),
            concerns: Concerns::default(),
        }
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
        self
    }

    /// Only calls of these tenants.
    pub fn tenants(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.concerns.tenants = list(names);
        self
    }

    /// Only calls of these users.
    pub fn users(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.concerns.users = list(names);
        self
    }

    /// Only calls for these workflows.
    pub fn workflows(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.concerns.workflows = list(names);
        self
    }

    /// Only calls of these jobs.
    pub fn jobs(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.concerns.jobs = list(names);
        self
    }

    /// Only calls of these models: `model`, `provider/model`, or beginnings of either that end in `*`.
    pub fn models(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.concerns.models = Some(AllowedModels::new(names));
        self
    }

    /// What it is called.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What accounts are kept by.
    pub fn per(&self) -> Per {
        self.per
    }

    /// The caps of each account.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// What happens at a cap.
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// The shares at which somebody is told.
    pub fn alerts(&self) -> &[Percent] {
        &self.alerts
    }

    pub(crate) fn is_hard(&self) -> bool {
        self.strictness == Strictness::Hard
    }

    /// Whether calls of this caller are held to it, of all models or of some.
    pub(crate) fn concerns_caller(&self, caller: &Caller) -> bool {
        let Concerns { tenants, users, workflows, jobs, models: _ } = &self.concerns;
        let is_listed = |list: &Option<Box<[Box<str>]>>, name: &Option<Arc<str>>| match list {
            None => true,
            Some(list) => name.as_ref().is_some_and(|name| list.iter().any(|listed| **listed == **name)),
        };
        is_listed(tenants, &caller.tenant)
            && is_listed(users, &caller.user)
            && is_listed(workflows, &caller.workflow)
            && is_listed(jobs, &caller.job)
    }

    /// Whether calls of this caller to this model, by any of its names, are held to it.
    pub(crate) fn concerns(&self, caller: &Caller, called: TargetRef<'_>, known_as: &str) -> bool {
        let permits = |models: &AllowedModels| {
            models.permits_target(called) || models.permits_target(TargetRef { model: known_as, ..called })
        };
        self.concerns_caller(caller) && self.concerns.models.as_ref().is_none_or(permits)
    }

    /// Whose account a call goes to.
    pub(crate) fn account<'a>(&'a self, caller: &'a Caller, model: TargetRef<'a>) -> AccountRef<'a> {
        let has = |per: Per, name: &'a Option<Arc<str>>| name.as_deref().filter(|_| self.per.includes(per));
        AccountRef {
            rule: &self.name,
            tenant: has(Per::TENANT, &caller.tenant),
            user: has(Per::USER, &caller.user),
            workflow: has(Per::WORKFLOW, &caller.workflow),
            job: has(Per::JOB, &caller.job),
            model: self.per.includes(Per::MODEL).then_some(model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPT: TargetRef<'_> = TargetRef { provider: "openai", model: "gpt-4o", key: None };

    fn rule(per: Per) -> CapRule {
        CapRule::new("rule", per, Cap::new(NanoUsd(1), Window::Lifetime))
    }

    fn caller(names: [&str; 4]) -> Caller {
        let [tenant, user, workflow, job] = names.map(|name| (!name.is_empty()).then(|| Arc::<str>::from(name)));
        Caller { tenant, user, workflow, job }
    }

    #[test]
    fn an_account_is_of_whom_it_is_kept_by_and_users_and_jobs_are_somebodys() {
        let caller = caller(["acme", "bob", "chat", "7"]);
        let names = |per| rule(per).account(&caller, GPT).to_key().to_string();
        assert_eq!(names(Per::GLOBAL), "rule");
        assert_eq!(names(Per::TENANT), "rule (tenant acme)");
        assert_eq!(names(Per::USER), "rule (tenant acme, user bob)");
        assert_eq!(names(Per::WORKFLOW), "rule (workflow chat)");
        assert_eq!(names(Per::JOB), "rule (tenant acme, workflow chat, job 7)");
        assert_eq!(names(Per::WORKFLOW.and(Per::MODEL)), "rule (workflow chat, model openai/gpt-4o)");
    }

    #[test]
    fn a_call_that_lacks_the_field_has_the_account_of_nobody() {
        let names = |names| rule(Per::USER).account(&caller(names), GPT).to_key().to_string();
        assert_eq!(names(["", "", "", ""]), "rule");
        assert_eq!(names(["acme", "", "x", "y"]), "rule (tenant acme)");
    }

    #[test]
    fn a_rule_concerns_whom_it_lists() {
        let acme = caller(["acme", "bob", "chat", "7"]);
        let concerns = |rule: CapRule, who: &Caller| rule.concerns(who, GPT, "gpt-4o");
        assert!(concerns(rule(Per::GLOBAL), &Caller::default()));
        let all = rule(Per::GLOBAL).tenants(["acme"]).users(["bob", "eve"]).workflows(["chat"]).jobs(["7"]);
        assert!(concerns(all.clone(), &acme));
        for (at, other) in [["other", "bob", "chat", "7"], ["acme", "al", "chat", "7"], ["acme", "bob", "", "7"]]
            .into_iter()
            .enumerate()
        {
            assert!(!concerns(all.clone(), &caller(other)), "{at}");
        }
        assert!(!concerns(all.clone(), &caller(["acme", "bob", "chat", "8"])));
        assert!(concerns(rule(Per::GLOBAL).models(["openai/*"]), &acme));
        assert!(!concerns(rule(Per::GLOBAL).models(["o3", "azure/gpt-4o"]), &acme));
        let dated = TargetRef { model: "gpt-4o-2024-08-06", ..GPT };
        assert!(rule(Per::GLOBAL).models(["gpt-4o"]).concerns(&acme, dated, "gpt-4o"), "by the catalogue's name");
    }

    #[test]
    fn a_share_is_reached_at_its_very_cent() {
        let half = Percent::new(50).unwrap();
        assert!(half.is_reached(NanoUsd(5), NanoUsd(10)) && !half.is_reached(NanoUsd(4), NanoUsd(10)));
        assert!(half.is_reached(NanoUsd(u64::MAX), NanoUsd::MAX));
        assert!(!half.is_reached(NanoUsd(0), NanoUsd(0)) && half.is_reached(NanoUsd(1), NanoUsd(0)));
        assert!(Percent::new(0).is_none() && Percent::new(101).is_none());
    }
}
