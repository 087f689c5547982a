//! What is left to a caller, as the layers know it.

use std::{sync::Arc, time::Duration};

use llm_budget::{AccountStatus, Balance, Per, limit::LimitStatus};
use llm_core::{LlmRequest, Quota, RateLimits};
use llm_serve::{Remaining, RemainingBudget};
use llm_stack::Handles;

/// What is left to whoever sent `request`: of several limits on the same, and of several amounts of a budget, what is left
/// of the one that leaves the least. How much tenants have spent together is no business of any of them.
pub(crate) fn of(handles: &Handles, request: &LlmRequest) -> Remaining {
    let limits = handles.limit.as_ref().map(|limit| limit.of(request)).unwrap_or_default();
    let caller = request.context().caller();
    let budgets = handles.budget.as_ref().map(|budget| budget.accounts_of(caller)).unwrap_or_default();
    let is_own = |account: &&AccountStatus| caller.tenant.is_none() || account.rule.per().includes(Per::TENANT);
    Remaining { rate_limits: rate_limits(&limits), budgets: budgets.iter().filter(is_own).filter_map(budget).collect() }
}

fn rate_limits(limits: &[LimitStatus]) -> RateLimits {
    let requests = limits.iter().filter_map(|limit| Some((limit.requests_per_minute?, limit.requests_left?.into())));
    let tokens = limits.iter().filter_map(|limit| Some((limit.tokens_per_minute?, limit.tokens_left?)));
    RateLimits { requests: least(requests), tokens: least(tokens), ..RateLimits::default() }
}

/// The amount a minute of which the least is left. It fills evenly.
fn least(amounts: impl Iterator<Item = (u64, i64)>) -> Quota {
    let Some((limit, left)) = amounts.min_by_key(|(_, left)| *left) else { return Quota::default() };
    let missing = (i128::from(limit) - i128::from(left)).unsigned_abs();
    let nanos = (missing * 60_000_000_000).div_ceil(u128::from(limit.max(1)));
    let reset = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    Quota { limit: Some(limit), remaining: Some(u64::try_from(left).unwrap_or(0)), reset: Some(reset) }
}

/// What is left of an account; nothing where it refuses nothing.
fn budget(account: &AccountStatus) -> Option<RemainingBudget> {
    let left = account.left()?;
    let least = account.balances.iter().min_by_key(|balance| balance.left())?;
    let Balance { cap, resets_in, .. } = *least;
    Some(RemainingBudget { name: Arc::clone(account.rule.name()), cap, left, resets_in })
}
