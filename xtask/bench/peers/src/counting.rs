//! Counts what others allocate, a batch of runs of each case or one choice, and what they keep: two numbers a line, in
//! their order.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use xtask_bench::{
    Failure,
    cache::CACHE,
    effort::Effort,
    kept,
    layers::LAYERS,
    ledger::{self, LEDGER},
    operation,
    pick::PICK,
    rounds::program,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [PICK] => {
            operation::print_allocations(bench_peers::picks(), ALLOCATOR);
            Ok(())
        }
        [LAYERS] => program::print_allocations(&bench_peers::cases(), ALLOCATOR),
        [CACHE] => program::print_allocations(&bench_peers::cache_cases(), ALLOCATOR),
        [LEDGER] => program::print_allocations(&bench_peers::ledger_cases(), ALLOCATOR),
        [ledger::MEMORY, effort] => kept::print(bench_peers::ledger_fills(), Effort::named(effort), ALLOCATOR),
        _ => Err("this is started by `cargo xtask bench`".into()),
    }
}
