//! Makes the calls of a case, and compares what comes of them with what the model says.

use std::time::Duration;

use futures_util::StreamExt;
use llm_core::{AttemptEnd, BoxLlmService, CacheStatus, Error, Event, LlmResponse, Stage, TokenFamily, Trail, Usage};
use llm_test::{Probe, ProbeLog};
use tokio::time::{Instant, timeout};
use tower::{Service, ServiceExt};

use crate::{
    edge::Edge,
    model::{Came, Expected, Model},
    order::Kind,
    script::{Act, Ask, Case},
    stack::{MODEL, Stack, price, target},
};

/// Longer than any case takes, on paused time.
const A_DAY: Duration = Duration::from_secs(86_400);

/// Runs a case.
///
/// # Panics
/// When something came of it that should not have.
pub fn run(case: &Case) {
    run_above(case, BoxLlmService::new);
}

/// Runs a case with something between the stack and the provider's edge.
///
/// # Panics
/// When something came of it that should not have.
pub fn run_above(case: &Case, between: impl Fn(Edge) -> BoxLlmService) {
    paused(calls(case, between));
}

/// Runs a future to its end, on a runtime of its own with paused time.
pub fn paused<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime for one thread can be built");
    runtime.block_on(future)
}

async fn calls(case: &Case, between: impl Fn(Edge) -> BoxLlmService) {
    let stack = Stack::new(case.order, &case.settings);
    let mut model = Model::new(case.order, case.settings);
    let (mut trails, mut unmade) = (Vec::new(), 0);
    for (number, ask) in case.asks.iter().enumerate() {
        let expected = model.ask(ask);
        let probe = Probe::new().script(ask.answers()).forgiving();
        let probe = if ask.ready { probe } else { probe.never_ready() };
        let log = probe.log();
        let edge = Edge::new(BoxLlmService::new(probe), price());
        let request = ask.request();
        trails.push(request.context().trail());
        if expected.came == Came::Left && expected.attempts.is_empty() && !case.order.shows_readiness_to(Kind::Budget) {
            // The budget cannot know that no provider was ready for a call that the layer below has taken on.
            let prompt = request.estimate_prompt(TokenFamily::of(MODEL)).likely;
            unmade += price().cost(&Usage::estimated(prompt, 0)).total().0;
        }
        let made = {
            let mut service = stack.over(between(edge));
            let call = async { service.ready().await?.call(request).await };
            make(call, ask).await
        };
        let checked = Checked { stack: &stack, model: &model, ask, expected: &expected, nth: number + 1 };
        checked.answer(&made);
        checked.attempts(&log, trails.last().expect("it was added above"));
        checked.at_rest(&log);
        checked.settled(&trails, unmade);
    }
}

/// What came of a call.
struct Made {
    took: Duration,
    /// Absent where the caller left.
    answered: Option<Result<Answered, Error>>,
}

struct Answered {
    is_hit: bool,
    text: String,
    error: Option<Error>,
    /// How the call ended, as was told above the stack.
    ends: Vec<AttemptEnd>,
}

async fn make(call: impl Future<Output = Result<LlmResponse, Error>>, ask: &Ask) -> Made {
    let begun = Instant::now();
    let head = timeout(ask.leaves.unwrap_or(A_DAY), call).await;
    let answered = match head {
        Err(_) => {
            assert!(ask.leaves.is_some(), "the call never came back");
            None
        }
        Ok(Err(error)) => Some(Err(error)),
        Ok(Ok(response)) => Some(Ok(read(response, ask).await)),
    };
    Made { took: begun.elapsed(), answered }
}

async fn read(response: LlmResponse, ask: &Ask) -> Answered {
    let is_hit = matches!(response.head.cache, CacheStatus::Hit { .. });
    let (told, ends) = std::sync::mpsc::channel();
    let mut body = response.body.on_end(move |outcome| _ = told.send(outcome.to_end()));
    let most = ask.reads.filter(|_| ask.streamed).unwrap_or(usize::MAX);
    let (mut text, mut error, mut pieces) = (String::new(), None, 0);
    while pieces < most {
        match timeout(A_DAY, body.next()).await.expect("the stream never went on") {
            None => break,
            Some(Err(failure)) => error = Some(failure),
            Some(Ok(frame)) => {
                assert!(error.is_none(), "a frame came after the stream had failed");
                pieces += usize::from(frame.is_content());
                text.extend(frame.events().iter().filter_map(|event| match &event.event {
                    Event::Text(text) => Some(text.as_str()),
                    _ => None,
                }));
            }
        }
    }
    drop(body);
    Answered { is_hit, text, error, ends: ends.try_iter().collect() }
}

/// What is checked after each call.
struct Checked<'a> {
    stack: &'a Stack,
    model: &'a Model,
    ask: &'a Ask,
    expected: &'a Expected,
    nth: usize,
}

impl Checked<'_> {
    /// The caller gets what it should, when it should, and hears of one end.
    fn answer(&self, made: &Made) {
        let nth = self.nth;
        match (&self.expected.came, &made.answered) {
            (Came::Left, None) => {}
            (Came::Failed(kind), Some(Err(error))) => {
                assert_eq!(error.kind(), *kind, "call {nth} failed with another kind");
                assert_eq!(error.stage(), Stage::BeforeContent, "call {nth} failed before content and says after");
                let trail = error.trail().expect("a failure tells its trail");
                assert_eq!(
                    trail.attempts().len(),
                    self.expected.attempts.len(),
                    "call {nth} failed with another trail"
                );
            }
            (Came::Answered { end, text, is_kept, .. }, Some(Ok(seen))) => {
                assert_eq!(seen.ends, [*end], "call {nth} did not end once, and so");
                assert_eq!(seen.text, *text, "call {nth} was answered with another text");
                assert_eq!(seen.is_hit, *is_kept, "whether call {nth} was answered by what was kept");
                let kind = seen.error.as_ref().map(Error::kind);
                match end {
                    AttemptEnd::Failed(expected) => assert_eq!(kind, Some(*expected), "call {nth} failed otherwise"),
                    AttemptEnd::Complete | AttemptEnd::Abandoned => assert_eq!(kind, None, "call {nth} failed"),
                }
                let stage = seen.error.as_ref().map_or(Stage::AfterContent, Error::stage);
                assert_eq!(stage, Stage::AfterContent, "call {nth} failed after content and says before");
            }
            (expected, Some(Ok(_))) => panic!("call {nth} was answered, instead of {expected:?}"),
            (expected, Some(Err(error))) => panic!("call {nth} failed with {error:?}, instead of {expected:?}"),
            (expected, None) => panic!("call {nth} did not come back in time, instead of {expected:?}"),
        }
        assert_eq!(made.took, self.expected.took, "call {nth} took another time");
    }

    /// The provider was called as often, for the targets and with the ends that the model says, and the trail tells it.
    fn attempts(&self, log: &ProbeLog, trail: &Trail) {
        let nth = self.nth;
        let wanted = &self.expected.attempts;
        assert_eq!(log.misuses(), 0, "call {nth} reached a provider that was not ready");
        let targets: Vec<_> = log.requests().iter().map(|request| request.context().target().cloned()).collect();
        let places: Vec<_> = wanted.iter().map(|attempt| attempt.place.map(|place| target(Some(place)))).collect();
        assert_eq!(targets, places, "call {nth} reached the provider otherwise");
        let ends: Vec<_> = wanted.iter().map(|attempt| attempt.end).collect();
        assert_eq!(log.ends(), ends, "the attempts of call {nth} ended otherwise");

        let told: Vec<_> = trail.attempts();
        let told: Vec<_> = told.iter().map(|it| (it.reason, it.waited, it.end)).collect();
        let meant: Vec<_> = wanted.iter().map(|it| (it.reason, it.waited, Some(it.end))).collect();
        assert_eq!(told, meant, "the trail of call {nth} tells otherwise");
        for (number, attempt) in trail.attempts().iter().enumerate() {
            if self.ask.play(number).act == Act::Answer && attempt.end == Some(AttemptEnd::Complete) {
                let words = self.ask.text(number).split_inclusive(' ').count() as u64;
                let usage = Usage::reported(10, if self.ask.streamed { words } else { 5 });
                assert_eq!(attempt.usage, Some(usage), "the usage of call {nth} is not what was reported");
            }
        }
    }

    /// Nothing is left of the call.
    fn at_rest(&self, log: &ProbeLog) {
        let nth = self.nth;
        assert_eq!(log.in_flight(), 0, "after call {nth} an attempt was still under way");
        assert_eq!(log.readied(), 0, "after call {nth} the provider was kept ready");
        assert_eq!(self.stack.reserved(), 0, "after call {nth} money was still reserved");
        assert_eq!(self.stack.in_flight(), 0, "after call {nth} the router still had a call in flight");
        assert_eq!(self.stack.under_way(), 0, "after call {nth} the cache still had a call under way");
    }

    /// Each layer has made of it what it should.
    fn settled(&self, trails: &[Trail], unmade: u64) {
        let (nth, stack, model) = (self.nth, self.stack, self.model);
        let attempts = trails.iter().flat_map(Trail::attempts);
        let paid: u64 = attempts.filter_map(|attempt| attempt.cost).map(|cost| cost.0).sum();
        assert_eq!(stack.spent(), paid + unmade, "after call {nth} what is spent is not what the attempts cost");
        for place in std::iter::once(None).chain((0..3).map(Some)) {
            let counted = model.circuits.get(&place).copied().unwrap_or_default();
            assert_eq!(
                stack.counted(&target(place)),
                counted,
                "after call {nth} the circuit of {place:?} was told otherwise"
            );
        }
        let entries = stack.cache.handle().size().entries;
        assert_eq!(entries, model.kept.len() as u64, "after call {nth} the cache kept another number of answers");
        assert_eq!(stack.retry.handle().retries(), model.retries, "after call {nth} the number of retries is another");
        let failovers = stack.router.handle().counts().failed_over;
        assert_eq!(failovers, model.failovers, "after call {nth} the number of failovers is another");
    }
}
