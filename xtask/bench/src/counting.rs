//! Counts the allocations of one run of each operation, or of a batch of calls through each layer: two numbers a line,
//! in their order.

use std::{alloc::System, env, process::ExitCode};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use xtask_bench::{Failure, effort::Effort, frames, intent, layers, wire};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let operations = match arguments[..] {
        ["wire"] => wire::operations(),
        ["frames"] => frames::operations(),
        ["intent"] => intent::operations(),
        ["layers"] => {
            layers::program::print_allocations(&layers::own::cases(), ALLOCATOR)?;
            return Ok(ExitCode::SUCCESS);
        }
        [layers::MEMORY, effort] => {
            let effort = if effort == Effort::Quick.name() { Effort::Quick } else { Effort::Full };
            layers::memory::print(effort, ALLOCATOR)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {
            eprintln!("Usage: xtask-bench-counting wire|frames|intent|layers");
            return Ok(ExitCode::from(2));
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
    Ok(ExitCode::SUCCESS)
}
