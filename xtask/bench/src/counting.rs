//! Counts the allocations of one run of each operation, or of a batch of calls through each layer: two numbers a line,
//! in their order.

use std::{alloc::System, env, process::ExitCode};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use xtask_bench::{
    Failure, cache, effort::Effort, frames, intent, kept, layers, ledger, operation, pick, rounds::program, wire,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let operations = match arguments[..] {
        ["wire"] => wire::operations(),
        ["frames"] => frames::operations(),
        ["intent"] => intent::operations(),
        [pick::PICK] => pick::operations(),
        [layers::LAYERS] => return done(program::print_allocations(&layers::own::cases(), ALLOCATOR)),
        [ledger::LEDGER] => return done(program::print_allocations(&ledger::own::cases(), ALLOCATOR)),
        [cache::CACHE] => return done(program::print_allocations(&cache::own::cases(), ALLOCATOR)),
        [layers::MEMORY, effort] => {
            return done(kept::print(layers::memory::fills(), Effort::named(effort), ALLOCATOR));
        }
        [ledger::MEMORY, effort] => {
            return done(kept::print(ledger::memory::fills(), Effort::named(effort), ALLOCATOR));
        }
        _ => {
            eprintln!("Usage: xtask-bench-counting wire|frames|intent|layers|ledger|pick|cache");
            return Ok(ExitCode::from(2));
        }
    };
    operation::print_allocations(operations, ALLOCATOR);
    Ok(ExitCode::SUCCESS)
}

fn done(printed: Result<(), Failure>) -> Result<ExitCode, Failure> {
    printed.map(|()| ExitCode::SUCCESS)
}
