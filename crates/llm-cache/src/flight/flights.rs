//! The calls under way, by their keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use super::{
    Flight,
    lock::{Lock, Locks, Std},
};
use crate::Key;

/// The calls under way that can be joined. They are held weakly: who reads them keeps them.
pub(crate) struct Flights<L: Locks = Std>(L::Of<HashMap<Key, Weak<Flight<L>>>>);

/// What became of who asked.
#[derive(Debug)]
pub(crate) enum Boarded<F, T> {
    /// The answer came in between.
    Found(T),
    /// The same call is under way.
    Joined(F),
    /// It is now.
    Started(F),
}

impl<L: Locks> Flights<L> {
    pub(crate) fn new() -> Self {
        Self(Lock::new(HashMap::new()))
    }

    /// Joins the flight of this key, or starts one. `find` looks whether a flight has stored its answer and left since
    /// somebody last looked.
    pub(crate) fn board<T>(
        &self,
        key: Key,
        find: impl FnOnce() -> Option<T>,
        start: impl FnOnce() -> Flight<L>,
    ) -> Boarded<Arc<Flight<L>>, T> {
        self.0.with(|flights| {
            // One that cannot be had any more has just been left by its last reader.
            if let Some(flight) = flights.get(&key).and_then(Weak::upgrade) {
                return Boarded::Joined(flight);
            }
            if let Some(found) = find() {
                return Boarded::Found(found);
            }
            let flight = Arc::new(start());
            flights.insert(key, Arc::downgrade(&flight));
            Boarded::Started(flight)
        })
    }

    /// Takes a flight out, unless another one has its place by now.
    pub(super) fn leave(&self, key: &Key, flight: &Flight<L>) {
        self.0.with(|flights| {
            if flights.get(key).is_some_and(|known| std::ptr::eq(known.as_ptr(), flight)) {
                flights.remove(key);
            }
        });
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.with(|flights| flights.len())
    }
}

impl<L: Locks> fmt::Debug for Flights<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flights({})", self.len())
    }
}
