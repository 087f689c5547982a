//! What it takes to set money aside and to settle what it came to, and what accounts take up.
//!
//! A run is one reservation and its settlement through the door for ledgers, as for a call. Beside it stand what others
//! count with: a map behind one lock, which does the same; governor, which charges once; and the `llm-budget` of the
//! registry, whose agents are charged afterwards. The latter two are in the peers' program, and neither of them looks at
//! several accounts together: it is charged in each by itself.

pub mod locked;
pub mod memory;
pub mod own;

use crate::{
    Failure,
    effort::Effort,
    kept,
    layers::RATIO,
    operation::{self, Allocated},
    report::Report,
    rounds::measured::{self, Limits, Measured, Rows, measure},
    table::Table,
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

/// At most so many nanoseconds for three accounts, and so fewer should do for one. What a call has set aside is one value.
const LIMITS: Limits = Limits { nanoseconds: Some(400.0), allocations: Some(1.0), ratio: Some(RATIO) };

/// Prints what ledgers take.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let programs = measure(LEDGER, effort, report)?;
    for accounts in Accounts::ALL {
        let table = table(accounts, &programs, report);
        report.print(table);
    }
    let mut table = kept::table("Ledger: bytes for each account that is kept", "ledger", "accounts", effort);
    let counted = operation::count(&[MEMORY, effort.name()])?;
    kept::rows(&mut table, memory::LEDGERS.iter().map(|(name, _)| *name), &counted, LEDGER, effort, report);
    if let Some([_, counting]) = measured::peers(report)? {
        let counted = Allocated::counted_by(&counting, &[MEMORY, effort.name()])?;
        kept::rows(&mut table, memory::PEERS, &counted, LEDGER, effort, report);
    }
    report.print(table);
    Ok(())
}

fn table(accounts: Accounts, programs: &[Measured], report: &mut Report) -> Table {
    let heading = match accounts {
        Accounts::One => "Ledger: what it takes to reserve and settle, in one account",
        Accounts::Three => "Ledger: what it takes to reserve and settle, in three accounts",
    };
    let mut rows = Rows::new(heading, "ledger", [LEDGER, accounts.name()]);
    for case in programs.iter().flat_map(|measured| &measured.cases).filter(|case| case.kind == accounts.name()) {
        rows.add(report, case, if case.name.starts_with(own::NAME) { LIMITS } else { Limits::default() });
    }
    rows.table()
}
