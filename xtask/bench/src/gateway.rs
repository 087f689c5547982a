//! The gateway between a load generator and an origin, beside a proxy that only passes on.
//!
//! Each program has one thread that works. All get the same questions over the same number of connections, in turns,
//! so that what disturbs one disturbs the other.

mod cpu;
mod events;
mod first_content;
mod memory;

use crate::{Failure, effort::Effort, program::Program};

/// Prints all figures of the gateway.
pub async fn run(effort: Effort) -> Result<(), Failure> {
    let origin = Program::origin()?;
    println!("{}", events::measure(&origin).await?);
    println!("{}", cpu::measure(&origin, effort).await?);
    println!("{}", first_content::measure(&origin, effort).await?);
    println!("{}", memory::measure(&origin, effort).await?);
    Ok(())
}
