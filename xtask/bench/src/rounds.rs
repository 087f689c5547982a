//! Cases that take turns, round by round: how long one run of each takes with one thread and with two at once, what it
//! allocates, and how many instructions it takes.

pub(crate) mod measured;
pub mod program;
mod round;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Runtime;

use crate::tenants::Tenants;

/// Runs of a batch: so few that what they are made of stays in the cache.
pub const BATCH: usize = 64;

/// Something that threads do at the same time, each with what it shares with the others.
pub struct Case {
    /// What is done.
    pub name: String,
    /// What it is compared with: cases of one kind stand in one table.
    pub kind: &'static str,
    /// After how many batches everything that is made once is there, so that what comes then can be counted.
    pub(crate) warming_up: usize,
    seed: Box<dyn Fn(usize) -> Seed>,
}

/// What a thread needs, on its way there.
pub type Seed = Box<dyn FnOnce() -> Box<dyn Batches> + Send>;

/// What one thread does.
pub trait Batches {
    /// Makes ready what the next batch needs. It is not measured.
    fn prepare(&mut self);

    /// Runs a batch, and drops all that comes of it.
    fn run(&mut self, runtime: &Runtime);
}

impl Case {
    /// `seed` makes what a thread begins with, of which there are as many as there are threads in a round; that of number
    /// zero is made first.
    pub fn new(name: &str, kind: &'static str, seed: impl Fn(usize) -> Seed + 'static) -> Self {
        Self { name: name.to_owned(), kind, warming_up: 4, seed: Box::new(seed) }
    }

    /// Counts nothing until each of these had its turn.
    pub fn by(mut self, tenants: Tenants) -> Self {
        self.warming_up += tenants.of(0).len() / BATCH;
        self
    }

    /// What thread number `thread` of a round begins with.
    pub fn seed(&self, thread: usize) -> Seed {
        (self.seed)(thread)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Runs that each take the next of `turns`, over and over.
pub fn by_turns<T: 'static>(turns: Vec<T>, run: impl FnMut(&T, &Runtime) + 'static) -> Box<dyn Batches> {
    Box::new(ByTurns { turns, next: 0, run })
}

struct ByTurns<T, F> {
    turns: Vec<T>,
    next: usize,
    run: F,
}

impl<T, F: FnMut(&T, &Runtime)> Batches for ByTurns<T, F> {
    fn prepare(&mut self) {}

    fn run(&mut self, runtime: &Runtime) {
        for _ in 0..BATCH {
            (self.run)(&self.turns[self.next], runtime);
            self.next = (self.next + 1) % self.turns.len();
        }
    }
}

/// What is measured. A function of its own, whose instructions valgrind can tell from others.
#[inline(never)]
fn run_batch(batch: &mut dyn Batches, runtime: &Runtime) {
    batch.run(runtime);
}

/// What comes of `future`, which is ready at once, unless it waits for another thread or for a timer: then it needs a
/// runtime.
pub fn at_once_or_later<F: Future>(mut future: Pin<&mut F>, cx: &mut Context<'_>, runtime: &Runtime) -> F::Output {
    match future.as_mut().poll(cx) {
        Poll::Ready(output) => output,
        Poll::Pending => runtime.block_on(future),
    }
}
