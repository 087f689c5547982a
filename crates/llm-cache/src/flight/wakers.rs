//! Who waits for what comes next.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use smallvec::SmallVec;

use super::lock::{Lock, Locks, Std};

type Waiting = SmallVec<[(u64, Waker); 2]>;

/// The wakers of a flight's readers, by their numbers. It is a waker itself, of all of them, which the call is polled with.
///
/// Wakers are cloned, woken and dropped outside the lock: that runs what belongs to somebody else.
pub(crate) struct Wakers<L: Locks = Std>(L::Of<Waiting>);

impl<L: Locks> Wakers<L> {
    pub(crate) fn new() -> Self {
        Self(Lock::new(Waiting::new()))
    }

    pub(crate) fn register(&self, reader: u64, waker: &Waker) {
        let mut waker = waker.clone();
        self.0.with(|waiting| match waiting.iter_mut().find(|(known, _)| *known == reader) {
            Some((_, known)) => std::mem::swap(known, &mut waker),
            None => waiting.push((reader, std::mem::replace(&mut waker, Waker::noop().clone()))),
        });
    }

    pub(crate) fn forget(&self, reader: u64) {
        let forgotten = self.0.with(|waiting| {
            let at = waiting.iter().position(|(known, _)| *known == reader)?;
            Some(waiting.swap_remove(at))
        });
        drop(forgotten);
    }

    /// Wakes all but this one, who is awake.
    pub(crate) fn wake_others(&self, reader: u64) {
        let others = self.0.with(|waiting| {
            let own = waiting.iter().position(|(known, _)| *known == reader).map(|at| waiting.swap_remove(at));
            let others = std::mem::take(waiting);
            waiting.extend(own);
            others
        });
        others.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl<L: Locks> Wake for Wakers<L> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let all = self.0.with(std::mem::take);
        all.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
