//! What it takes to set money aside and to settle what it came to, and what accounts take up.
//!
//! A run is one reservation and its settlement through the door for ledgers, as for a call. Beside it stand what others
//! count with: a map behind one lock, which does the same; governor, which charges once; and the `llm-budget` of the
//! registry, whose agents are charged afterwards. The latter two are in the peers' program, and neither of them looks at
//! several accounts together: it is charged in each by itself.

pub mod locked;
pub mod memory;
pub mod own;

use std::env;

use crate::{
    Failure,
    effort::Effort,
    kept,
    layers::RATIO,
    operation::Allocated,
    rounds::measured::{self, Figures, Measured, measure},
    table::{Table, verdict},
};

/// The name under which this is measured, here and by the peers.
pub const LEDGER: &str = "ledger";

/// The name under which the programs that count fill ledgers with accounts.
pub const MEMORY: &str = "ledger-memory";

/// How many accounts a call is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// That of a tenant.
    One,
    /// That of a tenant, of a user, and of all or of a job.
    Three,
}

impl Accounts {
    /// Both.
    pub const ALL: [Self; 2] = [Self::One, Self::Three];

    /// The kind of such cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Three => "three",
        }
    }
}

/// At most so many nanoseconds for three accounts, and so fewer should do for one.
const NANOSECONDS: f64 = 400.0;

/// What a call has set aside is one value.
const ALLOCATIONS: f64 = 1.0;

/// Prints what ledgers take.
pub fn run(effort: Effort) -> Result<(), Failure> {
    let programs = measure(LEDGER, effort)?;
    for accounts in Accounts::ALL {
        println!("{}", table(accounts, &programs));
    }
    let own = env::current_exe()?;
    let mut table = kept::table("Ledger: bytes for each account that is kept", "ledger", "accounts", effort);
    let mut rows = |names: &mut dyn Iterator<Item = &'static str>, program: &std::path::Path| -> Result<(), Failure> {
        let counted = Allocated::counted_by(program, &[MEMORY, effort.name()])?;
        kept::rows(&mut table, names, &counted, effort);
        Ok(())
    };
    rows(&mut memory::LEDGERS.iter().map(|(name, _)| *name), &own.with_file_name("xtask-bench-counting"))?;
    if let Some([_, counting]) = measured::peers()? {
        rows(&mut memory::PEERS.into_iter(), &counting)?;
    }
    println!("{table}");
    Ok(())
}

fn table(accounts: Accounts, programs: &[Measured]) -> Table {
    let heading = match accounts {
        Accounts::One => "Ledger: what it takes to reserve and settle, in one account",
        Accounts::Three => "Ledger: what it takes to reserve and settle, in three accounts",
    };
    let [ns, allocations, instructions, contending, ratio] = Figures::COLUMNS;
    let mut table = Table::new(heading, ["ledger", ns, allocations, instructions, contending, ratio, "target"]);
    for case in programs.iter().flat_map(|measured| &measured.cases).filter(|case| case.kind == accounts.name()) {
        let figures = case.figures();
        let mut row = vec![case.name.clone()];
        row.extend(figures.cells(""));
        row.push(if case.name.starts_with(own::NAME) { targets(&figures) } else { String::new() });
        table.row(row);
    }
    table
}

fn targets(figures: &Figures) -> String {
    let mut targets = vec![verdict(figures.alone, NANOSECONDS, " ns"), verdict(figures.allocations, ALLOCATIONS, "")];
    targets.extend(figures.ratio().map(|ratio| verdict(ratio, RATIO, " ×")));
    targets.join("; ")
}
