//! Measures what others have, as `cargo xtask bench` tells it to.

use xtask_bench::{
    Failure,
    cache::CACHE,
    effort::Effort,
    layers::LAYERS,
    ledger::LEDGER,
    pick::{self, PICK},
    rounds::program::{self, PROGRAM},
};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [PICK, effort] => pick::print_nanoseconds(bench_peers::picks(), Effort::named(effort)),
        [PROGRAM, LAYERS, ref arguments @ ..] => program::run(&bench_peers::cases(), arguments),
        [PROGRAM, CACHE, ref arguments @ ..] => program::run(&bench_peers::cache_cases(), arguments),
        [PROGRAM, LEDGER, ref arguments @ ..] => program::run(&bench_peers::ledger_cases(), arguments),
        _ => Err("this is started by `cargo xtask bench`".into()),
    }
}
