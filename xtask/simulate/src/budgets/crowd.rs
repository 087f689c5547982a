//! A crowd of callers that share a cap, each with one stream after the other.

use std::{cell::Cell, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all};
use llm_budget::{AccountKey, Balance, BudgetHandle, BudgetLayer, Cap, CapRule, Per, Window};
use llm_core::{Body, Caller, ErrorKind, LlmRequest, NanoUsd, Output, Random, Target, Usage, catalog::Catalog};
use llm_test::{Answer, Frames, Probe};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// Callers at the same time.
const CALLERS: u64 = 64;
/// The ceiling of every answer.
const CEILING: u64 = 3_000;
/// What answers usually are: half of them are longer than the first, one in ten is longer than the second.
const LENGTHS: (u64, u64) = (400, 860);
/// Tokens in a frame, and how often one comes.
const FRAME: u64 = 16;
const INTERVAL: Duration = Duration::from_millis(320);
/// How long who is refused waits before it tries again.
const PAUSE: Duration = Duration::from_secs(3);

const CAP: NanoUsd = NanoUsd(1_000_000_000);
const MODEL: &str = "[[models]]\nname = 'm'\ninput = 2.5\noutput = 25.0";

/// The cap of the crowd, and one that is never reached, for what was answered before.
pub(super) fn rules() -> [CapRule; 2] {
    let rule = |name, amount| CapRule::new(name, Per::TENANT, Cap::new(amount, Window::Lifetime)).tenants([name]);
    [rule("crowd", CAP), rule("before", NanoUsd::MAX)]
}

pub(super) fn soft_rules() -> [CapRule; 2] {
    rules().map(CapRule::soft)
}

/// Callers, and what they are held to.
pub(super) struct Crowd {
    layer: BudgetLayer,
    handle: BudgetHandle,
    random: Random,
    /// The median of lengths in tokens, and the deviation of their logarithm.
    lengths: (f64, f64),
    before: usize,
    counts_afterwards: bool,
    now: Now,
}

/// What is under way, and whether all is over.
#[derive(Default)]
struct Now {
    at_once: Cell<usize>,
    is_over: Cell<bool>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Played {
    /// The share of the cap that was spent.
    pub(super) used: f64,
    pub(super) whole: usize,
    pub(super) cut: usize,
    pub(super) refused_at_first: usize,
    /// The most streams at the same time.
    pub(super) at_once: usize,
    /// After how many seconds nobody got any more.
    pub(super) seconds: f64,
}

/// How a try ended.
enum Tried {
    Whole,
    Cut,
    Refused,
}

impl Crowd {
    pub(super) fn new(layer: BudgetLayer, seed: u64) -> Self {
        let layer = layer.catalog(Arc::new(Catalog::from_toml(MODEL).expect("the price of one model")));
        let crowd = Self {
            handle: layer.handle(),
            layer,
            random: Random::seeded(seed),
            lengths: (0.0, 0.0),
            before: 0,
            counts_afterwards: false,
            now: Now::default(),
        };
        crowd.of_length(LENGTHS.0, LENGTHS.1)
    }

    /// So many answers were given before, to others.
    pub(super) fn after(mut self, answers: usize) -> Self {
        self.before = answers;
        self
    }

    /// Answers of which half are longer than `median`, and one in ten is longer than `most`.
    pub(super) fn of_length(mut self, median: u64, most: u64) -> Self {
        // One in ten of a normal distribution is more than 1.2816 deviations above its mean.
        self.lengths = (median as f64, (most as f64 / median as f64).ln() / 1.2816);
        self
    }

    /// Whoever comes while the cap is not used up may go on, whatever it comes to.
    pub(super) fn counting_afterwards(mut self) -> Self {
        self.counts_afterwards = true;
        self
    }

    pub(super) async fn play(self) -> Played {
        for _ in 0..self.before {
            let mut text = Output::text("because");
            text.set_usage(Usage::reported(10, self.length()));
            let service = self.layer.layer(Probe::answering(Answer::whole(text)));
            service.oneshot(request("before", false)).await.expect("there is enough for these");
        }
        let callers = join_all((0..CALLERS).map(|_| self.caller())).await;
        let Balance { spent, reserved, .. } = self.balance();
        assert_eq!(reserved, NanoUsd::ZERO, "at rest nothing is reserved");
        let sum = |of: fn(&Played) -> usize| callers.iter().map(of).sum();
        Played {
            used: spent.0 as f64 / CAP.0 as f64,
            whole: sum(|caller| caller.whole),
            cut: sum(|caller| caller.cut),
            refused_at_first: sum(|caller| caller.refused_at_first),
            at_once: callers.iter().map(|caller| caller.at_once).max().unwrap_or_default(),
            seconds: callers.iter().map(|caller| caller.seconds).fold(0.0, f64::max),
        }
    }

    /// One stream after the other, until there is no more for any.
    async fn caller(&self) -> Played {
        let mut played = Played::default();
        let began = Instant::now();
        while !self.now.is_over.get() {
            let length = self.length();
            let mut is_first = true;
            while !self.now.is_over.get() {
                match self.try_one(length, &mut played.at_once).await {
                    Tried::Whole => played.whole += 1,
                    Tried::Cut => played.cut += 1,
                    Tried::Refused => {
                        played.refused_at_first += usize::from(is_first);
                        is_first = false;
                        // Nothing comes back any more.
                        self.now.is_over.set(self.now.at_once.get() == 0);
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
                played.seconds = began.elapsed().as_secs_f64();
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        played
    }

    async fn try_one(&self, length: u64, at_once: &mut usize) -> Tried {
        if self.counts_afterwards && self.balance().spent >= CAP {
            return Tried::Refused;
        }
        let text = "why ".repeat(FRAME as usize);
        let frames = (0..length / FRAME).fold(Frames::new().start(), |frames, _| frames.text(&text));
        let frames = frames.usage(Usage::reported(10, length)).finish().last().spaced(INTERVAL);
        let service = self.layer.layer(Probe::answering(Answer::stream(frames)));
        let Ok(response) = service.oneshot(request("crowd", true)).await else { return Tried::Refused };
        self.now.at_once.set(self.now.at_once.get() + 1);
        *at_once = self.now.at_once.get().max(*at_once);
        let tried = read(response.body).await;
        self.now.at_once.set(self.now.at_once.get() - 1);
        tried
    }

    fn balance(&self) -> Balance {
        let key = AccountKey { tenant: Some("crowd".into()), ..AccountKey::new("crowd") };
        let nothing = || self.handle.accounts_of(&Caller::tenant("crowd")).swap_remove(0);
        self.handle.account(&key).unwrap_or_else(nothing).balances[0]
    }

    fn length(&self) -> u64 {
        let (median, deviation) = self.lengths;
        // The sum of twelve is close to a normal distribution.
        let normal = (0..12).map(|_| self.random.unit()).sum::<f64>() - 6.0;
        ((median.ln() + deviation * normal).exp() as u64).clamp(FRAME, CEILING)
    }
}

fn request(tenant: &str, is_stream: bool) -> LlmRequest {
    let request = LlmRequest::chat("m").user("Why?").max_output_tokens(CEILING);
    let mut request = if is_stream { request.stream().build() } else { request.build() };
    request.context_mut().set_caller(Caller::tenant(tenant));
    request.context_mut().set_target(Target::new("openai", "m"));
    request
}

async fn read(mut body: Body) -> Tried {
    while let Some(frame) = body.next().await {
        match frame {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::BudgetExceeded => return Tried::Cut,
            Err(error) => panic!("nothing else fails here: {error}"),
        }
    }
    Tried::Whole
}
