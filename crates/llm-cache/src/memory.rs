//! The store in this process's memory.

use std::{fmt, num::NonZeroU64, sync::Arc};

use moka::sync::Cache;

use crate::{Entry, Key, Selection, Store, StoreSize};

/// Keeps answers in memory, up to a number of bytes. What was asked for often and lately stays (W-TinyLFU); of answers
/// that nobody asks for again new ones are let go first.
///
/// # Memory
/// Entries weigh what they take up, 512 bytes each besides what they say included, and together no more than the capacity,
/// except for the moment in which one comes in and others have not gone yet. A test holds the real figure within a tenth.
///
/// # Clone
/// Clones share their entries.
#[derive(Clone)]
pub struct MemoryStore {
    entries: Cache<Key, Arc<Entry>, foldhash::fast::RandomState>,
    is_local: bool,
}

impl MemoryStore {
    /// Keeps up to `capacity` bytes.
    pub fn new(capacity: NonZeroU64) -> Self {
        let entries = Cache::builder()
            .max_capacity(capacity.get())
            .weigher(|_: &Key, entry: &Arc<Entry>| u32::try_from(entry.bytes()).unwrap_or(u32::MAX))
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { entries, is_local: false }
    }

    /// Keeps answers to sensitive calls, too. By default it does not: they would stay in this process's memory for longer
    /// than their calls take.
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    fn put(&self, key: Key, entry: Arc<Entry>) {
        self.entries.insert(key, entry);
    }

    fn invalidate(&self, selection: &Selection) -> u64 {
        if let Selection::Key(key) = selection {
            return u64::from(self.entries.remove(key).is_some());
        }
        let meant = self.entries.iter().filter(|(_, entry)| entry.is_of(selection));
        meant.map(|(key, _)| u64::from(self.entries.remove(&*key).is_some())).sum()
    }

    fn size(&self) -> StoreSize {
        // What came in and what went is counted by and by.
        self.entries.run_pending_tasks();
        StoreSize { entries: self.entries.entry_count(), bytes: self.entries.weighted_size() }
    }

    fn is_local(&self) -> bool {
        self.is_local
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.entries.entry_count())
            .field("is_local", &self.is_local)
            .finish_non_exhaustive()
    }
}
