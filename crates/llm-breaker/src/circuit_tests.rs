//! A circuit does what a naive one does, whatever happens in whatever order.
//!
//! The naive one keeps lists: of what was counted and when, of who holds a place until when. The real one starts a
//! minute before its times come round.

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{Consecutive, Cusum, OpenTime, Probes, Rate, Weight};

const BASE: Millis = 5_000;
const LONGEST: Millis = 60_000;
const LEASE: Millis = 20_000;
const ADVICE: Millis = 90_000;
const BEGIN: Millis = (1 << 35) - 60_000;

impl Now {
    pub(crate) fn at(millis: Millis) -> Self {
        Self { since: Instant::now(), read: Cell::new(Some(millis)) }
    }
}

pub(crate) fn rules(trip: impl Into<Trip>, probes: Probes) -> CircuitRules {
    let open_for = OpenTime::new(Duration::from_millis(BASE), Duration::from_millis(LONGEST)).unwrap();
    CircuitRules::interactive()
        .trip(trip)
        .open_for(open_for.jitter(0.0).unwrap())
        .probes(probes)
        .lease(Duration::from_millis(LEASE))
        .longest_advice(Duration::from_millis(ADVICE))
}

/// A circuit, naively.
struct Naive {
    rule: NaiveRule,
    probes: Probes,
    state: NaiveState,
    cool_until: Millis,
    // How many states there were: results count in the one that they were admitted in.
    states: u64,
}

#[derive(Clone, Copy, Debug)]
enum NaiveRule {
    Cusum,
    Consecutive(u32),
    Rate,
}

#[derive(Clone, Debug, PartialEq)]
enum NaiveState {
    Closed { counted: Vec<(Millis, Sample)> },
    Open { until: Millis, openings: u32 },
    HalfOpen { openings: u32, holders: Vec<usize>, successes: u8, lease: Millis },
    ForcedOpen,
    ForcedClosed,
}

impl NaiveRule {
    fn trip(self) -> Trip {
        match self {
            Self::Cusum => Cusum::default().into(),
            Self::Consecutive(failures) => Consecutive::after(NonZeroU32::new(failures).unwrap()).into(),
            Self::Rate => Rate::new(Duration::from_millis(16_000), NonZeroU32::new(4).unwrap(), 0.5).unwrap().into(),
        }
    }

    /// The score after all these, and whether the last of them opens.
    fn look_at(self, counted: &[(Millis, Sample)], now: Millis) -> (u32, bool) {
        let weight = |sample: &Sample| match sample {
            Sample::Success => 0,
            Sample::Failure(weight) => weight.units(),
        };
        match self {
            Self::Cusum => {
                let score = counted.iter().fold(0_u32, |score, (_, sample)| match sample {
                    Sample::Success => score.saturating_sub(710),
                    Sample::Failure(weight) => score + 1125 * weight.units() / 1024,
                });
                (score, score >= 8192)
            }
            Self::Consecutive(failures) => {
                let row = counted.iter().rev().take_while(|(_, sample)| *sample != Sample::Success);
                let score = row.map(|(_, sample)| weight(sample).min(1024)).sum();
                (score, score >= failures * 1024)
            }
            Self::Rate => {
                let recent = || counted.iter().filter(|(at, _)| at / 1_000 + 16 > now / 1_000);
                let failed: u32 = recent().map(|(_, sample)| weight(sample).min(1024)).sum();
                let calls = recent().count() as u32;
                let last_failed = counted.last().is_some_and(|(_, sample)| *sample != Sample::Success);
                (0, last_failed && calls >= 4 && failed * 2 >= calls * 1024)
            }
        }
    }
}

impl Naive {
    fn enter(&mut self, state: NaiveState) {
        self.states += 1;
        self.state = state;
    }

    fn open(&mut self, openings: u32, advice: Option<Millis>, now: Millis) {
        let time = (BASE << openings.min(20)).min(LONGEST).max(advice.unwrap_or(0).min(ADVICE));
        self.enter(NaiveState::Open { until: now + time, openings });
    }

    /// What a call is told: whether it may go on, holds a place, or why it is refused and for how long.
    fn admit(&mut self, call: usize, now: Millis, marked: bool) -> Result<bool, (Reason, Option<Millis>)> {
        let cooling = self.cool_until.saturating_sub(now);
        let refused = |reason, wait: Millis| Err((reason, Some(wait.max(cooling))));
        let (openings, successes) = match &mut self.state {
            NaiveState::ForcedClosed => return Ok(false),
            NaiveState::ForcedOpen => return Err((Reason::Forced, None)),
            NaiveState::Closed { .. } if cooling > 0 => return refused(Reason::Cooling, 0),
            NaiveState::Closed { .. } => return Ok(false),
            NaiveState::Open { until, .. } if *until > now && !marked => return refused(Reason::Open, *until - now),
            NaiveState::HalfOpen { holders, lease, .. }
                if holders.len() >= usize::from(self.probes.at_once()) && *lease > now =>
            {
                return refused(Reason::Probing, (*lease - now).min(BASE));
            }
            _ if cooling > 0 => return refused(Reason::Cooling, 0),
            NaiveState::HalfOpen { holders, lease, .. } if holders.len() < usize::from(self.probes.at_once()) => {
                holders.push(call);
                *lease = now + LEASE;
                return Ok(true);
            }
            NaiveState::Open { openings, .. } => (*openings, 0),
            NaiveState::HalfOpen { openings, successes, .. } => (*openings, *successes),
        };
        self.enter(NaiveState::HalfOpen { openings, holders: vec![call], successes, lease: now + LEASE });
        Ok(true)
    }

    fn end(&mut self, call: usize, admitted: u64, end: End, advice: Option<Millis>, now: Millis) {
        if admitted != self.states {
            return;
        }
        match &mut self.state {
            NaiveState::Open { .. } | NaiveState::ForcedOpen | NaiveState::ForcedClosed => {}
            NaiveState::Closed { counted } => match end {
                End::Ignored => {}
                End::Fatal => self.open(0, advice, now),
                End::Success | End::Failure(_) => {
                    let sample = if let End::Failure(weight) = end { Sample::Failure(weight) } else { Sample::Success };
                    counted.push((now, sample));
                    if self.rule.look_at(counted, now).1 {
                        self.open(0, advice, now);
                    }
                }
            },
            NaiveState::HalfOpen { openings, holders, successes, .. } => match end {
                End::Fatal | End::Failure(_) => {
                    let openings = *openings + 1;
                    self.open(openings, advice, now);
                }
                End::Ignored => holders.retain(|holder| *holder != call),
                End::Success => {
                    holders.retain(|holder| *holder != call);
                    *successes += 1;
                    if *successes >= self.probes.successes() {
                        self.enter(NaiveState::Closed { counted: Vec::new() });
                    }
                }
            },
        }
    }

    fn cool(&mut self, admitted: u64, advice: Millis, now: Millis) {
        let is_forced = matches!(self.state, NaiveState::ForcedOpen | NaiveState::ForcedClosed);
        if admitted == self.states && !is_forced {
            self.cool_until = self.cool_until.max(now + advice.min(ADVICE));
        }
    }

    fn renew(&mut self, admitted: u64, now: Millis) {
        if let NaiveState::HalfOpen { lease, .. } = &mut self.state
            && admitted == self.states
            && lease.saturating_sub(now) < LEASE / 2
        {
            *lease = now + LEASE;
        }
    }

    fn set(&mut self, state: NaiveState) {
        self.enter(state);
        self.cool_until = 0;
    }

    /// What both say of themselves: state, figures of the state, pause.
    fn shown(&self, now: Millis) -> (&'static str, [u64; 3], Millis) {
        let (name, figures) = match &self.state {
            NaiveState::Closed { counted } => ("closed", [u64::from(self.rule.look_at(counted, now).0), 0, 0]),
            NaiveState::Open { until, openings } => ("open", [u64::from(*openings), until.saturating_sub(now), 0]),
            NaiveState::HalfOpen { openings, holders, successes, .. } => {
                ("half-open", [u64::from(*openings), holders.len() as u64, u64::from(*successes)])
            }
            NaiveState::ForcedOpen => ("forced open", [0; 3]),
            NaiveState::ForcedClosed => ("forced closed", [0; 3]),
        };
        (name, figures, self.cool_until.saturating_sub(now))
    }
}

fn shown(circuit: &Circuit, now: Millis) -> (&'static str, [u64; 3], Millis) {
    let (name, figures) = match circuit.word().state {
        State::Closed { score, .. } => ("closed", [u64::from(score), 0, 0]),
        State::Open { openings, until } => ("open", [u64::from(openings), left(until, now), 0]),
        State::HalfOpen { openings, in_use, successes, .. } => {
            ("half-open", [u64::from(openings), u64::from(in_use), u64::from(successes)])
        }
        State::ForcedOpen => ("forced open", [0; 3]),
        State::ForcedClosed => ("forced closed", [0; 3]),
        State::Retired => ("retired", [0; 3]),
    };
    (name, figures, circuit.cool_until().saturating_sub(now))
}

#[derive(Clone, Debug)]
enum Step1 {
    Wait(Millis),
    Admit { marked: bool },
    // Of the calls under way, counted from the newest.
    End { call: usize, end: End, advice: Option<Millis> },
    Cool { call: usize, advice: Millis },
    Renew { call: usize },
    ForceOpen,
    ForceClosed,
    Reset,
}

fn ends() -> impl Strategy<Value = End> {
    let weights = [Weight::HALF, Weight::ONE, Weight::ONE_AND_A_HALF];
    prop_oneof![
        1 => Just(End::Ignored),
        3 => Just(End::Success),
        6 => prop::sample::select(weights.to_vec()).prop_map(End::Failure),
        1 => Just(End::Fatal),
    ]
}

fn advices() -> impl Strategy<Value = Millis> {
    prop::sample::select(vec![1, 700, 8_000, 40_000, 1_000_000])
}

fn steps() -> impl Strategy<Value = Vec<Step1>> {
    // Now and then the newest call, often an old one.
    let call = || prop_oneof![3 => Just(0_usize), 1 => 0_usize..8];
    let step = prop_oneof![
        6 => prop::sample::select(vec![1, 300, 1_000, 4_999, 5_000, 10_000, 20_000, 61_000]).prop_map(Step1::Wait),
        12 => prop::bool::weighted(0.1).prop_map(|marked| Step1::Admit { marked }),
        12 => (call(), ends(), prop::option::weighted(0.2, advices()))
            .prop_map(|(call, end, advice)| Step1::End { call, end, advice }),
        1 => (call(), advices()).prop_map(|(call, advice)| Step1::Cool { call, advice }),
        2 => call().prop_map(|call| Step1::Renew { call }),
        1 => prop::sample::select(vec![Step1::ForceOpen, Step1::ForceClosed, Step1::Reset, Step1::Reset]),
    ];
    prop::collection::vec(step, 1..120)
}

/// A call under way: its number, and the states that it was admitted in, of both.
type UnderWay = (usize, u64, Epoch);

fn take(under_way: &mut Vec<UnderWay>, newest: usize) -> Option<UnderWay> {
    let at = under_way.len().checked_sub(1 + newest)?;
    Some(under_way.remove(at))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn a_circuit_does_what_a_naive_one_does(
        steps in steps(),
        rule in prop_oneof![Just(NaiveRule::Cusum), (1_u32..4).prop_map(NaiveRule::Consecutive), Just(NaiveRule::Rate)],
        (at_once, successes) in (1_u8..4, 1_u8..4),
    ) {
        let probes = Probes::new(at_once, successes).unwrap();
        let rules = rules(rule.trip(), probes);
        let circuit: Circuit = Circuit::new(Epoch::new(16_380), &rules.trip);
        let closed = NaiveState::Closed { counted: Vec::new() };
        let mut naive = Naive { rule, probes, state: closed.clone(), cool_until: 0, states: 0 };
        let random = Random::seeded(1);
        let mut under_way = Vec::new();
        let mut now = BEGIN;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step1::Wait(time) => now += time,
                Step1::Admit { marked } => {
                    let refusal = circuit.refusal(now, &rules, marked);
                    let (admitted, _) = circuit.admit(now, &rules, marked).unwrap();
                    let expected = naive.admit(number, now, marked);
                    let (answer, epoch) = match admitted {
                        Admitted::Pass(epoch) => (Ok(false), Some(epoch)),
                        Admitted::Probe(epoch) => (Ok(true), Some(epoch)),
                        Admitted::Refused(Refusal { reason, wait }) => (Err((reason, wait)), None),
                    };
                    prop_assert_eq!(&answer, &expected);
                    prop_assert_eq!(refusal.map(|refusal| (refusal.reason, refusal.wait)), expected.err());
                    under_way.extend(epoch.map(|epoch| (number, naive.states, epoch)));
                }
                Step1::End { call, end, advice } => {
                    if let Some((number, state, epoch)) = take(&mut under_way, call) {
                        let advised = advice.map(Duration::from_millis);
                        circuit.end(epoch, end, advised, &Now::at(now), &rules, &random).unwrap();
                        naive.end(number, state, end, advice, now);
                    }
                }
                Step1::Cool { call, advice } => {
                    if let Some((number, state, epoch)) = take(&mut under_way, call) {
                        let until = now + rules.advised(Some(Duration::from_millis(advice)));
                        circuit.cool(epoch, until, now).unwrap();
                        circuit.end(epoch, End::Ignored, None, &Now::at(now), &rules, &random).unwrap();
                        naive.cool(state, advice, now);
                        naive.end(number, state, End::Ignored, None, now);
                    }
                }
                Step1::Renew { call } => {
                    if let Some((_, state, epoch)) = under_way.iter().rev().nth(call) {
                        circuit.renew(*epoch, now, LEASE);
                        naive.renew(*state, now);
                    }
                }
                Step1::ForceOpen => {
                    circuit.set(State::ForcedOpen).unwrap();
                    naive.set(NaiveState::ForcedOpen);
                }
                Step1::ForceClosed => {
                    circuit.set(State::ForcedClosed).unwrap();
                    naive.set(NaiveState::ForcedClosed);
                }
                Step1::Reset => {
                    circuit.set(State::default()).unwrap();
                    naive.set(closed.clone());
                }
            }
            prop_assert_eq!(shown(&circuit, now), naive.shown(now));
            let passes = naive.state == NaiveState::ForcedClosed
                || matches!(naive.state, NaiveState::Closed { .. }) && circuit.cool_until() == 0;
            prop_assert_eq!(circuit.lets_all_pass().is_some(), passes);
        }
    }

    #[test]
    fn a_word_is_what_was_put_into_it(
        epoch in 0_u64..1 << 14,
        (openings, in_use, successes) in (0_u8..16, 0_u8..16, 0_u8..16),
        time in 0_u64..1 << 35,
        (score, changed) in (any::<u32>(), 0_u16..1 << 15),
    ) {
        let states = [
            State::Closed { score, changed },
            State::Open { openings, until: time },
            State::HalfOpen { openings, in_use, successes, lease: time },
            State::ForcedOpen,
            State::ForcedClosed,
            State::Retired,
        ];
        for state in states {
            let word = Word::at(Epoch::new(epoch), state);
            prop_assert_eq!(Word::from(u64::from(word)), word);
        }
    }
}

#[test]
fn a_word_of_zeros_is_closed_and_has_seen_nothing() {
    assert_eq!(Word::from(0), Word::default());
    assert_eq!(u64::from(Word::default()), 0);
}

#[test]
fn years_of_uptime_do_no_harm() {
    let rules = rules(Cusum::default(), Probes::ONE);
    for years in 0..20 {
        let opened = years * 31_536_000_000 + 12_345;
        let circuit: Circuit = Circuit::new(Epoch::default(), &rules.trip);
        let now = Now::at(opened);
        circuit.end(Epoch::default(), End::Fatal, None, &now, &rules, &Random::seeded(1)).unwrap();
        let refused = |now| matches!(circuit.admit(now, &rules, false), Some((Admitted::Refused(_), _)));
        assert!(refused(opened) && refused(opened + BASE - 1));
        let day = 86_400_000;
        for later in [BASE, day, 100 * day, 390 * day] {
            assert!(circuit.refusal(opened + later, &rules, false).is_none(), "after {later} ms");
        }
    }
}

#[test]
fn a_pause_that_is_over_costs_no_call_a_look_at_the_clock_again() {
    let rules = CircuitRules::interactive();
    let circuit: Circuit = Circuit::new(Epoch::default(), &rules.trip);
    circuit.cool(Epoch::default(), 2_000, 1_000).unwrap();
    assert_eq!(circuit.lets_all_pass(), None);
    let admit = |now| circuit.admit(now, &rules, false).unwrap().0;
    assert!(matches!(admit(1_999), Admitted::Refused(_)));
    assert_eq!(circuit.lets_all_pass(), None);
    assert_eq!(admit(2_000), Admitted::Pass(Epoch::default()));
    assert_eq!(circuit.lets_all_pass(), Some(Epoch::default()));
}

#[test]
fn what_may_be_forgotten_is_closed_and_quiet_or_long_deserted() {
    let rules = rules(Cusum::default(), Probes::ONE);
    let hour = 3_600_000;
    let begin = 40 * 24 * hour;
    let circuit = || -> Circuit { Circuit::new(Epoch::default(), &rules.trip) };
    let end = |circuit: &Circuit, end| {
        circuit.end(circuit.word().epoch, end, None, &Now::at(begin), &rules, &Random::seeded(1)).unwrap();
    };
    let forgotten_after = |circuit: Circuit| {
        let waits = [0, 1, 2 * hour, 23 * hour, 25 * hour, 24 * 20 * hour];
        waits.into_iter().find(|wait| circuit.retire(begin + wait).is_some())
    };
    assert_eq!(forgotten_after(circuit()), Some(0));
    let failed = circuit();
    end(&failed, End::Failure(Weight::ONE));
    assert_eq!(forgotten_after(failed), Some(2 * hour));
    let made_good = circuit();
    end(&made_good, End::Failure(Weight::HALF));
    end(&made_good, End::Success);
    assert_eq!(forgotten_after(made_good), Some(0));
    let cooling = circuit();
    cooling.cool(Epoch::default(), begin + hour, begin).unwrap();
    assert_eq!(forgotten_after(cooling), Some(2 * hour));
    let open = circuit();
    end(&open, End::Fatal);
    assert_eq!(forgotten_after(open), Some(25 * hour));
    let half_open = circuit();
    end(&half_open, End::Fatal);
    half_open.admit(begin, &rules, true).unwrap();
    assert_eq!(forgotten_after(half_open), Some(25 * hour));
    for state in [State::ForcedOpen, State::ForcedClosed] {
        let forced = circuit();
        forced.set(state).unwrap();
        assert_eq!(forgotten_after(forced), None);
    }
}

#[test]
fn a_window_with_calls_in_it_is_not_forgotten() {
    let rules = rules(NaiveRule::Rate.trip(), Probes::ONE);
    let circuit: Circuit = Circuit::new(Epoch::default(), &rules.trip);
    circuit.end(Epoch::default(), End::Success, None, &Now::at(1_000), &rules, &Random::seeded(1)).unwrap();
    assert!(circuit.retire(16_000).is_none());
    assert!(circuit.retire(18_000).is_some());
}

#[test]
fn epochs_come_round() {
    let (last, first) = (Epoch::new((1 << 14) - 1), Epoch::default());
    assert_eq!(last.next(), first);
    assert!(first.is_after(last) && !last.is_after(first) && !first.is_after(first));
}
