//! What threads do to one circuit at the same time, in every order that a model checker finds.

use loom::sync::{Arc, atomic::AtomicU64};

use super::{tests::rules, *};
use crate::{Cusum, Probes, Weight};

impl Atomic for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn compare_exchange(&self, known: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn fetch_max(&self, value: u64) -> u64 {
        self.fetch_max(value, Ordering::AcqRel)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }
}

type Checked = Circuit<AtomicU64>;

const NOW: Millis = 1_000_000;

fn probes(at_once: u8, successes: u8) -> CircuitRules {
    rules(Cusum::default(), Probes::new(at_once, successes).expect("they are few"))
}

fn circuit(state: State) -> Arc<Checked> {
    let circuit = Checked::new(Epoch::default(), &probes(1, 1).trip);
    Atomic::store(&circuit.word, Word::at(Epoch::default(), state).into());
    Arc::new(circuit)
}

fn half_open(in_use: u8, lease: Millis) -> State {
    State::HalfOpen { openings: 0, in_use, successes: 0, lease }
}

fn end(circuit: &Checked, epoch: Epoch, call: End, rules: &CircuitRules) -> Option<Option<Change>> {
    circuit.end(epoch, call, None, &Now::at(NOW), rules, &Random::seeded(1))
}

/// Checks all orders in which no thread is interrupted more than twice between its own steps. Without a bound three
/// threads take minutes; faults that need more interruptions than that are hardly known.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

/// Does all of these at once, and says what came of each.
fn at_once<R: 'static>(tasks: Vec<Box<dyn FnOnce() -> R + Send>>) -> Vec<R> {
    let threads: Vec<_> = tasks.into_iter().map(loom::thread::spawn).collect();
    threads.into_iter().map(|thread| thread.join().expect("no task panics")).collect()
}

type Task<R> = Box<dyn FnOnce() -> R + Send>;

fn task<R>(circuit: &Arc<Checked>, run: impl FnOnce(&Checked) -> R + Send + 'static) -> Task<R> {
    let circuit = Arc::clone(circuit);
    Box::new(move || run(&circuit))
}

fn is_probe(admitted: &Option<(Admitted, Option<Change>)>) -> bool {
    matches!(admitted, Some((Admitted::Probe(_), _)))
}

#[test]
fn of_a_crowd_exactly_as_many_are_let_through_as_there_are_probes() {
    for most in [1, 2] {
        model(move || {
            let circuit = circuit(State::Open { openings: 0, until: NOW });
            let admit = || task(&circuit, move |circuit| circuit.admit(NOW, &probes(most, 1), false));
            let admitted = at_once(vec![admit(), admit(), admit()]);
            assert_eq!(admitted.iter().filter(|admitted| is_probe(admitted)).count(), usize::from(most));
            let begins = admitted.iter().filter(|admitted| matches!(admitted, Some((_, Some(Change::Probing)))));
            assert_eq!(begins.count(), 1, "one of them began it");
        });
    }
}

#[test]
fn failures_at_once_are_all_counted_and_open_once() {
    model(|| {
        let circuit = circuit(State::Closed { score: 6 * 1125, changed: 0 });
        let fail =
            || task(&circuit, |circuit| end(circuit, Epoch::default(), End::Failure(Weight::ONE), &probes(1, 1)));
        let success = task(&circuit, |circuit| end(circuit, Epoch::default(), End::Success, &probes(1, 1)));
        let ended = at_once(vec![fail(), fail(), success]);
        // With the success in time it takes another failure: 6.37 + 2 are just enough, and after it nothing counts.
        assert!(matches!(circuit.word(), Word { state: State::Open { openings: 0, .. }, .. }), "{:?}", circuit.word());
        assert_eq!(circuit.word().epoch, Epoch::default().next());
        let opened = ended.iter().filter(|change| matches!(change, Some(Some(Change::Opened { .. }))));
        assert_eq!(opened.count(), 1);
    });
}

#[test]
fn a_late_result_does_nothing_whenever_it_comes() {
    model(|| {
        let circuit = circuit(State::Open { openings: 0, until: NOW });
        let stale = Epoch::new(16_000);
        let late = |call| {
            task(&circuit, move |circuit| is_probe(&None) || end(circuit, stale, call, &probes(1, 1)) != Some(None))
        };
        let admit = task(&circuit, |circuit| is_probe(&circuit.admit(NOW, &probes(1, 1), false)));
        assert_eq!(at_once(vec![late(End::Success), late(End::Failure(Weight::ONE)), admit]), [false, false, true]);
        assert!(matches!(circuit.word().state, State::HalfOpen { in_use: 1, .. }));
    });
}

#[test]
fn probes_that_succeed_at_once_close_once() {
    model(|| {
        let circuit = circuit(half_open(2, NOW + 1));
        let succeed = || task(&circuit, |circuit| end(circuit, Epoch::default(), End::Success, &probes(2, 2)));
        let ended = at_once(vec![succeed(), succeed()]);
        assert_eq!(circuit.word(), Word::at(Epoch::default().next(), State::default()));
        assert_eq!(ended.iter().filter(|change| **change == Some(Some(Change::Closed))).count(), 1);
    });
}

#[test]
fn of_a_success_and_a_failure_at_half_open_one_decides() {
    model(|| {
        let circuit = circuit(half_open(2, NOW + 1));
        let call = |call| task(&circuit, move |circuit| end(circuit, Epoch::default(), call, &probes(2, 1)));
        let ended = at_once(vec![call(End::Success), call(End::Failure(Weight::ONE))]);
        assert_eq!(circuit.word().epoch, Epoch::default().next(), "the other came from an earlier state");
        assert_eq!(ended.iter().filter(|change| **change == Some(None)).count(), 1);
    });
}

#[test]
fn a_probe_ends_in_time_or_its_place_is_taken_and_never_both() {
    model(|| {
        let circuit = circuit(half_open(1, NOW));
        let ends =
            task(&circuit, |circuit| end(circuit, Epoch::default(), End::Success, &probes(1, 1)).flatten().is_some());
        let takes = task(&circuit, |circuit| is_probe(&circuit.admit(NOW, &probes(1, 1), false)));
        let [ended, taken] = at_once(vec![ends, takes])[..] else { unreachable!() };
        assert_ne!(ended, taken);
        let Word { epoch, state } = circuit.word();
        assert_eq!(epoch, Epoch::default().next());
        assert_eq!(state == State::default(), ended);
    });
}

#[test]
fn a_place_that_is_given_back_is_given_once_more() {
    model(|| {
        let circuit = circuit(half_open(1, NOW + 1));
        let ends = task(&circuit, |circuit| end(circuit, Epoch::default(), End::Ignored, &probes(1, 1)).is_none());
        let admit = || task(&circuit, |circuit| is_probe(&circuit.admit(NOW, &probes(1, 1), false)));
        let admitted = at_once(vec![ends, admit(), admit()]).into_iter().filter(|admitted| *admitted).count();
        let State::HalfOpen { in_use, .. } = circuit.word().state else { panic!("it left half-open") };
        assert!(admitted <= 1);
        assert_eq!(usize::from(in_use), admitted);
    });
}

#[test]
fn a_circuit_is_forgotten_or_counts_a_failure_and_never_both() {
    model(|| {
        let circuit = circuit(State::default());
        let fail = task(&circuit, |circuit| {
            end(circuit, Epoch::default(), End::Failure(Weight::ONE), &probes(1, 1)).is_some()
        });
        let retire = task(&circuit, |circuit| circuit.retire(NOW).is_some());
        let [counted, retired] = at_once(vec![fail, retire])[..] else { unreachable!() };
        assert_ne!(counted, retired);
    });
}

#[test]
fn a_circuit_is_forgotten_or_cools_and_never_both() {
    model(|| {
        let circuit = circuit(State::default());
        let cool = task(&circuit, |circuit| circuit.cool(Epoch::default(), NOW + 1_000, NOW).is_some());
        let retire = task(&circuit, |circuit| circuit.retire(NOW).is_some());
        let [cooled, retired] = at_once(vec![cool, retire])[..] else { unreachable!() };
        // If it was taken back, whoever cools it finds it again and does so once more.
        assert!(!(cooled && retired));
        assert!(cooled || retired || circuit.cool(Epoch::default(), NOW + 1_000, NOW).is_some());
        assert!(retired || circuit.cool_until() == NOW + 1_000);
    });
}

#[test]
fn no_pause_outlives_a_reset() {
    model(|| {
        let circuit = circuit(State::default());
        let cool = |wait| task(&circuit, move |circuit| circuit.cool(Epoch::default(), NOW + wait, NOW).is_some());
        let reset = task(&circuit, |circuit| circuit.set(State::default()).is_some());
        assert_eq!(at_once(vec![cool(1_000), reset]), [true, true]);
        assert_eq!(circuit.cool_until(), 0);
    });
}
