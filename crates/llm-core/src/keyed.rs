//! State kept by key, with a bound on how many keys there are.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

pub use papaya::Equivalent;
use papaya::HashMap;
use tokio::time::Instant;

/// After how long a search for idle entries is repeated, however few new keys have come: what was busy may be idle at
/// once, as when a day ends, and those who come then must not wait for a crowd behind them.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);

/// State for each of many keys, such as targets or callers.
///
/// Looking a key up takes no lock and writes nothing that threads share. At the bound, making room for a new key
/// forgets those that are idle, as their owner sees it; what is not idle is never forgotten. If there is no room even
/// so, new keys share one overflow entry until there is.
pub struct Keyed<K, V> {
    entries: HashMap<K, V, foldhash::fast::RandomState>,
    overflow: V,
    bound: AtomicUsize,
    // How many entries there are; `room` is locked by whoever changes it.
    len: AtomicUsize,
    room: Mutex<Room>,
}

/// How many more insertions do without another search for idle entries, after one that found hardly any, and when that
/// was.
#[derive(Debug, Default)]
struct Room {
    not_before: usize,
    searched: Option<Instant>,
}

impl<K, V> Keyed<K, V>
where
    K: Hash + Eq,
{
    /// At most `bound` entries; `overflow` is what keys share for which there is no room.
    pub fn new(bound: NonZeroUsize, overflow: V) -> Self {
        Self {
            entries: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            overflow,
            bound: AtomicUsize::new(bound.get()),
            len: AtomicUsize::new(0),
            room: Mutex::default(),
        }
    }

    /// At most so many entries from now on. Those that are there already stay until they are idle.
    pub fn set_bound(&self, bound: NonZeroUsize) {
        // A search that found hardly anything is worth repeating under another bound.
        self.room.lock().unwrap_or_else(PoisonError::into_inner).not_before = 0;
        self.bound.store(bound.get(), Relaxed);
    }

    /// Reads the entry of `key`, if there is one.
    pub fn get<Q, R>(&self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        // Most layers keep nothing while all goes well, and then there is nothing to look for.
        if self.is_empty() {
            return None;
        }
        self.entries.pin().get(key).map(read)
    }

    /// Uses the entry of `key`, making one if there is none.
    ///
    /// `retire` says whether an entry is idle, and if so makes sure that it is not used any more: where that matters,
    /// `apply` answers `None` on a retired entry, and is then called again with the one in its place.
    pub fn get_or_insert<Q, R>(
        &self,
        key: &Q,
        own: impl Fn() -> K,
        make: impl Fn() -> V,
        retire: impl Fn(&V) -> bool,
        mut apply: impl FnMut(&V) -> Option<R>,
    ) -> R
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        let entries = self.entries.pin();
        loop {
            if let Some(applied) = entries.get(key).and_then(&mut apply) {
                return applied;
            }
            // What is plain here is whole at any time, so a panic elsewhere does not spoil it.
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever retires an entry removes it before it lets go of the lock, so that it is not met again here.
            if entries.get(key).is_none() {
                if !self.make_room(&mut room, &retire) {
                    drop(room);
                    return apply(&self.overflow).expect("the overflow entry is never retired");
                }
                entries.insert(own(), make());
                self.len.fetch_add(1, Relaxed);
            }
        }
    }

    /// Looks at every entry, in no particular order; the overflow entry is none.
    pub fn for_each(&self, mut look: impl FnMut(&K, &V)) {
        self.entries.pin().iter().for_each(|(key, value)| look(key, value));
    }

    /// What keys share for which there is no room.
    pub fn overflow(&self) -> &V {
        &self.overflow
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn make_room(&self, room: &mut Room, retire: &impl Fn(&V) -> bool) -> bool {
        let bound = self.bound.load(Relaxed);
        if self.len() < bound {
            return true;
        }
        if room.not_before > 0 && room.searched.is_some_and(|at| at.elapsed() < SEARCH_AGAIN) {
            room.not_before -= 1;
            return false;
        }
        self.forget_idle(room, bound, retire);
        self.len() < bound
    }

    fn forget_idle(&self, room: &mut Room, bound: usize, retire: &impl Fn(&V) -> bool) {
        let before = self.len();
        self.entries.pin().retain(|_, value| {
            let is_idle = retire(value);
            if is_idle {
                self.len.fetch_sub(1, Relaxed);
            }
            !is_idle
        });
        // A search costs as much as there are entries. One that found little is not worth repeating for every new key.
        let is_worth_it = before - self.len() > bound / 8;
        (room.not_before, room.searched) = if is_worth_it { (0, None) } else { (bound / 8, Some(Instant::now())) };
    }
}

impl<K, V> fmt::Debug for Keyed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyed({} of {})", self.len.load(Relaxed), self.bound.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, thread};

    use super::*;

    const RETIRED: u64 = u64::MAX;

    fn keyed(bound: usize) -> Keyed<u64, AtomicU64> {
        Keyed::new(NonZeroUsize::new(bound).unwrap(), AtomicU64::new(0))
    }

    /// Idle are those at zero.
    fn retire(value: &AtomicU64) -> bool {
        value.compare_exchange(0, RETIRED, Relaxed, Relaxed).is_ok()
    }

    fn add(value: &AtomicU64) -> Option<u64> {
        value.fetch_update(Relaxed, Relaxed, |value| (value != RETIRED).then(|| value + 1)).ok()
    }

    fn count(keyed: &Keyed<u64, AtomicU64>, key: u64) -> u64 {
        keyed.get_or_insert(&key, || key, || AtomicU64::new(0), retire, add)
    }

    #[test]
    fn a_key_keeps_its_state() {
        let keyed = keyed(10);
        assert!(keyed.get(&1, |_| ()).is_none());
        assert_eq!((count(&keyed, 1), count(&keyed, 1), count(&keyed, 2)), (0, 1, 0));
        assert_eq!(keyed.get(&1, |value| value.load(Relaxed)), Some(2));
        assert_eq!(keyed.len(), 2);
    }

    #[test]
    fn at_the_bound_idle_keys_make_room_and_busy_ones_stay() {
        let keyed = keyed(8);
        (0..8).for_each(|key| _ = count(&keyed, key));
        (4..8).for_each(|key| _ = keyed.get(&key, |value| value.store(0, Relaxed)));
        assert_eq!(count(&keyed, 100), 0);
        assert_eq!(keyed.len(), 5);
        assert_eq!(keyed.get(&0, |value| value.load(Relaxed)), Some(1));
        assert!(keyed.get(&4, |_| ()).is_none());
    }

    #[test]
    fn without_room_new_keys_share_the_overflow_entry() {
        let keyed = keyed(4);
        (0..4).for_each(|key| _ = count(&keyed, key));
        assert_eq!((count(&keyed, 10), count(&keyed, 11)), (0, 1));
        assert_eq!(keyed.overflow().load(Relaxed), 2);
        assert_eq!(keyed.len(), 4);
        assert_eq!(count(&keyed, 2), 1, "known keys are as before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_after_a_search_in_vain_there_is_room_again_for_whoever_comes_first() {
        let keyed = keyed(16);
        (0..16).for_each(|key| _ = count(&keyed, key));
        count(&keyed, 100);
        keyed.for_each(|_, value| value.store(0, Relaxed));
        count(&keyed, 101);
        assert_eq!(keyed.overflow().load(Relaxed), 2, "a search for every new key would be too many");
        tokio::time::advance(SEARCH_AGAIN).await;
        count(&keyed, 102);
        assert_eq!((keyed.overflow().load(Relaxed), keyed.len()), (2, 1));
    }

    #[test]
    fn another_bound_holds_from_then_on() {
        let keyed = keyed(1);
        (0..3).for_each(|key| _ = count(&keyed, key));
        keyed.set_bound(NonZeroUsize::new(2).unwrap());
        (1..4).for_each(|key| _ = count(&keyed, key));
        assert_eq!(keyed.len(), 2);
        keyed.set_bound(NonZeroUsize::MIN);
        keyed.for_each(|_, value| value.store(1, Relaxed));
        count(&keyed, 9);
        assert_eq!(keyed.len(), 2, "none of them is idle");
        keyed.for_each(|_, value| value.store(0, Relaxed));
        keyed.set_bound(NonZeroUsize::MIN);
        count(&keyed, 9);
        assert_eq!(keyed.len(), 1);
    }

    #[test]
    fn nothing_is_lost_while_others_sweep() {
        let keyed = keyed(4);
        let total = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (keyed, total) = (&keyed, &total);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let key = (thread + round) % 8;
                        count(keyed, key);
                        // Half of the keys give theirs back and become idle.
                        let back = |value: &AtomicU64| {
                            value.fetch_update(Relaxed, Relaxed, |value| (value != RETIRED).then(|| value - 1)).ok()
                        };
                        if key % 2 == 0 {
                            total.fetch_add(1, Relaxed);
                        } else if keyed.get(&key, back).flatten().is_none() {
                            // It was counted in the overflow entry.
                            assert!(back(keyed.overflow()).is_some());
                        }
                    }
                });
            }
        });
        let mut kept = keyed.overflow().load(Relaxed);
        keyed.for_each(|_, value| kept += value.load(Relaxed));
        assert_eq!(kept, total.load(Relaxed));
        assert!(keyed.len() <= 4);
    }
}
