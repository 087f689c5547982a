//! Shared state whose handles can be cloned on many threads at once without getting in each other's way.

use std::{
    cell::Cell,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// More threads than a model gateway keeps busy; with more, some share a stripe, which only costs time.
const STRIPES: usize = 16;

/// A shared value like `Arc<T>`, whose reference counts are spread over the threads.
///
/// A service that is cloned for every call, and a call that keeps its layer's state alive, each count a reference. With
/// a single count, all threads write the same cache line for every call, and that costs more than everything else a
/// layer does while all goes well. Here a clone counts on the stripe of the thread that makes it.
///
/// It is for values that live long and are cloned often: each takes up a kilobyte, and a quarter of one for each thread
/// that clones it.
pub struct Striped<T>(Arc<Stripe<T>>);

// Counts of two stripes never share a cache line, nor the two lines that a processor fetches together.
#[repr(align(128))]
struct Stripe<T> {
    at: usize,
    shared: Arc<Shared<T>>,
    // Stripes that were made for clones of its handles. They live as long as it does, because a thread that clones the
    // handle of another for each call, and drops the clone with the call, would make its stripe anew each time. Who is
    // kept is always younger, so that no two keep each other.
    kept: Mutex<Vec<Arc<Stripe<T>>>>,
}

struct Shared<T> {
    value: T,
    // Weak, because a stripe holds the value and not the other way round.
    stripes: [Mutex<Weak<Stripe<T>>>; STRIPES],
}

impl<T> Striped<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        let shared = Arc::new(Shared { value, stripes: std::array::from_fn(|_| Mutex::default()) });
        let stripe = Stripe::new(own_stripe(), shared);
        *lock(&stripe.shared.stripes[stripe.at]) = Arc::downgrade(&stripe);
        Self(stripe)
    }
}

impl<T> Stripe<T> {
    fn new(at: usize, shared: Arc<Shared<T>>) -> Arc<Self> {
        Arc::new(Self { at, shared, kept: Mutex::default() })
    }

    /// The stripe at another place.
    fn other(&self, at: usize) -> Arc<Self> {
        let mut known = lock(&self.shared.stripes[at]);
        known.upgrade().unwrap_or_else(|| {
            let stripe = Self::new(at, Arc::clone(&self.shared));
            *known = Arc::downgrade(&stripe);
            lock(&self.kept).push(Arc::clone(&stripe));
            stripe
        })
    }
}

/// References are written whole or not at all, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Clone for Striped<T> {
    fn clone(&self) -> Self {
        let own = own_stripe();
        Self(if self.0.at == own { Arc::clone(&self.0) } else { self.0.other(own) })
    }
}

impl<T> Deref for Striped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.shared.value
    }
}

/// A copy of a value for every stripe of threads.
///
/// For values whose clones count references, such as a [`Target`](crate::Target) that every call takes along: clones of
/// this thread's copy count where other threads do not.
pub struct Copies<T>([T; STRIPES]);

impl<T> Copies<T> {
    /// The copies that `make` makes. They should share nothing.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self(std::array::from_fn(|_| make()))
    }

    /// The copy of this thread.
    pub fn own(&self) -> &T {
        &self.0[own_stripe()]
    }

    /// The copies of all threads, such as counts that are to be summed up.
    pub fn all(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Copies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[0].fmt(f)
    }
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shared.value.fmt(f)
    }
}

/// The stripe of this thread. Threads take turns.
fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    // Without a place of its own a thread that is ending counts on the first stripe.
    OWN.try_with(|own| match own.get() {
        Some(at) => at,
        None => {
            let at = NEXT.fetch_add(1, Relaxed) % STRIPES;
            own.set(Some(at));
            at
        }
    })
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    impl<T> Striped<T> {
        /// Whether both are handles of one value.
        fn is_same(&self, other: &Self) -> bool {
            Arc::ptr_eq(&self.0.shared, &other.0.shared)
        }
    }

    #[test]
    fn clones_on_all_threads_are_one_value_and_the_last_one_drops_it() {
        let value = Arc::new(AtomicUsize::new(0));
        let striped = Striped::new(Arc::clone(&value));
        thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                let given = striped.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        let own = given.clone();
                        assert!(own.is_same(&given));
                        own.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(value.load(Relaxed), 2 * STRIPES * 100);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(striped);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn the_stripe_of_a_thread_is_made_once_however_often_a_handle_of_another_is_cloned() {
        let striped = Striped::new(());
        let stripe = thread::scope(|scope| scope.spawn(|| Arc::downgrade(&striped.clone().0)).join().unwrap());
        assert_ne!(stripe.upgrade().unwrap().at, striped.0.at);
        drop(striped);
        assert!(stripe.upgrade().is_none(), "it goes with what it was made from");
    }

    #[test]
    fn threads_have_copies_of_their_own() {
        let copies = Copies::new(|| Arc::new(()));
        let (here, there) = thread::scope(|scope| {
            let there = scope.spawn(|| Arc::clone(copies.own())).join().unwrap();
            (Arc::clone(copies.own()), there)
        });
        assert!(Arc::ptr_eq(&here, copies.own()) && !Arc::ptr_eq(&here, &there));
        assert!([&here, &there].iter().all(|one| copies.all().iter().any(|copy| Arc::ptr_eq(copy, one))));
    }

    #[test]
    fn a_clone_counts_on_the_stripe_of_its_thread() {
        let striped = Striped::new(());
        let (here, there) = thread::scope(|scope| {
            let there = scope.spawn(|| striped.clone()).join().unwrap();
            (striped.clone(), there)
        });
        assert_eq!(here.0.at, striped.0.at);
        assert_ne!(there.0.at, striped.0.at);
        assert!(!there.is_same(&Striped::new(())));
    }
}
