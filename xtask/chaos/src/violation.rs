//! What must never happen, whatever the world.

use std::fmt;

/// A sentence that holds in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// The settings of the world make a stack.
    Builds,
    /// A call has one outcome, the one that its caller saw, and so has an attempt.
    OneOutcome,
    /// A call makes no more calls to providers than its allowance says.
    Allowance,
    /// In every account at every instant `spent + reserved - debt <= cap`.
    Caps,
    /// At rest a ledger has booked what the attempts cost.
    Ledger,
    /// No more calls are under way than a limit says.
    Limits,
    /// No more probes are under way than a circuit says.
    Probes,
    /// A provider is called on an instance that was readied, once.
    Readiness,
    /// At rest nothing is held: permits, places, reservations, probes, flights, counts, tasks.
    Leaks,
    /// A caller reads the frames of one attempt from the first one on, in their order.
    Frames,
    /// Whoever waits is handed each frame when it comes.
    Delays,
    /// Nothing follows a failure, no failure looks like a whole answer, and none after content like one before it.
    AfterFailure,
    /// No text of prompts, answers or causes is in logs, errors or anything else that is shown.
    Secrets,
    /// No tenant reads what was said to another.
    Tenants,
    /// No sensitive call reaches a provider that is not local.
    Sensitive,
    /// Nobody is polled without end at one instant.
    Spin,
    /// Every call ends that no script holds up for ever.
    Ends,
    /// A panic is one that a script threw.
    Panics,
}

/// An invariant that did not hold, and how that showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.seen)
    }
}
