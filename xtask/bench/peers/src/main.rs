//! Measures the layers of others, as `cargo xtask bench layers` tells it to.

use xtask_bench::{Failure, layers::program};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    program::run(&bench_peers::cases(), &arguments)
}
