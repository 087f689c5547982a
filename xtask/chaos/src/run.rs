//! Runs a world on paused time, and says what did not hold in it.

mod ledger;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use llm_core::{AttemptEnd, Provenance};
use llm_test::CapturedLogs;
use tokio::{
    runtime::{Builder, Handle},
    task::JoinHandle,
    time::{advance, sleep, timeout},
};
use tower::ServiceExt;

use crate::{
    Around, Invariant, Violation,
    caller::play,
    provider::Watches,
    stack::{Handles, Stack},
    truth::{ANSWER, Attempt, CAUSE, Call, Facts, PROMPT, Seen, Truth, heard},
    world::{Act, Does, World},
};

/// Within this time every call ends.
const DAY: Duration = Duration::from_secs(86_400);

/// What became of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What did not hold, the first of each kind.
    pub violations: Vec<Violation>,
    /// Of all that happened, and when: two runs of a world have the same.
    pub digest: u64,
    /// How many calls to providers were made.
    pub attempts: usize,
    /// The most polls at one instant.
    pub most_polls: u32,
    /// How many calls ended how for their callers: the kinds of failures, and `whole`, `left`, `panic`.
    pub ends: BTreeMap<&'static str, u64>,
}

/// Runs a world.
pub fn run(world: &World) -> Outcome {
    run_around(world, Around::NOTHING)
}

/// Runs a world with something besides its layers in the stack.
pub fn run_around(world: &World, around: Around<'_>) -> Outcome {
    // Whatever takes its random numbers from its thread gets the same ones each time.
    fastrand::seed(world.seed.into());
    let logs = CapturedLogs::start();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing");
    let truth = Truth::of(world);
    runtime.block_on(play_all(world, &truth, around));
    drop(runtime);
    let text = logs.text();
    let mut facts = truth.facts();
    if let Some(line) = text.lines().find(|line| [PROMPT, ANSWER, CAUSE].iter().any(|secret| line.contains(secret))) {
        facts.violated(Invariant::Secrets, format!("a log line: {line}"));
    }
    let mut ends = std::mem::take(&mut facts.ends);
    for call in &facts.calls {
        let end = match call.seen {
            Seen::Whole => "whole",
            Seen::Left => "left",
            Seen::Panic => "panic",
            Seen::Failure => continue,
        };
        *ends.entry(end).or_default() += 1;
    }
    Outcome {
        ends,
        digest: facts.digest(),
        attempts: facts.attempts.len(),
        most_polls: facts.most_polls,
        violations: std::mem::take(&mut facts.violations),
    }
}

async fn play_all(world: &World, truth: &Truth, around: Around<'_>) {
    let handles = Arc::new(std::sync::OnceLock::<Handles>::new());
    let watches = Watches(Arc::new({
        let (handles, truth) = (Arc::clone(&handles), truth.clone());
        move || {
            if let Some(handles) = handles.get() {
                handles.check_always(&truth);
            }
        }
    }));
    let Stack { service, twin, handles: known } = match Stack::build(world, truth, &watches, around) {
        Ok(stack) => stack,
        Err(error) => return truth.violated(Invariant::Builds, error.to_string()),
    };
    // Nobody else sets it.
    let handles = handles.get_or_init(|| known);

    truth.facts().calls.resize_with(world.callers.len(), Call::default);
    let callers: Vec<JoinHandle<()>> = world
        .callers
        .iter()
        .enumerate()
        .map(|(at, caller)| {
            let service = if world.twins && at % 2 == 1 { &twin } else { &service };
            tokio::spawn(play(at, caller.clone(), service.clone(), truth.clone(), watches.clone()))
        })
        .collect();
    operate(world, &service, handles, truth).await;

    let mut hung = Vec::new();
    let all = async {
        for (at, mut caller) in callers.into_iter().enumerate() {
            if timeout(DAY, &mut caller).await.is_err() {
                caller.abort();
                hung.push(at);
            }
        }
    };
    all.await;
    if let Some(at) = hung.first()
        && !world.callers_may_hang()
    {
        truth.violated(Invariant::Ends, format!("call {at} is still under way after a day"));
    }
    let is_at_rest = rest(world, handles, truth).await;
    drop((service, twin));
    let mut facts = truth.facts();
    if is_at_rest && facts.providers.iter().any(|provider| provider.strong_count() > 0) {
        facts.violated(Invariant::Leaks, "a provider is still there when the stack is gone");
    }
    check_at_end(world, handles, &mut facts);
}

async fn operate(world: &World, service: &llm_core::BoxLlmService, handles: &Handles, truth: &Truth) {
    let begun = tokio::time::Instant::now();
    let mut acts: Vec<&Act> = world.acts.iter().collect();
    acts.sort_by_key(|act| act.at_ms);
    for Act { at_ms, does } in acts {
        tokio::time::sleep_until(begun + Duration::from_millis((*at_ms).into())).await;
        match does {
            Does::Jump(ms) => advance(Duration::from_millis((*ms).into())).await,
            Does::Ready(ms) => {
                let (mut clone, time) = (service.clone(), Duration::from_millis((*ms).into()));
                tokio::spawn(async move {
                    let _ = timeout(time, clone.ready()).await;
                    sleep(time).await;
                });
            }
            Does::Look => {
                let shown = handles.shown();
                if [PROMPT, ANSWER, CAUSE].iter().any(|secret| shown.contains(secret)) {
                    truth.violated(Invariant::Secrets, format!("a handle: {shown}"));
                }
            }
            other => handles.act(*other).await,
        }
        handles.check_always(truth);
    }
}

/// Waits until nothing runs any more, and looks what is held then. False if something never ends.
async fn rest(world: &World, handles: &Handles, truth: &Truth) -> bool {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    // What was cancelled is dropped when its task is polled next; what renews an answer takes its time.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut waited = Duration::ZERO;
    while tasks() > 0 && waited < 2 * DAY {
        let step = if waited < Duration::from_secs(60) { Duration::from_millis(100) } else { DAY / 100 };
        sleep(step).await;
        waited += step;
    }
    if tasks() > 0 {
        if !world.renewals_may_hang() {
            truth.violated(Invariant::Leaks, format!("{} tasks", tasks()));
        }
        return false;
    }
    let mut held = handles.held();
    let facts = truth.facts();
    for (at, (readied, in_flight)) in facts.readied.iter().zip(&facts.in_flight).enumerate() {
        if (*readied, *in_flight) != (0, 0) {
            held.push(format!("p{at} has {readied} instances ready and {in_flight} calls under way"));
        }
    }
    let kept = facts.prompts.iter().filter(|(_, prompt)| prompt.strong_count() > 0);
    held.extend(kept.map(|(at, _)| format!("the prompt of call {at}")));
    drop(facts);
    if let Some(first) = held.first() {
        truth.violated(Invariant::Leaks, first.clone());
    }
    handles.check_always(truth);
    true
}

fn check_at_end(world: &World, handles: &Handles, facts: &mut Facts) {
    let mut found = Vec::new();
    for (at, call) in facts.calls.iter().enumerate() {
        found.extend(check_outcome(call).map(|seen| (Invariant::OneOutcome, format!("call {at} {seen}"))));
        found.extend(check_text(call, &facts.attempts).map(|(kind, seen)| (kind, format!("call {at} {seen}"))));
    }
    for (at, attempt) in facts.attempts.iter().enumerate() {
        let expected = u32::from(attempt.is_watched);
        if attempt.outcomes != expected && !world.renewals_may_hang() {
            found.push((Invariant::OneOutcome, format!("attempt {at} has {} outcomes", attempt.outcomes)));
        }
    }
    found.extend(ledger::check(world, handles, facts).map(|seen| (Invariant::Ledger, seen)));
    found.into_iter().for_each(|(invariant, seen)| facts.violated(invariant, seen));
}

/// What is wrong with the outcome of a call, if something is.
fn check_outcome(call: &Call) -> Option<String> {
    let Call { outcomes, seen, was_called, .. } = call;
    let [outcome] = outcomes[..] else {
        let is_right = outcomes.is_empty() && !was_called;
        return (!is_right).then(|| format!("has the outcomes {outcomes:?}"));
    };
    let is_right = match (seen, outcome) {
        (Seen::Whole, AttemptEnd::Complete) => true,
        (Seen::Failure | Seen::Panic, AttemptEnd::Failed(_)) => true,
        (Seen::Left, AttemptEnd::Abandoned) => !call.read_last,
        // It had read all that there was, and left before it was told so.
        (Seen::Left, AttemptEnd::Complete) => true,
        (Seen::Whole | Seen::Failure | Seen::Panic | Seen::Left, _) => false,
    };
    (!is_right).then(|| format!("was {outcome:?}, and its caller saw {seen:?}"))
}

/// What is wrong with what a caller has read, if something is.
fn check_text(call: &Call, attempts: &[Attempt]) -> Option<(Invariant, String)> {
    if call.finishes > 1 {
        return Some((Invariant::AfterFailure, format!("has {} finish reasons", call.finishes)));
    }
    if call.is_degraded && !call.text.starts_with('[') {
        return None;
    }
    let Some(heard) = heard(&call.text) else {
        return Some((Invariant::Frames, format!("read what no provider says: {}", call.text)));
    };
    let first = heard.first()?.0;
    if let Some((_, _, tenant)) = heard.iter().find(|(_, _, tenant)| *tenant != call.tenant) {
        return Some((Invariant::Tenants, format!("of tenant {} read what was said to {tenant}", call.tenant)));
    }
    let is_in_order = (0..).zip(&heard).all(|(at, (attempt, frame, _))| (*attempt, *frame) == (first, at));
    if !is_in_order {
        return Some((Invariant::Frames, format!("read {}", call.text)));
    }
    let Some(attempt) = attempts.get(first) else {
        return Some((Invariant::Frames, format!("read attempt {first}, which nobody made")));
    };
    let is_short = heard.len() < attempt.frames as usize;
    if call.seen == Seen::Whole && is_short {
        let seen = format!("read {} of {} frames as a whole answer", heard.len(), attempt.frames);
        return Some((Invariant::AfterFailure, seen));
    }
    // What is estimated depends on ceilings that layers set below others.
    let is_reported = attempt.usage.is_some_and(|usage| usage.provenance == Provenance::Reported);
    if call.seen == Seen::Whole && is_reported && call.usage != attempt.usage {
        let seen = format!("used {:?}, and its attempt {:?}", call.usage, attempt.usage);
        return Some((Invariant::Ledger, seen));
    }
    if call.seen == Seen::Whole && !attempt.ends_well {
        return Some((Invariant::AfterFailure, "read a whole answer of an attempt that failed".to_owned()));
    }
    if call.seen == Seen::Failure && call.finishes > 0 && call.read_last {
        return Some((Invariant::AfterFailure, "failed after its terminator".to_owned()));
    }
    None
}
