//! The gateway between a load generator and an origin, beside a proxy that only passes on.
//!
//! Each program has one thread that works. All get the same questions over the same number of connections, in turns,
//! so that what disturbs one disturbs the other.

mod cpu;
mod events;
mod first_content;
mod memory;

use crate::{Failure, effort::Effort, program::Program, report::Report};

/// Prints all figures of the gateway.
pub async fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let origin = Program::origin()?;
    let tables = [
        events::measure(&origin, report).await?,
        cpu::measure(&origin, effort, report).await?,
        first_content::measure(&origin, effort, report).await?,
        memory::measure(&origin, effort, report).await?,
    ];
    tables.into_iter().for_each(|table| report.print(table));
    Ok(())
}
