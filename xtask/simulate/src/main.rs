//! `cargo xtask simulate`: prints what a simulation found, as the Markdown that the documentation states.

use std::{env, process::ExitCode};

use xtask_simulate::SIMULATIONS;

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let named = match &names[..] {
        [name] => SIMULATIONS.iter().find(|(known, _)| known == name),
        _ => None,
    };
    let Some((_, run)) = named else {
        eprintln!("Usage: cargo xtask simulate {}", SIMULATIONS.map(|(name, _)| name).join("|"));
        return ExitCode::from(2);
    };
    print!("{}", run());
    ExitCode::SUCCESS
}
