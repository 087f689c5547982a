//! Counts the allocations of one run of each operation: two numbers a line, in the order of the operations.

use std::{alloc::System, env, process::ExitCode};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use xtask_bench::{frames, wire};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let operations = match env::args().nth(1).as_deref() {
        Some("wire") => wire::operations(),
        Some("frames") => frames::operations(),
        _ => {
            eprintln!("Usage: xtask-bench-counting wire|frames");
            return ExitCode::from(2);
        }
    };
    for mut operation in operations {
        // What is made once and kept is not counted.
        operation.run();
        let region = Region::new(ALLOCATOR);
        operation.run();
        let change = region.change();
        println!("{} {}", change.allocations + change.reallocations, change.bytes_allocated);
    }
    ExitCode::SUCCESS
}
