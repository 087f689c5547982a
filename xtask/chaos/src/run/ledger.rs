//! Whether a ledger has booked what the attempts cost.

use std::sync::Arc;

use llm_budget::{AccountKey, CapRule, Per, Window};
use llm_core::NanoUsd;

use crate::{
    stack::Handles,
    truth::Facts,
    world::{Does, Kind, Layer, World},
};

/// What is wrong with the ledger of the outermost budget, if something is and the shape of the stack lets one tell.
pub(super) fn check(world: &World, handles: &Handles, facts: &Facts) -> Option<String> {
    let at = world.layers.iter().position(|layer| layer.kind == Kind::Budget)?;
    if !is_told(world, at) {
        return None;
    }
    let budget = &handles.budgets[0];
    let is_for_all_time = |rule: &&CapRule| rule.per() == Per::GLOBAL && rule.caps()[0].window == Window::Lifetime;
    let name = budget.rules().find(is_for_all_time)?.name();
    let account = budget.account(&AccountKey::new(Arc::clone(name)));
    let spent = account.map_or(NanoUsd::ZERO, |account| account.balances[0].spent);
    let cost = facts.attempts.iter().map(|attempt| attempt.cost).fold(NanoUsd::ZERO, NanoUsd::saturating_add);
    // A call that is given up before a provider was reached is booked as if one had been, since nobody can know: that is
    // its prompt for each attempt it may have made.
    let prompts = facts.calls.iter().map(|call| {
        let unmade = (1 + call.allowance).saturating_sub(call.provider_calls);
        NanoUsd(call.prompt_cost.0 * u64::from(unmade))
    });
    let most = prompts.fold(cost, NanoUsd::saturating_add);
    let is_right = cost <= spent && spent <= most;
    (!is_right).then(|| format!("{name} has booked {spent}, and the attempts cost {cost}, {most} at the most"))
}

/// Whether everything that is paid goes through the budget at this place, and is booked while its call is under way.
fn is_told(world: &World, at: usize) -> bool {
    let settings = &world.layers[at].settings;
    let above = |kind| world.layers[..at].iter().any(|layer: &Layer| layer.kind == kind);
    let below = |kind| world.layers[at..].iter().any(|layer: &Layer| layer.kind == kind);
    let some_have_target = above(Kind::Router) || world.callers.iter().any(|caller| caller.provider.is_some());
    let some_have_none = !above(Kind::Router) && world.callers.iter().any(|caller| caller.provider.is_none());
    // Two attempts beside each other of a call without a target are both settled as the whole call.
    let is_doubled = above(Kind::Hedge) && some_have_none;
    // With a target a call is taken for one attempt, unless the settings say otherwise.
    let is_missed = some_have_target && (below(Kind::Hedge) || below(Kind::Retry) || below(Kind::Router));
    let is_reset = world.acts.iter().any(|act| act.does == Does::ResetAccounts);
    // Of two budgets, the upper one's is looked at; what a cache calls may be another call's, and goes on after it.
    !is_doubled
        && !is_missed
        && !is_reset
        && !below(Kind::Cache)
        && !world.has(Kind::Fallback)
        && !world.renewals_may_hang()
        && !settings.contains_key("covers")
        // A soft cap that there is no room for lets its calls pass.
        && !settings.contains_key("most_accounts")
}
