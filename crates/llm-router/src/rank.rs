//! Which of several targets is called first.

mod affinity;
mod blend;
mod cheapest;
mod cost;
mod fastest;
mod least_loaded;
mod ordered;
mod power_of_two;
mod score;
mod strategy;
#[cfg(test)]
mod testing;
mod weighted;

use std::fmt;

use llm_core::{LlmRequest, Random};
use tokio::time::Instant;

pub(crate) use self::cost::Size;
pub use self::{blend::CostShare, strategy::Strategy};
use crate::Candidate;

/// Chooses among targets that would all do. The extension point for strategies of one's own; ours are [`Strategy`].
pub trait Rank: fmt::Debug + Send + Sync {
    /// The index of the one to call, of `choices`, which are never empty. After a failure it is asked again, with those
    /// that are left. Must not block.
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize;
}

/// What a target is chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The call.
    pub request: &'a LlmRequest,
    /// When.
    pub now: Instant,
    /// Where random numbers come from.
    pub random: &'a Random,
}

/// A target to choose, with its weight in this route.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The target and how it has been doing.
    pub candidate: &'a Candidate,
    /// Its share beside those of the others, 1 unless the route says otherwise; never negative, and zero means that it
    /// gets calls only when no other is left.
    pub weight: f64,
}
