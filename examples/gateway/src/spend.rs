//! What was spent, for operators, who may top up, reset, freeze and unfreeze accounts.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use llm_budget::{AccountKey, AccountStatus, Balance, BudgetCounts, Change, ModelSpend, Per, Strictness};
use llm_core::{Target, TargetRef};
use llm_stack::Stack;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    admin::{page, unreadable},
    whose::Names,
};

/// The most accounts that are shown at once, those first of which the least is left. There may be a hundred thousand.
const MOST_SHOWN: usize = 1_000;

/// `GET /spend`, of all accounts or of those that the query names.
pub(crate) async fn show(
    State(stack): State<Stack>,
    names: Result<Query<Names>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(names) = names.map_err(unreadable)?;
    let Some(budget) = &stack.handles().budget else { return Ok(page(&json!({ "accounts": [], "models": [] }))) };
    let mut accounts = budget.accounts();
    accounts.retain(|account| names.include(&account.key));
    // Those of one share of their caps stay in the order of their names.
    accounts.sort_by_cached_key(left_per_mille);
    let shown: Vec<Value> = accounts.iter().take(MOST_SHOWN).map(describe).collect();
    let BudgetCounts { refused, unpriced, lowered, cut } = budget.counts();
    Ok(page(&json!({
        "accounts": shown,
        "more": accounts.len().saturating_sub(MOST_SHOWN),
        "models": budget.models().iter().map(describe_model).collect::<Vec<_>>(),
        "calls": { "refused": refused, "unpriced": unpriced, "lowered": lowered, "cut": cut },
    })))
}

/// What an operator wants of an account, with all of the names that its budget keeps accounts by: `null` is the account of
/// calls without such a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    budget: String,
    #[serde(default, deserialize_with = "stated")]
    tenant: Stated,
    #[serde(default, deserialize_with = "stated")]
    user: Stated,
    #[serde(default, deserialize_with = "stated")]
    key: Stated,
    #[serde(default, deserialize_with = "stated")]
    workflow: Stated,
    #[serde(default, deserialize_with = "stated")]
    job: Stated,
    /// `provider/model`.
    #[serde(default, deserialize_with = "stated")]
    model: Stated,
    action: Action,
    /// Dollars as text, such as `"2.50"`: a number would be a float.
    usd: Option<String>,
}

/// A name or `null`; absent where nothing is said.
type Stated = Option<Option<String>>;

fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stated, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Raise its caps by `usd`, until it is reset.
    TopUp,
    /// Forget what was spent and added.
    Reset,
    /// Refuse every call.
    Freeze,
    /// Go on as before.
    Unfreeze,
}

/// `POST /spend`: does what an operator wants of one account, and shows it as it is then.
pub(crate) async fn control(State(stack): State<Stack>, order: Bytes) -> Response {
    match obey(&stack, &order).await {
        Ok(account) => page(&json!({ "account": describe(&account) })),
        Err((status, sentence)) => (status, sentence).into_response(),
    }
}

async fn obey(stack: &Stack, order: &[u8]) -> Result<AccountStatus, (StatusCode, String)> {
    let bad = |sentence: &str| (StatusCode::BAD_REQUEST, format!("{sentence}\n"));
    let conflict = |sentence: &str| (StatusCode::CONFLICT, format!("{sentence}\n"));
    let order: Order = serde_json::from_slice(order).map_err(|error| bad(&format!("that is no order: {error}")))?;
    let change = change(order.action, order.usd.as_deref()).map_err(|sentence| bad(&sentence))?;
    let budget = stack.handles().budget.as_ref().ok_or_else(|| conflict("there is no budget in the configuration"))?;
    let Some(rule) = budget.rules().find(|rule| **rule.name() == *order.budget) else {
        return Err((StatusCode::NOT_FOUND, format!("there is no budget `{}`\n", order.budget)));
    };
    // An account that no call is held to would be an order that does nothing, and looks as if it did.
    let fields = [
        ("tenant", Per::TENANT, order.tenant.is_some()),
        ("user", Per::USER, order.user.is_some()),
        ("workflow", Per::WORKFLOW, order.workflow.is_some()),
        ("job", Per::JOB, order.job.is_some()),
        ("key", Per::KEY, order.key.is_some()),
        ("model", Per::MODEL, order.model.is_some()),
    ];
    let (name, per) = (rule.name(), rule.per());
    if let Some((field, ..)) = fields.into_iter().find(|(_, by, is_stated)| *is_stated && !per.includes(*by)) {
        return Err(bad(&format!("the budget `{name}` keeps no accounts by `{field}`, but by {per}")));
    }
    if let Some((field, ..)) = fields.into_iter().find(|(_, by, is_stated)| !is_stated && per.includes(*by)) {
        let message = format!("the budget `{name}` keeps accounts by {per}: state the `{field}`, or null for none");
        return Err(bad(&message));
    }
    let key = order.account().ok_or_else(|| bad("the `model` is named with its provider before it"))?;
    if !budget.change(&key, change).await {
        return Err(conflict("there are too many accounts already"));
    }
    budget.account(&key).ok_or_else(|| conflict("the account is gone already"))
}

impl Order {
    /// The account that is meant, or nothing if its model is not named whole.
    fn account(self) -> Option<AccountKey> {
        let name = |name: Stated| name.flatten().map(Into::into);
        let model = match &self.model {
            Some(Some(model)) => Some(model.split_once('/')?),
            Some(None) | None => None,
        };
        Some(AccountKey {
            tenant: name(self.tenant),
            user: name(self.user),
            key: name(self.key),
            workflow: name(self.workflow),
            job: name(self.job),
            model: model.map(|(provider, model)| Target::new(provider, model)),
            ..AccountKey::new(self.budget)
        })
    }
}

/// What is to be done, if that makes sense.
fn change(action: Action, usd: Option<&str>) -> Result<Change, String> {
    match (action, usd) {
        (Action::TopUp, Some(usd)) => usd.parse().map(Change::TopUp).map_err(|error| format!("usd: {error}")),
        (Action::TopUp, None) => Err("say by how many `usd` it is topped up, such as \"2.50\"".to_owned()),
        (Action::Reset | Action::Freeze | Action::Unfreeze, Some(_)) => Err("`usd` is for `top_up` only".to_owned()),
        (Action::Reset, None) => Ok(Change::Reset),
        (Action::Freeze, None) => Ok(Change::Freeze),
        (Action::Unfreeze, None) => Ok(Change::Unfreeze),
    }
}

/// How much of its caps is left to an account, in thousandths.
fn left_per_mille(account: &AccountStatus) -> u64 {
    let of = |balance: &Balance| balance.left().0.saturating_mul(1_000).checked_div(balance.cap.0).unwrap_or(0);
    account.balances.iter().map(of).min().unwrap_or(0)
}

fn describe(account: &AccountStatus) -> Value {
    let AccountStatus { key, rule, balances, is_frozen } = account;
    let strictness = match rule.strictness() {
        Strictness::Hard => "hard",
        Strictness::Soft => "soft",
    };
    let windows = balances.iter().zip(rule.caps()).map(|(balance, cap)| {
        let Balance { cap: amount, spent, estimated, reserved, debt, resets_in } = balance;
        json!({
            "window": cap.window.to_string(),
            "cap_usd": amount.decimal(),
            "spent_usd": spent.decimal(),
            "estimated_usd": estimated.decimal(),
            "reserved_usd": reserved.decimal(),
            "debt_usd": debt.decimal(),
            "left_usd": balance.left().decimal(),
            "resets_in_seconds": resets_in.map(|wait| wait.as_secs_f64().ceil() as u64),
        })
    });
    let mut account = Names::of(key);
    account.insert("budget".to_owned(), (*key.rule).into());
    account.insert("strictness".to_owned(), strictness.into());
    account.insert("frozen".to_owned(), (*is_frozen).into());
    account.insert("windows".to_owned(), windows.collect());
    account.into()
}

fn describe_model(spend: &ModelSpend) -> Value {
    let TargetRef { provider, model, key: _ } = spend.model.names();
    json!({
        "provider": provider,
        "model": model,
        "intent": spend.intent.as_deref(),
        "calls": spend.calls,
        "reported_usd": spend.reported.decimal(),
        "estimated_usd": spend.estimated.decimal(),
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
        "correction": spend.correction,
        "estimate_error": spend.estimate_error,
        "likely_output": spend.likely_output,
    })
}
