//! Limits and the budget stand in their places, go by their tables, and a stack goes on where another was.

#![allow(clippy::unwrap_used)]

use llm_core::{Caller, Error, ErrorKind, Head, LlmRequest, NanoUsd, Served};
use llm_stack::{Stack, StackConfig};
use tower::ServiceExt;

/// Answers of ten tokens each, at a dollar for a thousand of them, or at half of that, or at nobody knows what.
const SIMULATED: &str = "[simulated]\nmodels = [\n\
    { name = \"dear\", input = 0.0, output = 1000.0, output_tokens = 10 },\n\
    { name = \"cheap\", input = 0.0, output = 500.0, output_tokens = 10 },\n\
    { name = \"unpriced\", output_tokens = 10 },\n\
    { name = \"fails\", input = 0.0, output = 1000.0, faults = [{ fault = \"status 503\" }] },\n\
    { name = \"third-time\", input = 0.0, output = 1000.0, faults = [{ every = 3, fault = \"delay 0s\" }, \
    { fault = \"status 500\" }] },\n]\n";

fn config(layers: &str) -> StackConfig {
    toml::from_str(&format!("{layers}\n{SIMULATED}")).unwrap()
}

fn stack(layers: &str) -> Stack {
    Stack::try_from(config(layers)).unwrap()
}

fn ask(model: &str) -> LlmRequest {
    let mut request = LlmRequest::chat(model).user("hi").max_output_tokens(100).build();
    request.context_mut().set_caller(Caller::tenant("acme"));
    request
}

async fn call(stack: &Stack, request: LlmRequest) -> Result<(Head, String), Error> {
    let response = stack.service().oneshot(request).await?;
    Ok((response.head, response.body.collect().await?.first_text()))
}

fn spent(stack: &Stack) -> NanoUsd {
    stack.handles().budget.as_ref().unwrap().accounts().iter().map(|account| account.balances[0].spent).sum()
}

fn cap(usd: &str) -> String {
    format!(
        "[[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\namounts = {{ usd = \"{usd}\", window = \"day\" }}"
    )
}

const TWO_CALLS: &str = "[[limit.rules]]\nname = \"per-tenant\"\nper = \"tenant\"\nrequests_per_minute = 2";

#[tokio::test(start_paused = true)]
async fn a_limit_counts_a_call_once_however_many_attempts_it_takes() {
    let limited = stack(TWO_CALLS);
    for _ in 0..2 {
        let request = ask("third-time");
        let trail = request.context().trail();
        call(&limited, request).await.unwrap();
        assert_eq!(trail.attempts().len(), 3);
    }
    let request = ask("third-time");
    let trail = request.context().trail();
    let error = call(&limited, request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.retry_after().is_some());
    assert_eq!(trail.attempts().iter().filter(|attempt| attempt.was_made()).count(), 0);
    assert!(stack("").handles().limit.is_none());
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_paid_for_and_one_that_a_circuit_refuses_costs_nothing() {
    let stack = stack(&cap("10"));
    call(&stack, ask("dear")).await.unwrap();
    assert_eq!(spent(&stack), NanoUsd(10_000_000));
    for _ in 0..8 {
        assert!(call(&stack, ask("fails")).await.is_err());
    }
    assert_eq!(call(&stack, ask("fails")).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
    assert_eq!(spent(&stack), NanoUsd(10_000_000), "a provider that answers 503 has done nothing");
    let account = &stack.handles().budget.as_ref().unwrap().accounts()[0];
    assert_eq!(account.reserved(), NanoUsd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_there_is_no_money_for_goes_to_a_cheaper_target_and_else_to_nobody() {
    // A hundred tokens of `dear` are ten cents, of `cheap` five.
    let route = "[router.routes.both]\ntargets = [\"dear\", \"cheap\"]\n";
    let stack = stack(&format!("{route}{}", cap("0.08")));
    let request = ask("both");
    let context = request.context().clone();
    let (head, _) = call(&stack, request).await.unwrap();
    assert_eq!(head.target.unwrap().model(), "cheap");
    assert_eq!(context.calls_left(), 2, "a refusal of our own takes nothing of what a call may do");
    let request = ask("dear");
    let trail = request.context().trail();
    let error = call(&stack, request).await.unwrap_err();
    assert_eq!((error.kind(), trail.attempts().len()), (ErrorKind::BudgetExceeded, 1), "it is not tried again");
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_refused_and_left_for_one_with_a_price() {
    let route = "[router.routes.both]\ntargets = [\"unpriced\", \"dear\"]\n";
    let with_budget = stack(&format!("{route}{}", cap("10")));
    assert_eq!(call(&with_budget, ask("both")).await.unwrap().0.target.unwrap().model(), "dear");
    let error = call(&with_budget, ask("unpriced")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(error.message().contains("`simulated/unpriced`") && error.message().contains("[[models]]"), "{error}");
    assert_eq!(call(&stack(route), ask("both")).await.unwrap().0.target.unwrap().model(), "unpriced");
    // As the sentence says:
    let priced = "[[models]]\nname = \"unpriced\"\ninput = 0.0\noutput = 2000.0\n";
    let priced = stack(&format!("{priced}{}", cap("10")));
    call(&priced, ask("unpriced")).await.unwrap();
    assert_eq!(spent(&priced), NanoUsd(20_000_000));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_at_a_limit_and_at_a_cap() {
    let fallback =
        "[[fallback.cases]]\nwhen = { kinds = [\"budget_exceeded\", \"limit_exceeded\"] }\nmessage = \"Later.\"\n";
    let limited = stack(&format!("{fallback}{TWO_CALLS}"));
    for _ in 0..2 {
        assert_eq!(call(&limited, ask("dear")).await.unwrap().0.served, Served::FirstChoice);
    }
    assert_eq!(call(&limited, ask("dear")).await.unwrap().0.served, Served::Degraded);
    let spent_up = stack(&format!("{fallback}{}", cap("0.01")));
    assert_eq!(call(&spent_up, ask("dear")).await.unwrap().1, "Later.");
    assert_eq!(spent(&spent_up), NanoUsd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_takes_the_place_of_another_forgets_nothing_that_was_spent_or_asked_for() {
    let before = stack(&format!("{TWO_CALLS}\n{}", cap("0.2")));
    call(&before, ask("dear")).await.unwrap();
    call(&before, ask("dear")).await.unwrap();
    let learned = |stack: &Stack| stack.handles().budget.as_ref().unwrap().models()[0].calls;
    let after = Stack::resuming(config(&format!("{TWO_CALLS}\n{}", cap("0.1"))), &before).unwrap();
    assert_eq!(spent(&after), NanoUsd(20_000_000));
    assert_eq!((learned(&before), learned(&after)), (2, 2));
    assert_eq!(call(&after, ask("dear")).await.unwrap_err().kind(), ErrorKind::LimitExceeded);
    let without_limit = Stack::resuming(config(&cap("0.1")), &after).unwrap();
    assert_eq!(call(&without_limit, ask("dear")).await.unwrap_err().kind(), ErrorKind::BudgetExceeded);
    assert!(Stack::resuming(config("[budget]"), &after).is_err());
    let twice = Stack::try_from(config(&format!("[budget]\ncovers = \"call\"\n{}", cap("1")))).unwrap_err();
    assert!(twice.to_string().starts_with("budget.covers: "), "{twice}");
}
