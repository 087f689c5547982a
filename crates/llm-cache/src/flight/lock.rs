//! What flights ask of a lock.

use std::sync::{Mutex, PoisonError};

/// A family of locks.
pub(crate) trait Locks: Sized + 'static {
    type Of<T: Send + 'static>: Lock<T>;
}

/// A lock that is only held while a closure runs, in which nothing of anybody else's does.
pub(crate) trait Lock<T>: Send + Sync {
    fn new(value: T) -> Self;

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// Those of the standard library.
pub(crate) enum Std {}

impl Locks for Std {
    type Of<T: Send + 'static> = Mutex<T>;
}

impl<T: Send> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // What is behind these locks is whole between any two steps.
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
