//! Targets that answer a few calls at a time and let others wait, on a clock of their own.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use llm_core::{Error, ErrorKind, LlmRequest, Random, Target};
use llm_router::{Asked, Candidate, Choice, InFlight};
use tokio::time::Instant;

use super::rule::Chooses;

/// Calls that a target answers at a time. Others wait for their turn, the first first.
const PLACES: usize = 8;

/// The median time from a call's turn to its first content, and how much it varies.
const FIRST_CONTENT: LogNormal = LogNormal { median: 0.4, deviation: 0.5 };

/// Output tokens of an answer.
const TOKENS: LogNormal = LogNormal { median: 200.0, deviation: 1.0 };

/// Seconds an output token takes.
const PER_TOKEN: LogNormal = LogNormal { median: 0.02, deviation: 0.2 };

/// How long a target that fails takes to do so, in seconds.
const FAILURE: f64 = 0.05;

/// A distribution whose logarithm is normal.
struct LogNormal {
    median: f64,
    /// Of the logarithm.
    deviation: f64,
}

impl LogNormal {
    fn mean(&self) -> f64 {
        self.median * (self.deviation * self.deviation / 2.0).exp()
    }

    /// Drawn by the Box-Muller transform.
    fn draw(&self, random: &mut Rng) -> f64 {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let angle = std::f64::consts::TAU * random.f64();
        self.median * (self.deviation * radius * angle.cos()).exp()
    }
}

/// How a target is doing.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Condition {
    /// It takes so many times as long as the best, for everything.
    Answers { slowness: f64 },
    /// It fails every call at once.
    Fails,
}

/// What is simulated: so many targets, and which of them change when.
pub(super) struct Scene<'a> {
    /// As they are at first.
    pub(super) targets: &'a [Condition],
    /// From how many seconds on the first target is in which condition.
    pub(super) changes: &'a [(f64, Condition)],
    /// Calls that come, as a share of those that the targets can answer at first.
    pub(super) load: f64,
    pub(super) seconds: f64,
    pub(super) seed: u64,
}

/// A call that was made, in the order in which they were.
pub(super) struct Made {
    /// When, in seconds.
    pub(super) at: f64,
    pub(super) target: usize,
    /// How long the caller waited for the first content. Of calls that failed there is none.
    pub(super) first_content: Option<f64>,
    /// And for the whole answer.
    pub(super) whole: Option<f64>,
}

/// A call on its way.
struct Call {
    number: usize,
    came: u64,
    tokens: f64,
    first_content: f64,
    per_token: f64,
    flight: InFlight,
}

enum Event {
    Comes,
    FirstContent(usize, Box<Call>),
    Ends(usize, Box<Call>),
    Fails(usize, Box<Call>),
}

/// Calls a second that so many targets can answer when they are as `targets` says.
fn capacity(targets: &[Condition]) -> f64 {
    let seconds = FIRST_CONTENT.mean() + TOKENS.mean() * PER_TOKEN.mean();
    let speed = |target: &Condition| match target {
        Condition::Answers { slowness } => 1.0 / slowness,
        Condition::Fails => 0.0,
    };
    targets.iter().map(speed).sum::<f64>() * PLACES as f64 / seconds
}

struct Place {
    condition: Condition,
    busy: usize,
    waiting: VecDeque<Box<Call>>,
}

/// What happens when, in nanoseconds; of what happens at the same time, what was foreseen first.
struct Agenda {
    times: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Option<Event>>,
    now: u64,
}

impl Agenda {
    fn add(&mut self, seconds: f64, event: Event) {
        let at = self.now + (seconds * 1e9) as u64;
        self.times.push(Reverse((at, self.events.len())));
        self.events.push(Some(event));
    }

    fn next(&mut self) -> Option<Event> {
        let Reverse((at, number)) = self.times.pop()?;
        self.now = at;
        self.events[number].take()
    }
}

/// All calls of a scene, with targets chosen by `rule`.
pub(super) fn play(scene: &Scene<'_>, rule: &mut dyn Chooses) -> Vec<Made> {
    let names = (0..scene.targets.len()).map(|at| Target::new(format!("p{at}"), "m"));
    let candidates: Vec<Candidate> = names.map(Candidate::new).collect();
    let choices: Vec<Choice<'_>> = candidates.iter().map(|candidate| Choice { candidate, weight: 1.0 }).collect();
    let place = |condition: &Condition| Place { condition: *condition, busy: 0, waiting: VecDeque::new() };
    let mut places: Vec<Place> = scene.targets.iter().map(place).collect();
    // Time is paused, so this is when the candidates were made, to the nanosecond.
    let began = Instant::now();
    let request = LlmRequest::chat("m").stream().build();
    let failure = Error::new(ErrorKind::Overloaded, "it fails");
    let choice = Random::seeded(scene.seed);
    let mut random = Rng::with_seed(scene.seed);
    let mean_gap = 1.0 / (capacity(scene.targets) * scene.load);
    let mut changes = scene.changes.iter().peekable();
    let mut agenda = Agenda { times: BinaryHeap::new(), events: Vec::new(), now: 0 };
    let mut made: Vec<Made> = Vec::new();
    agenda.add(0.0, Event::Comes);
    while let Some(event) = agenda.next() {
        let at = agenda.now as f64 / 1e9;
        let now = began + Duration::from_nanos(agenda.now);
        if let Some((_, condition)) = changes.next_if(|(from, _)| *from <= at) {
            places[0].condition = *condition;
        }
        match event {
            Event::Comes => {
                let target = rule.pick(&Asked { request: &request, now, random: &choice }, &choices);
                made.push(Made { at, target, first_content: None, whole: None });
                let call = Box::new(Call {
                    number: made.len() - 1,
                    came: agenda.now,
                    // The same for every rule, since nothing else is drawn from here.
                    tokens: TOKENS.draw(&mut random).ceil(),
                    first_content: FIRST_CONTENT.draw(&mut random),
                    per_token: PER_TOKEN.draw(&mut random),
                    flight: candidates[target].begin(true, now),
                });
                if places[target].busy < PLACES {
                    begin(target, &mut places[target], call, &mut agenda);
                } else {
                    places[target].waiting.push_back(call);
                }
                let gap = -mean_gap * (1.0 - random.f64()).ln();
                if at + gap < scene.seconds {
                    agenda.add(gap, Event::Comes);
                }
            }
            Event::FirstContent(target, mut call) => {
                made[call.number].first_content = Some((agenda.now - call.came) as f64 / 1e9);
                call.flight.content_came(now);
                let rest = call.tokens * call.per_token * slowness(places[target].condition);
                agenda.add(rest, Event::Ends(target, call));
            }
            Event::Ends(target, call) => {
                made[call.number].whole = Some((agenda.now - call.came) as f64 / 1e9);
                rule.ended(target, Duration::from_nanos(agenda.now - call.came), now);
                call.flight.completed(call.tokens as u64, now);
                next(target, &mut places[target], &mut agenda);
            }
            Event::Fails(target, call) => {
                rule.ended(target, Duration::from_nanos(agenda.now - call.came), now);
                call.flight.failed(&failure, now);
                next(target, &mut places[target], &mut agenda);
            }
        }
    }
    made
}

fn slowness(condition: Condition) -> f64 {
    match condition {
        Condition::Answers { slowness } => slowness,
        Condition::Fails => 1.0,
    }
}

/// It is the call's turn.
fn begin(target: usize, place: &mut Place, call: Box<Call>, agenda: &mut Agenda) {
    place.busy += 1;
    match place.condition {
        Condition::Answers { slowness } => agenda.add(call.first_content * slowness, Event::FirstContent(target, call)),
        Condition::Fails => agenda.add(FAILURE, Event::Fails(target, call)),
    }
}

/// A call has left its place to the next one.
fn next(target: usize, place: &mut Place, agenda: &mut Agenda) {
    place.busy -= 1;
    if let Some(call) = place.waiting.pop_front() {
        begin(target, place, call, agenda);
    }
}
