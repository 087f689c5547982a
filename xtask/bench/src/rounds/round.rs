//! Many batches of one case, on one thread or on two at once.

use std::{
    hint,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

use super::{BATCH, Case, Seed, run_batch};
use crate::{Failure, effort::median};

/// How many turns a thread waits for the other one before it lets others have the processor.
const SPINS: usize = 20_000;

/// When a round ends, however many batches it has had: there are things that take the longer the more often they were done.
const MOST_TIME: Duration = Duration::from_millis(100);

/// Batches in which both threads ran, for a figure of two threads. A busy machine seldom runs both.
const ENOUGH: usize = 10;

/// When a batch began and ended.
type Span = (Instant, Instant);

/// Nanoseconds a run on one thread: the median of `batches`.
pub(super) fn alone(case: &Case, batches: usize) -> Result<f64, Failure> {
    let spans = thread::scope(|scope| {
        let seed = case.seed(0);
        scope.spawn(move || run(seed, batches, || ())).join().expect("a case does not panic")
    })?;
    Ok(median(spans.into_iter().map(nanoseconds).collect()))
}

/// Nanoseconds a run on each of two threads that run at the same time: the median of those of `batches` in which
/// they did. `None` when the machine hardly ever ran both.
pub(super) fn contending(case: &Case, batches: usize) -> Result<Option<f64>, Failure> {
    let arrived = AtomicUsize::new(0);
    let [one, other] = thread::scope(|scope| {
        let threads = [case.seed(0), case.seed(1)].map(|seed| {
            let arrived = &arrived;
            scope.spawn(move || {
                let _left = Left(arrived);
                let mut expected = 0;
                run(seed, batches, || {
                    expected += 2;
                    meet(arrived, expected);
                })
            })
        });
        threads.map(|thread| thread.join().expect("a case does not panic"))
    });
    let (one, other) = (one?, other?);
    let batches = one.len().min(other.len());
    let spans = one.into_iter().zip(other);
    let together: Vec<f64> = spans.filter(overlap).map(|(one, _)| nanoseconds(one)).collect();
    Ok((together.len() >= ENOUGH.min(batches.max(1))).then(|| median(together)))
}

fn run(seed: Seed, batches: usize, mut meet: impl FnMut()) -> Result<Vec<Span>, Failure> {
    // Layers with timers need it, and nothing else does. Each thread has its own, so that timers do not contend.
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    let mut batch = seed();
    let mut spans = Vec::with_capacity(batches);
    let started = Instant::now();
    for _ in 0..batches {
        if started.elapsed() > MOST_TIME {
            break;
        }
        batch.prepare();
        meet();
        let start = Instant::now();
        run_batch(&mut *batch, &runtime);
        spans.push((start, Instant::now()));
    }
    Ok(spans)
}

/// Waits until both threads have arrived, `expected` times in all.
fn meet(arrived: &AtomicUsize, expected: usize) {
    arrived.fetch_add(1, SeqCst);
    let mut spins = 0;
    while arrived.load(SeqCst) < expected {
        spins += 1;
        if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
    }
}

/// Nobody waits for a thread that has ended, also when that was a panic.
struct Left<'a>(&'a AtomicUsize);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(usize::MAX / 4, SeqCst);
    }
}

/// Whether both batches were made at the same time for most of the longer one.
fn overlap((one, other): &(Span, Span)) -> bool {
    let both = one.1.min(other.1).saturating_duration_since(one.0.max(other.0));
    let longer = (one.1 - one.0).max(other.1 - other.0);
    both * 5 >= longer * 4
}

/// For each run of a batch.
fn nanoseconds((start, end): Span) -> f64 {
    (end - start).as_nanos() as f64 / BATCH as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_overlap_when_most_of_the_longer_one_is_in_both() {
        let start = Instant::now();
        let span = |from, to| (start + Duration::from_micros(from), start + Duration::from_micros(to));
        assert!(overlap(&(span(0, 100), span(10, 110))));
        assert!(!overlap(&(span(0, 100), span(0, 200))), "one was interrupted");
        assert!(!overlap(&(span(0, 100), span(100, 200))), "one after the other");
    }
}
