//! The budget keeps the laws of all layers: with whole answers and streams set aside for in full, and with metered streams.

use std::{num::NonZeroUsize, sync::Arc};

use llm_budget::{
    AccountKey, BudgetConfig, BudgetHandle, BudgetLayer, Cap, CapRule, MemoryLedger, Per, Percent, Streams, Window,
};
use llm_core::{Caller, LlmRequest, NanoUsd, Target, catalog::Catalog};
use llm_test::{Answer, Frames, Subject};

fn catalog() -> Arc<Catalog> {
    let text = "[[models]]\nname = 'probe'\naliases = ['model']\ninput = 1.0\noutput = 2.0";
    Arc::new(Catalog::from_toml(text).expect("the facts of one model"))
}

fn layer(amount: &str, per: Per) -> BudgetLayer {
    let amount = amount.parse().expect("an amount");
    let rule = CapRule::new("cap", per, Cap::new(amount, Window::DAY)).alert_at(Percent::new(10));
    BudgetLayer::new([rule]).catalog(catalog())
}

fn reserved(handle: &BudgetHandle) -> u64 {
    handle.accounts().iter().map(|status| status.reserved().0).sum()
}

fn refused(text: &'static str) -> impl Fn() -> Result<BudgetLayer, String> {
    move || {
        let config: BudgetConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        BudgetLayer::try_from(config).map_err(|error| error.to_string())
    }
}

fn question(number: u64) -> LlmRequest {
    LlmRequest::chat("probe").user(format!("Question {number}: why?")).max_output_tokens(1_000).build()
}

fn targeted(number: u64) -> LlmRequest {
    let mut request = question(number);
    request.context_mut().set_target(Target::new("provider", "probe"));
    request
}

mod worst_case {
    use super::*;

    fn subject() -> Subject {
        // A thousand calls come to a cent or two.
        let layer = layer("0.02", Per::GLOBAL).streams(Streams::WorstCase);
        let handle = layer.handle();
        let (held, counted, listened) = (handle.clone(), handle.clone(), handle.clone());
        Subject::new("Budget", layer)
            .always_ready()
            .asking(targeted)
            .rejecting(|| super::layer("0", Per::GLOBAL))
            .holds("reserved money", move || reserved(&held))
            .counts(Answer::stream(Frames::new().hang()), move || reserved(&counted))
            .notices(move || listened.notices())
            .refuses("a negative amount", refused("caps = [{ name = 'a', amounts = { usd = -1, window = 'day' } }]"))
            .refuses("no amount", refused("caps = [{ name = 'a', amounts = [] }]"))
            .refuses(
                "an unknown scope",
                refused("caps = [{ name = 'a', per = 'x', amounts = { usd = 1, window = 'day' } }]"),
            )
            .refuses("no output", refused("assumed_output = 0"))
            .refuses("an unknown key", refused("cap = 1"))
            .shows("its handle", handle.clone())
            .shows("its ledger", MemoryLedger::default())
            .shows("the key of an account", AccountKey::new("cap"))
            .shows("its configuration", BudgetConfig::default())
    }

    llm_test::contract!(subject);
}

mod metered {
    use super::*;

    const MOST: NonZeroUsize = NonZeroUsize::new(50).expect("it is not zero");

    /// Without a target, so that calls are settled by the trail.
    fn subject() -> Subject {
        let layer = layer("0.02", Per::TENANT).most_accounts(MOST);
        let handle = layer.handle();
        let (held, counted, sized) = (handle.clone(), handle.clone(), handle.clone());
        let keyed = |number: u64| {
            let mut request = question(number);
            request.context_mut().set_caller(Caller::tenant(number.to_string()));
            request
        };
        Subject::new("Budget, metered", layer)
            .always_ready()
            .asking(question)
            .rejecting(|| super::layer("0", Per::TENANT).most_cost(NanoUsd(1)))
            .holds("reserved money", move || reserved(&held))
            .counts(Answer::stream(Frames::new().hang()), move || reserved(&counted))
            .keyed(MOST.get(), keyed, move || sized.accounts().len())
    }

    llm_test::contract!(subject);
}

#[path = "limit/contract.rs"]
mod limit;
