//! What has happened so far.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use llm_core::{Copies, NanoUsd};

use crate::Refused;

/// What a cache layer has done since it was made, in all its services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Calls that were answered by what was kept, failures included.
    pub hits: u64,
    /// Calls that were made because nothing good was kept, renewals included.
    pub misses: u64,
    /// Calls that joined the same call of somebody else's.
    pub joined: u64,
    /// Calls that were answered by what had expired.
    pub stale: u64,
    /// Answers that were kept; each input of a request for embeddings counts.
    pub stored: u64,
    /// What the calls would have cost that were not made, where prices are known.
    pub saved: NanoUsd,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happened {
    Hit,
    Miss,
    Joined,
    Stale,
    Stored,
}

/// Counts of each thread's own: a hit should not write what other threads write.
#[derive(Debug)]
pub(crate) struct Counts(Copies<Tally>);

#[derive(Debug)]
struct Tally {
    happened: [AtomicU64; 5],
    refused: [AtomicU64; Refused::ALL.len()],
    saved: AtomicU64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let zeros = || AtomicU64::new(0);
        Self(Copies::new(|| Tally {
            happened: array::from_fn(|_| zeros()),
            refused: array::from_fn(|_| zeros()),
            saved: zeros(),
        }))
    }

    pub(crate) fn note(&self, happened: Happened) {
        self.0.own().happened[happened as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn refuse(&self, reason: Refused) {
        self.0.own().refused[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn save(&self, cost: NanoUsd) {
        self.0.own().saved.fetch_add(cost.0, Relaxed);
    }

    pub(crate) fn refused(&self, reason: Refused) -> u64 {
        self.sum(|tally| &tally.refused[reason as usize])
    }

    pub(crate) fn all(&self) -> CacheCounts {
        let count = |happened: Happened| self.sum(|tally| &tally.happened[happened as usize]);
        CacheCounts {
            hits: count(Happened::Hit),
            misses: count(Happened::Miss),
            joined: count(Happened::Joined),
            stale: count(Happened::Stale),
            stored: count(Happened::Stored),
            saved: NanoUsd(self.sum(|tally| &tally.saved)),
        }
    }

    fn sum(&self, figure: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        self.0.all().iter().map(|tally| figure(tally).load(Relaxed)).fold(0, u64::saturating_add)
    }
}
