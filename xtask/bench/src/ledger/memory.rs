//! What is kept of each account, and of each caller under a limit.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use llm_budget::{
    AccountKey, Cap, CapRule, Claim, ClaimId, Claimed, Ledger, LimitLayer, MemoryLedger, Per, Settlement, Window,
    limit::LimitRule,
};
use llm_core::{CallId, Caller, LlmRequest, NanoUsd};
use tower::{Layer, Service};

use super::{locked::Locked, own};
use crate::{
    kept::Fill,
    layers::echo::{Answer, Echo, stock},
};

/// What keeps accounts in this program.
pub(super) const LEDGERS: [(&str, Fill); 4] = [
    ("llm-budget, of a day", |accounts| Box::new(ledger(accounts, Window::DAY))),
    ("llm-budget, of the last hour", |accounts| {
        Box::new(ledger(accounts, Window::Rolling(Duration::from_secs(3_600))))
    }),
    ("llm-budget's limits, a caller each", |callers| Box::new(limits(callers))),
    ("Mutex<HashMap>", |accounts| Box::new(Locked::with(accounts))),
];

/// What keeps accounts in the peers' program, in the order in which it counts.
pub const PEERS: [&str; 2] = ["governor, keyed", "llm-budget 0.2, a fleet's agents"];

/// The name of each of many tenants.
pub fn tenant(number: usize) -> String {
    format!("tenant-{number:07}")
}

/// What is counted, by the program that counts.
pub fn fills() -> impl Iterator<Item = Fill> {
    LEDGERS.into_iter().map(|(_, fill)| fill)
}

fn ledger(accounts: NonZeroUsize, window: Window) -> MemoryLedger {
    let ledger = MemoryLedger::new(accounts);
    let rule = Arc::new(CapRule::new("per-tenant", Per::TENANT, Cap::new(own::CAP, window)));
    for number in 0..accounts.get() {
        let key = AccountKey { tenant: Some(tenant(number).into()), ..AccountKey::new(rule.name().clone()) };
        let accounts = [Claimed { rule: &rule, key: key.names() }];
        let id = ClaimId::new(CallId(7), 0);
        let claim = Claim { id, accounts: &accounts, amount: own::AMOUNT, expects: NanoUsd::ZERO, target: own::TARGET };
        let reserved = ledger.reserve(&claim).into_ready().expect("it is in memory");
        reserved.expect("there is room").settle(Settlement::reported(own::COST));
    }
    ledger
}

fn limits(callers: NonZeroUsize) -> LimitLayer {
    let a_million = NonZeroU32::new(1_000_000).expect("it is not zero");
    let rule = LimitRule::new("per-tenant", Per::TENANT).requests_per_minute(a_million);
    let rule = rule.tokens_per_minute(NonZeroU64::from(a_million)).at_once(a_million);
    let layer = LimitLayer::new([rule]).most_callers(callers);
    let mut service = layer.layer(Echo);
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..callers.get() {
        stock(Answer::Whole, 1);
        let mut request = LlmRequest::chat("any").user("Which colour?").build();
        request.context_mut().set_caller(Caller::tenant(tenant(number)));
        assert!(service.poll_ready(&mut cx).is_ready(), "the echo is ready");
        assert!(pin!(service.call(request)).poll(&mut cx).is_ready(), "the echo answers at once");
    }
    layer
}
