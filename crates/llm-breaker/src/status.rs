//! How a circuit is, for those who operate it.

use std::{fmt, time::Duration};

use llm_core::{HealthState, Target};

use crate::{
    names::circuit_name,
    state::{Millis, State, Word, left},
};

/// How a circuit is. Displays as `openai/gpt-4o: open, 3.2s left`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitStatus {
    /// What it covers: a target, or all models of a provider's key, and then the model is empty.
    pub target: Target,
    /// Its state.
    pub state: CircuitState,
    /// How long the pause still is that the provider asked for; zero without one.
    pub cooling: Duration,
    /// What the trip rule has made of its calls, in the rule's own units; zero unless it is closed.
    pub score: u32,
    /// How often it has opened without a success in between.
    pub openings: u8,
    /// Which of its states this is, counted round and round up to 16,384: results of calls that were admitted in
    /// another one do not count.
    pub epoch: u16,
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// It lets calls through.
    Closed,
    /// It rejects calls.
    Open {
        /// For how long. Zero when the next call will be let through as a probe.
        remaining: Duration,
    },
    /// It lets probes through.
    HalfOpen {
        /// How many are under way.
        probes: u8,
        /// How many have succeeded.
        successes: u8,
    },
    /// It was opened by hand, and rejects calls until that is undone.
    ForcedOpen,
    /// It was closed by hand, and lets calls through until that is undone.
    ForcedClosed,
}

impl CircuitState {
    /// All that [`state_name`](CircuitStatus::state_name) says.
    pub const NAMES: [&str; 6] = ["closed", "open", "half_open", "cooling", "forced_open", "forced_closed"];
}

impl CircuitStatus {
    pub(crate) fn new(target: Target, word: Word, cool_until: Millis, now: Millis) -> Self {
        let (state, score, openings) = match word.state {
            State::Closed { score, .. } => (CircuitState::Closed, score, 0),
            // It was forgotten a moment ago.
            State::Retired => (CircuitState::Closed, 0, 0),
            State::Open { openings, until } => {
                let remaining = Duration::from_millis(left(until, now));
                (CircuitState::Open { remaining }, 0, openings + 1)
            }
            State::HalfOpen { openings, in_use, successes, .. } => {
                (CircuitState::HalfOpen { probes: in_use, successes }, 0, openings + 1)
            }
            State::ForcedOpen => (CircuitState::ForcedOpen, 0, 0),
            State::ForcedClosed => (CircuitState::ForcedClosed, 0, 0),
        };
        let cooling = Duration::from_millis(cool_until.saturating_sub(now));
        Self { target, state, cooling, score, openings, epoch: word.epoch.number() }
    }

    /// For how long it still rejects calls, as far as that is known: zero for one that is tried with the next call, and
    /// for one that was opened by hand.
    pub fn remaining(&self) -> Duration {
        let open = if let CircuitState::Open { remaining } = self.state { remaining } else { Duration::ZERO };
        open.max(self.cooling)
    }

    /// The state in a word: `closed`, `open`, `half_open`, `forced_open`, `forced_closed`; or `cooling`, where a circuit
    /// that is not otherwise open rejects calls because its provider asked for a pause.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            CircuitState::Closed | CircuitState::HalfOpen { .. } if !self.cooling.is_zero() => "cooling",
            CircuitState::Closed => "closed",
            CircuitState::HalfOpen { .. } => "half_open",
            CircuitState::Open { .. } => "open",
            CircuitState::ForcedOpen => "forced_open",
            CircuitState::ForcedClosed => "forced_closed",
        }
    }

    pub(crate) fn health(&self) -> HealthState {
        let or_cooling = |otherwise| match self.cooling {
            Duration::ZERO => otherwise,
            remaining => HealthState::Cooling { remaining },
        };
        match self.state {
            CircuitState::Closed => or_cooling(HealthState::Healthy),
            CircuitState::HalfOpen { .. } => or_cooling(HealthState::Probing),
            CircuitState::Open { remaining: Duration::ZERO } => or_cooling(HealthState::Probing),
            CircuitState::Open { .. } => HealthState::Open { remaining: self.remaining() },
            CircuitState::ForcedOpen => HealthState::Open { remaining: Duration::MAX },
            CircuitState::ForcedClosed => HealthState::Healthy,
        }
    }
}

impl fmt::Display for CircuitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", circuit_name(self.target.names()), self.state_name())?;
        match self.remaining() {
            Duration::ZERO => Ok(()),
            remaining => write!(f, ", {:.1}s left", remaining.as_secs_f64()),
        }
    }
}
