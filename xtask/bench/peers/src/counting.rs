//! Counts what a batch of calls through the layers of others allocates: two numbers a line, in their order.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use xtask_bench::{Failure, layers::program};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    program::print_allocations(&bench_peers::cases(), ALLOCATOR)
}
