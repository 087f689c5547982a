//! Something small that is done many times over: how long it takes, and what it allocates.

use std::{
    alloc::GlobalAlloc,
    env, fmt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use stats_alloc::{Region, StatsAlloc};

use crate::{
    Failure,
    effort::{Effort, Rounds},
    figure::{Figure, Unit},
    program::cpu_nanoseconds,
};

/// One thing to do, always with the same input.
pub struct Operation {
    /// What is done to what.
    pub name: String,
    /// The bytes read, or written where there is nothing to read.
    pub bytes: usize,
    run: Box<dyn FnMut()>,
}

impl Operation {
    /// `run` does it once. What comes of it is to go through [`std::hint::black_box`].
    pub fn new(name: impl Into<String>, bytes: usize, run: impl FnMut() + 'static) -> Self {
        Self { name: name.into(), bytes, run: Box::new(run) }
    }

    /// Does it once.
    pub fn run(&mut self) {
        (self.run)();
    }

    /// How many nanoseconds of processor time it takes, in several rounds after one for warming up.
    pub fn nanoseconds(&mut self, effort: Effort) -> Result<Rounds, Failure> {
        let rounds = effort.pick(1, 9);
        let warming_up = Duration::from_millis(effort.pick(1, 40) as u64);
        let started = Instant::now();
        let mut runs = 0;
        while started.elapsed() < warming_up {
            self.run();
            runs += 1;
        }
        let mut each = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let before = own_cpu_nanoseconds()?;
            (0..runs).for_each(|_| self.run());
            each.push((own_cpu_nanoseconds()? - before) as f64 / f64::from(runs));
        }
        Ok(Rounds::of(each))
    }
}

/// Nanoseconds of processor time that this thread has had. Time in which others had the processor is not in it.
fn own_cpu_nanoseconds() -> Result<u64, Failure> {
    // The system brings the figure up to date when a thread gives way, and else only now and then.
    thread::yield_now();
    cpu_nanoseconds(Path::new("/proc/thread-self"))
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What one run asks of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Allocations, and those that were made larger or smaller.
    pub times: usize,
    /// Bytes, of which growing counts what was added.
    pub bytes: usize,
}

impl Allocated {
    /// What a program that counts prints when it is run with `arguments`: two numbers a line.
    pub fn counted_by(program: &Path, arguments: &[&str]) -> Result<Vec<Self>, Failure> {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
        if !output.status.success() {
            return Err(format!("counting failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let line = |line: &str| {
            let (times, bytes) = line.split_once(' ')?;
            Some(Self { times: times.parse().ok()?, bytes: bytes.parse().ok()? })
        };
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(line).collect::<Option<_>>().ok_or_else(|| "counting printed something odd".into())
    }
}

/// What the program that counts prints for these arguments: in the order of what they name.
pub fn count(arguments: &[&str]) -> Result<Vec<Allocated>, Failure> {
    Allocated::counted_by(&env::current_exe()?.with_file_name("xtask-bench-counting"), arguments)
}

/// The figures of an operation of `part`: time, and how often it allocates.
pub fn figures(part: &str, operation: &str, nanoseconds: Rounds, allocations: usize) -> [Figure; 2] {
    [
        Figure::of_rounds(&[part, operation], Unit::Nanoseconds, nanoseconds),
        Figure::new(&[part, operation], Unit::Allocations, allocations as f64),
    ]
}

/// Prints what one run of each operation allocates: two numbers a line, in their order. For a program that counts.
pub fn print_allocations<A: GlobalAlloc>(operations: Vec<Operation>, allocator: &'static StatsAlloc<A>) {
    for mut operation in operations {
        // What is made once and kept is not counted.
        operation.run();
        let region = Region::new(allocator);
        operation.run();
        let change = region.change();
        println!("{} {}", change.allocations + change.reallocations, change.bytes_allocated);
    }
}
