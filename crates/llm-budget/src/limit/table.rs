//! A limit, and what is kept of every caller under it.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use llm_core::{Copies, Keyed};
use tokio::time::Instant;

use super::{
    LimitRule,
    entry::{Amount, Amounts, Entry, minute},
    key::Key,
};
use crate::scope::Scope;

/// Longer than any sensible names together. Callers with longer ones share an entry, so that none of them takes up
/// much.
const LONGEST_KEY: usize = 512;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) scope: Scope,
    pub(crate) amounts: Amounts,
    kept: Arc<Kept>,
}

/// What is kept of the callers of a limit, also when another layer takes the place of the one that it began with.
#[derive(Debug)]
struct Kept {
    entries: Keyed<Box<[u8]>, Arc<Entry>>,
    // The minute of the last notice that there is no room, counted from one.
    told: AtomicU32,
    counts: Copies<Counts>,
}

/// What has happened on some of the threads. Two of them never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(crate) begun: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) refused: [AtomicU64; 3],
    pub(crate) crowded: AtomicU64,
}

/// The entry of a caller.
pub(crate) struct Found {
    pub(crate) entry: Arc<Entry>,
    pub(crate) is_overflow: bool,
}

impl Table {
    /// A limit that goes on with what `previous`, of the same name, has kept, if that told callers apart by the same.
    pub(crate) fn new(rule: LimitRule, most_callers: NonZeroUsize, began: Instant, previous: Option<&Self>) -> Self {
        let amounts = Amounts::of(&rule, began);
        let kept = match previous.filter(|table| table.scope.per == rule.scope.per) {
            Some(Self { kept, .. }) => {
                kept.entries.set_bound(most_callers);
                let adopt = |entry: &Entry| amounts.adopt(&mut entry.lock(), began.elapsed());
                kept.entries.for_each(|_, entry| adopt(entry));
                adopt(kept.entries.overflow());
                Arc::clone(kept)
            }
            None => Arc::new(Kept {
                entries: Keyed::new(most_callers, Arc::default()),
                told: AtomicU32::new(0),
                counts: Copies::new(Counts::default),
            }),
        };
        Self { amounts, scope: rule.scope, kept }
    }

    /// The entry of a caller, made if there is none; the one that callers share if there is no room.
    pub(crate) fn entry(&self, key: &Key, now: Duration) -> Found {
        let shared = self.kept.entries.overflow();
        let entry = if key.len() > LONGEST_KEY {
            Arc::clone(shared)
        } else {
            self.kept.entries.get_or_insert(
                &key[..],
                || Box::from(&key[..]),
                Arc::default,
                |entry| entry.retire(&self.amounts, now),
                |entry| (!entry.is_retired()).then(|| Arc::clone(entry)),
            )
        };
        let is_overflow = Arc::ptr_eq(&entry, shared);
        Found { entry, is_overflow }
    }

    /// The entry of a caller, if there is one.
    pub(crate) fn look(&self, key: &Key) -> Option<Arc<Entry>> {
        self.kept.entries.get(&key[..], Arc::clone)
    }

    pub(crate) fn overflow(&self) -> &Entry {
        self.kept.entries.overflow()
    }

    pub(crate) fn for_each(&self, mut look: impl FnMut(&[u8], &Entry)) {
        self.kept.entries.for_each(|key, entry| look(key, entry));
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.entries.len()
    }

    /// Counts on this thread.
    pub(crate) fn counts(&self) -> &Counts {
        self.kept.counts.own()
    }

    /// What all threads have counted.
    pub(crate) fn sum(&self, count: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        self.kept.counts.all().iter().map(|counts| count(counts).load(Relaxed)).sum()
    }

    /// How many calls are under way. What ended is read first: a call that begins in between is not missing.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended = self.sum(|counts| &counts.ended);
        self.sum(|counts| &counts.begun).saturating_sub(ended)
    }

    pub(crate) fn refused(&self, amount: Amount) -> u64 {
        self.sum(|counts| counts.refused(amount))
    }

    /// True once a minute.
    pub(crate) fn is_crowd_to_be_told(&self, now: Duration) -> bool {
        let minute = minute(now);
        self.kept.told.load(Relaxed) != minute && self.kept.told.swap(minute, Relaxed) != minute
    }
}

impl Counts {
    pub(crate) fn refused(&self, amount: Amount) -> &AtomicU64 {
        let [requests, tokens, at_once] = &self.refused;
        match amount {
            Amount::Requests => requests,
            Amount::Tokens => tokens,
            Amount::AtOnce => at_once,
        }
    }
}
