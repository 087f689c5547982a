//! All that is known of a circuit, in one word, and how it changes: pure, without clocks and atomics.
//!
//! ```text
//!            3     14       4          4        4           35 bits
//! closed     0   epoch   |  last change 15  |        score 32        |
//! open       1   epoch   openings      -        -       until
//! half-open  2   epoch   openings   in use  successes   end of the newest lease
//! forced open 3, forced closed 4, retired 5: nothing but the epoch
//! ```
//! A word of zeros is a circuit that is closed and has seen nothing.

use crate::{Probes, Sample, Step, Weight};

/// Milliseconds since the layer was made.
pub(crate) type Millis = u64;

const EPOCH_BITS: u32 = 14;
const TIME_BITS: u32 = 35;
const TIME: u64 = (1 << TIME_BITS) - 1;
const COUNT: u64 = 15;
const EPOCH_AT: u32 = 64 - 3 - EPOCH_BITS;
/// The most that a count of a word holds: openings in a row, probes in use, successes.
pub(crate) const MOST: u8 = COUNT as u8;

/// No wait is longer, about three days. Times are kept modulo 2^35 ms, a year; what seems further ahead has passed.
pub(crate) const LONGEST: Millis = 1 << 28;

/// After an hour without a change the failures of a closed circuit are forgotten, if another needs its place.
const IDLE: Millis = 3_600_000;
/// An open circuit that nobody has asked for in a day after its time no longer keeps its place.
const DESERTED: Millis = 86_400_000;
/// The last change of a closed circuit is kept in steps of 2^16 ms, about a minute, and modulo 25 days.
const CHANGED_SHIFT: u32 = 16;
const CHANGED: u64 = (1 << 15) - 1;

/// Which of the states of a circuit, one after the other, it is in. Each change of state begins another.
///
/// Results count in the epoch that their call was admitted in, and in no other. The number comes round after 16,384
/// changes, which no call lives to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch(u16);

impl Epoch {
    pub(crate) const fn new(number: u64) -> Self {
        Self((number & ((1 << EPOCH_BITS) - 1)) as u16)
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self::new(self.0 as u64 + 1)
    }

    /// Whether it comes after the other one, which is at most half a round away.
    pub(crate) const fn is_after(self, other: Self) -> bool {
        let ahead = Self::new((self.0 as u64).wrapping_sub(other.0 as u64)).0;
        ahead > 0 && ahead < 1 << (EPOCH_BITS - 1)
    }
}

/// A circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) epoch: Epoch,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed { score: u32, changed: u16 },
    Open { openings: u8, until: Millis },
    HalfOpen { openings: u8, in_use: u8, successes: u8, lease: Millis },
    ForcedOpen,
    ForcedClosed,
    Retired,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { score: 0, changed: 0 }
    }
}

impl State {
    /// How a circuit goes on that takes this one's place, where `here` turns its times into the other's. What counts
    /// towards opening stays behind: it was counted by other rules.
    pub(crate) fn resumed(self, here: impl Fn(Millis) -> Millis) -> Option<Self> {
        match self {
            Self::Closed { .. } => Some(Self::default()),
            Self::Open { openings, until } => Some(Self::Open { openings, until: here(until) }),
            // Whoever probes it reports to the old one.
            Self::HalfOpen { openings, .. } => Some(Self::Open { openings, until: here(0) }),
            Self::ForcedOpen | Self::ForcedClosed => Some(self),
            Self::Retired => None,
        }
    }
}

/// What a circuit answers to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may go on, and nothing changes.
    Pass,
    /// It may go on as a probe, in this state.
    Probe(Word),
    /// It may not.
    Refused(Refusal),
}

/// Why a call may not go on, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) wait: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Open,
    Probing,
    Cooling,
    Forced,
}

/// How a call ended, as far as a circuit cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It says nothing about the provider.
    Ignored,
    Success,
    Failure(Weight),
    /// Until somebody acts every other call would fail in the same way.
    Fatal,
}

impl Word {
    pub(crate) const fn at(epoch: Epoch, state: State) -> Self {
        Self { epoch, state }
    }

    /// The next state after this one.
    pub(crate) const fn then(self, state: State) -> Self {
        Self::at(self.epoch.next(), state)
    }

    /// Asks for a place for a call. One that is `marked` goes before an open circuit's time, for a probe.
    pub(crate) fn admit(self, now: Millis, probes: Probes, lease: Millis, marked: bool) -> Admission {
        let first = |openings, successes| {
            Admission::Probe(self.then(State::HalfOpen { openings, in_use: 1, successes, lease: end(now, lease) }))
        };
        match self.state {
            State::Closed { .. } | State::ForcedClosed | State::Retired => Admission::Pass,
            State::ForcedOpen => Admission::Refused(Refusal { reason: Reason::Forced, wait: None }),
            State::Open { openings, until } => match left(until, now) {
                wait if wait > 0 && !marked => Admission::Refused(Refusal { reason: Reason::Open, wait: Some(wait) }),
                _ => first(openings, 0),
            },
            State::HalfOpen { openings, in_use, successes, lease: known } => {
                let wait = left(known, now);
                if in_use < probes.at_once() {
                    let lease = end(now, lease);
                    Admission::Probe(Self {
                        state: State::HalfOpen { openings, in_use: in_use + 1, successes, lease },
                        ..self
                    })
                } else if wait == 0 {
                    // Whoever has a place has overstayed its lease: in a new epoch its result no longer counts.
                    first(openings, successes)
                } else {
                    Admission::Refused(Refusal { reason: Reason::Probing, wait: Some(wait) })
                }
            }
        }
    }

    /// What becomes of the circuit after a call that was admitted in `epoch`; `None` when nothing does.
    ///
    /// `judge` is the trip rule, and `open_until` says how long the circuit is to stay open, after that many openings
    /// in a row before this one.
    pub(crate) fn after(
        self,
        epoch: Epoch,
        call: End,
        probes: Probes,
        judge: impl FnOnce(u32, Sample) -> Step,
        open_until: impl FnOnce(u8) -> Millis,
    ) -> Option<Self> {
        if epoch != self.epoch {
            return None;
        }
        let open = |openings: u8| {
            let until = open_until(openings) & TIME;
            Some(self.then(State::Open { openings, until }))
        };
        match (self.state, call) {
            (State::Closed { .. }, End::Ignored) => None,
            (State::Closed { .. }, End::Fatal) => open(0),
            (State::Closed { score, changed }, End::Success | End::Failure(_)) => {
                let sample = if let End::Failure(weight) = call { Sample::Failure(weight) } else { Sample::Success };
                match judge(score, sample) {
                    Step::Keep(same) if same == score => None,
                    Step::Keep(score) => Some(Self { state: State::Closed { score, changed }, ..self }),
                    Step::Trip => open(0),
                }
            }
            (State::HalfOpen { openings, .. }, End::Failure(_) | End::Fatal) => open((openings + 1).min(MOST)),
            (State::HalfOpen { openings, in_use, successes, lease }, End::Ignored | End::Success) => {
                let successes = successes + u8::from(call == End::Success);
                if successes >= probes.successes() {
                    return Some(self.then(State::default()));
                }
                let in_use = in_use.saturating_sub(1);
                Some(Self { state: State::HalfOpen { openings, in_use, successes, lease }, ..self })
            }
            // Nobody is admitted by a circuit that is open, and what is forced or gone heeds no result.
            (State::Open { .. } | State::ForcedOpen | State::ForcedClosed | State::Retired, _) => None,
        }
    }

    /// The same, with a note of when it changed, if it will matter how long that is ago.
    pub(crate) fn changed(self, now: impl FnOnce() -> Millis) -> Self {
        match self.state {
            State::Closed { score, .. } if score > 0 => {
                let changed = ((now() >> CHANGED_SHIFT) & CHANGED) as u16;
                Self { state: State::Closed { score, changed }, ..self }
            }
            State::Closed { .. }
            | State::Open { .. }
            | State::HalfOpen { .. }
            | State::ForcedOpen
            | State::ForcedClosed
            | State::Retired => self,
        }
    }

    /// Extends the lease of a probe of `epoch` that is getting on, once less than half of it is left.
    pub(crate) fn renew(self, epoch: Epoch, now: Millis, lease: Millis) -> Option<Self> {
        match self.state {
            State::HalfOpen { openings, in_use, successes, lease: known }
                if self.epoch == epoch && left(known, now) < lease / 2 =>
            {
                Some(Self { state: State::HalfOpen { openings, in_use, successes, lease: end(now, lease) }, ..self })
            }
            _ => None,
        }
    }

    /// Whether there is nothing in it that must be kept.
    pub(crate) fn is_idle(self, now: Millis) -> bool {
        let deserted = |until| left(until, now) == 0 && now.wrapping_sub(until) & TIME >= DESERTED;
        match self.state {
            State::Closed { score: 0, .. } => true,
            State::Closed { changed, .. } => {
                let steps = (now >> CHANGED_SHIFT).wrapping_sub(u64::from(changed)) & CHANGED;
                steps > IDLE >> CHANGED_SHIFT
            }
            State::Open { until, .. } => deserted(until),
            State::HalfOpen { lease, .. } => deserted(lease),
            State::ForcedOpen | State::ForcedClosed | State::Retired => false,
        }
    }
}

/// How long it is until then; zero once it has passed.
pub(crate) fn left(until: Millis, now: Millis) -> Millis {
    match until.wrapping_sub(now) & TIME {
        ahead if ahead > LONGEST => 0,
        ahead => ahead,
    }
}

fn end(now: Millis, time: Millis) -> Millis {
    now.wrapping_add(time) & TIME
}

impl From<Word> for u64 {
    fn from(Word { epoch, state }: Word) -> Self {
        let counts = |openings: u8, in_use: u8, successes: u8| {
            (u64::from(openings) << 8 | u64::from(in_use) << 4 | u64::from(successes)) << TIME_BITS
        };
        let (tag, rest) = match state {
            State::Closed { score, changed } => (0, u64::from(changed) << 32 | u64::from(score)),
            State::Open { openings, until } => (1, counts(openings, 0, 0) | until),
            State::HalfOpen { openings, in_use, successes, lease } => (2, counts(openings, in_use, successes) | lease),
            State::ForcedOpen => (3, 0),
            State::ForcedClosed => (4, 0),
            State::Retired => (5, 0),
        };
        tag << 61 | u64::from(epoch.0) << EPOCH_AT | rest
    }
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        let count = |at: u32| (word >> (TIME_BITS + at) & COUNT) as u8;
        let state = match word >> 61 {
            0 => State::Closed { score: word as u32, changed: (word >> 32 & CHANGED) as u16 },
            1 => State::Open { openings: count(8), until: word & TIME },
            2 => State::HalfOpen { openings: count(8), in_use: count(4), successes: count(0), lease: word & TIME },
            3 => State::ForcedOpen,
            4 => State::ForcedClosed,
            _ => State::Retired,
        };
        Self { epoch: Epoch::new(word >> EPOCH_AT), state }
    }
}
