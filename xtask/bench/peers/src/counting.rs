//! Counts what others allocate, a batch of calls through a layer or one choice: two numbers a line, in their order.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use xtask_bench::{Failure, operation, pick::PICK, rounds::program};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some(PICK) {
        operation::print_allocations(bench_peers::picks(), ALLOCATOR);
        return Ok(());
    }
    program::print_allocations(&bench_peers::cases(), ALLOCATOR)
}
