//! Where answers are kept: the door for stores of one's own.

use std::{fmt, sync::Arc};

use crate::{Entry, Key};

/// Keeps answers by their keys, within bounds of its own.
///
/// When an answer expires is in the [`Entry`], and the cache sees to it: a store only finds, weighs and evicts. It may
/// forget anything at any time. None of this may block, or call the cache that it belongs to: `get` and `put` run where
/// calls do, and `get` also while that cache's table of calls under way is locked.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The answer of this key.
    fn get(&self, key: &Key) -> Option<Arc<Entry>>;

    /// Keeps an answer, in place of one of the same key. [`Entry::bytes`] is what it weighs.
    fn put(&self, key: Key, entry: Arc<Entry>);

    /// Forgets those that are meant, at once, and says how many they were. It may take time: operators call it.
    fn invalidate(&self, selection: &Selection) -> u64;

    /// How many entries there are, and how much memory they take up, as far as it is known here.
    fn size(&self) -> StoreSize;

    /// Whether what is kept here never leaves the house: answers to sensitive calls are kept nowhere else. Defaults to no.
    fn is_local(&self) -> bool {
        false
    }
}

/// Which answers are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// All of them.
    All,
    /// That of this key, see [`CacheHandle::keys`](crate::CacheHandle::keys).
    Key(Key),
    /// Those of this model, by the name that was asked for or that of the model which answered.
    Model(Box<str>),
    /// Those to this tenant's calls.
    Tenant(Box<str>),
    /// Those to calls that bore this [tag](llm_core::Context::tags).
    Tag(Box<str>),
}

/// How large a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// How many entries.
    pub entries: u64,
    /// The bytes that they take up.
    pub bytes: u64,
}
