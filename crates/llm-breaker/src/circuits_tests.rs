//! Keys that come and go: what is forgotten, and what never counts again.

use std::thread;

use super::*;
use crate::{Cusum, Probes, Rate, Weight, circuit::tests::rules, state::Reason};

const FAILURE: End = End::Failure(Weight::ONE);
const DAY: Millis = 86_400_000;

struct World {
    circuits: Circuits,
    rules: PerTarget<CircuitRules>,
    random: Random,
}

impl World {
    fn new(bound: usize) -> Self {
        Self::by(rules(Cusum::default(), Probes::ONE), bound)
    }

    fn by(rules: CircuitRules, bound: usize) -> Self {
        let rules = PerTarget::new(rules);
        let circuits = Circuits::new(NonZeroUsize::new(bound).unwrap(), &rules);
        Self { circuits, rules, random: Random::seeded(1) }
    }

    fn ask<R>(&self, model: &str, now: Millis, ask: impl FnOnce(Asked<'_>) -> R) -> R {
        let names = TargetRef { provider: "", model, key: None };
        ask(Asked { names, rules: &self.rules, now: &Now::at(now), random: &self.random })
    }

    fn admit(&self, model: &str, now: Millis) -> Result<Pass, Refusal> {
        self.ask(model, now, |asked| self.circuits.admit(asked, false).0)
    }

    fn end(&self, model: &str, now: Millis, pass: Pass, call: End) {
        self.ask(model, now, |asked| _ = self.circuits.end(asked, pass, call, None));
    }

    fn call(&self, model: &str, now: Millis, call: End) {
        let pass = self.admit(model, now).unwrap();
        self.end(model, now, pass, call);
    }

    fn state(&self, model: &str) -> Option<State> {
        self.circuits.look(TargetRef { provider: "", model, key: None }).map(|(word, _)| word.state)
    }

    fn score(&self, model: &str) -> u32 {
        match self.state(model) {
            Some(State::Closed { score, .. }) => score,
            _ => 0,
        }
    }
}

#[test]
fn results_from_before_do_not_count_once_the_circuit_was_forgotten() {
    let world = World::new(1);
    let [late, later] = [world.admit("a", 0).unwrap(), world.admit("a", 0).unwrap()];
    world.call("a", 0, End::Fatal);
    let due = 5_000;
    let probe = world.admit("a", due).unwrap();
    let during = world.admit("a", due);
    assert!(probe.is_probe() && during.is_err());
    world.end("a", due, probe, End::Success);
    let closed_again = world.admit("a", due).unwrap();

    world.call("b", due, FAILURE);
    assert_eq!(world.state("a"), None, "another has its place");
    world.call("b", due, End::Success);
    world.call("b", due, End::Success);
    world.end("a", due, late, FAILURE);
    assert_eq!(world.score("a"), 0);
    world.end("a", due, closed_again, FAILURE);
    assert_ne!(world.score("a"), 0, "what was admitted by the closed circuit does count");
    world.end("a", due, later, End::Fatal);
    assert!(matches!(world.state("a"), Some(State::Closed { .. })));
}

#[test]
fn an_open_circuit_keeps_its_place_until_nobody_has_asked_for_a_day() {
    let world = World::new(1);
    world.call("a", 0, End::Fatal);
    for now in [0, 4_000, 6_000, DAY] {
        world.call("b", now, FAILURE);
        assert!(matches!(world.state("a"), Some(State::Open { .. })), "{now}");
        assert_eq!(world.state("b"), None);
    }
    // The call that finds this out was admitted before the circuit was forgotten, and so does not count.
    world.call("b", DAY + 5_000, FAILURE);
    assert_eq!((world.state("a"), world.score("b")), (None, 0));
    world.call("b", DAY + 5_000, FAILURE);
    assert_eq!(world.score("b"), 1125);
}

#[test]
fn keys_without_room_share_a_circuit_that_only_counted_failures_open() {
    let world = World::new(1);
    world.call("a", 0, End::Fatal);
    for model in ["b", "c", "d", "e"] {
        world.call(model, 0, End::Fatal);
        let pass = world.admit(model, 0).unwrap();
        world.ask(model, 0, |asked| world.circuits.cool(asked, pass, Duration::from_secs(60)));
    }
    assert_eq!(world.circuits.look_at_overflow().0, Word::default());
    for model in ["b", "c", "d", "e", "f", "g", "h"] {
        world.call(model, 0, FAILURE);
    }
    world.call("i", 0, End::Success);
    assert_eq!(world.circuits.look_at_overflow().0.state, State::Closed { score: 7 * 1125 - 710, changed: 0 });
    world.call("b", 0, FAILURE);
    assert_eq!(world.admit("d", 0).unwrap_err().reason, Reason::Open);
    assert_eq!(world.admit("a", 0).unwrap_err().reason, Reason::Open);
    let probe = world.admit("d", 5_000).unwrap();
    assert_eq!(world.admit("e", 5_000).unwrap_err().reason, Reason::Probing);
    world.end("d", 5_000, probe, End::Ignored);
    world.call("e", 5_000, End::Success);
    assert_eq!(world.circuits.look_at_overflow().0.state, State::default());
}

#[test]
fn there_is_no_room_to_force_a_circuit_that_would_be_shared() {
    let world = World::new(1);
    world.call("a", 0, End::Fatal);
    assert!(!world.ask("b", 0, |asked| world.circuits.force(asked, State::ForcedOpen)));
    assert!(world.ask("a", 0, |asked| world.circuits.force(asked, State::ForcedOpen)));
    assert!(world.admit("b", 0).is_ok());
}

#[test]
fn healthy_keys_have_no_circuit_unless_their_rule_counts_them() {
    let world = World::new(10);
    world.call("a", 0, End::Success);
    world.call("a", 0, End::Ignored);
    assert_eq!(world.circuits.len(), 0);
    let world = World::by(rules(Rate::default(), Probes::ONE), 10);
    world.call("a", 0, End::Ignored);
    assert_eq!(world.circuits.len(), 0);
    world.call("a", 0, End::Success);
    assert_eq!(world.circuits.len(), 1);
}

#[test]
fn threads_that_come_and_go_never_lose_an_open_circuit() {
    let world = World::new(64);
    world.call("open", 0, End::Fatal);
    thread::scope(|scope| {
        for thread in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..5_000 {
                    let model = ((thread * 7_919 + round * 31) % 500).to_string();
                    if let Ok(pass) = world.admit(&model, 1) {
                        let call = if round % 3 == 0 { FAILURE } else { End::Success };
                        world.end(&model, 1, pass, call);
                    }
                    assert!(world.admit("open", 1).is_err());
                }
            });
        }
    });
    assert!(world.circuits.len() <= 64);
}
