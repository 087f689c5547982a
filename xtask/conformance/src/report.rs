//! What all cases together have come to: counts, tables as text, and one line to reproduce each failure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use llm_test::laws::ALL;

use crate::{
    endings::Ending,
    job::{Finding, Job},
    order::Order,
};

/// How many failures are told in full.
const MOST_FAILURES_TOLD: usize = 20;

/// Cases that came to the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those in which all was as it should be.
    pub kept: usize,
    /// Those in which something was not.
    pub failed: usize,
    /// Those in which there was nothing to see.
    pub idle: usize,
}

impl Count {
    /// All of them.
    pub fn cases(&self) -> usize {
        self.kept + self.failed + self.idle
    }

    fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Kept => self.kept += 1,
            Finding::NotApplicable(_) => self.idle += 1,
            Finding::Failed(_) => self.failed += 1,
        }
    }
}

/// What is asked of an order: a law by its name, or an ending, streamed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A law.
    Law(&'static str),
    /// An ending.
    Ending(Ending, bool),
}

impl Asked {
    /// Everything, in the order in which it is shown.
    pub fn all() -> Vec<Self> {
        let laws = ALL.iter().map(|law| Self::Law(law.name()));
        laws.chain(
            Ending::ALL.into_iter().flat_map(|ending| [false, true].map(|streamed| Self::Ending(ending, streamed))),
        )
        .collect()
    }

    /// As it stands above its column.
    pub fn name(&self) -> String {
        match self {
            Self::Law(law) => (*law).to_owned(),
            Self::Ending(ending, streamed) => format!("{ending}, {}", if *streamed { "streamed" } else { "whole" }),
        }
    }
}

/// A reason for which a law does not apply, and in how many cases it was given.
pub type Reasons = BTreeMap<(&'static str, Option<&'static str>, String), usize>;

/// All cases and what each has come to.
#[derive(Debug, Default)]
pub struct Report {
    /// By order and what was asked of it.
    pub cells: BTreeMap<(Order, Asked), Count>,
    /// The random ones.
    pub random: Count,
    /// Why laws do not apply.
    pub reasons: Reasons,
    /// Those that failed, and what they said.
    pub failures: Vec<(Job, String)>,
    seed: u64,
}

impl Report {
    /// Of these cases, of which the random ones are of this seed.
    pub fn new(jobs: Vec<Job>, findings: Vec<Finding>, seed: u64) -> Self {
        let mut report = Self { seed, ..Self::default() };
        for (job, finding) in jobs.into_iter().zip(findings) {
            let count = match &job {
                Job::Law(law, _, order) => report.cells.entry((*order, Asked::Law(law.name()))).or_default(),
                Job::Ending(scenario, order) => {
                    report.cells.entry((*order, Asked::Ending(scenario.ending, scenario.streamed))).or_default()
                }
                Job::Random(..) => &mut report.random,
            };
            count.add(&finding);
            match (finding, &job) {
                (Finding::NotApplicable(reason), Job::Law(law, look, _)) => {
                    *report.reasons.entry((law.name(), look.name(), reason)).or_default() += 1;
                }
                (Finding::Failed(said), _) => report.failures.push((job, said)),
                (Finding::Kept | Finding::NotApplicable(_), _) => {}
            }
        }
        report
    }

    /// The orders in which it was asked, those in which nothing failed, and the cases of all of them.
    pub fn of(&self, asked: Asked) -> (usize, usize, Count) {
        let (mut orders, mut good, mut all) = (0, 0, Count::default());
        for (_, count) in self.cells.iter().filter(|((_, own), _)| *own == asked) {
            orders += 1;
            good += usize::from(count.failed == 0);
            all.kept += count.kept;
            all.failed += count.failed;
            all.idle += count.idle;
        }
        (orders, good, all)
    }

    /// `120/120`; `n/a` where there was nothing to see in any order.
    pub fn shown(&self, asked: Asked) -> String {
        match self.of(asked) {
            (0, ..) => "-".to_owned(),
            (_, _, Count { kept: 0, failed: 0, .. }) => "n/a".to_owned(),
            (orders, good, _) => format!("{good}/{orders}"),
        }
    }

    /// Tables of laws and endings, reasons and failures.
    pub fn text(&self) -> String {
        let mut text = format!("\n| {:38} | orders  | cases | ok   | failed | n/a  |\n", "in every order");
        let _ = writeln!(text, "|{}|---------|-------|------|--------|------|", "-".repeat(40));
        for asked in Asked::all() {
            let (_, _, count) = self.of(asked);
            let (name, shown, Count { kept, failed, idle }) = (asked.name(), self.shown(asked), count);
            let _ =
                writeln!(text, "| {name:38} | {shown:7} | {:5} | {kept:4} | {failed:6} | {idle:4} |", count.cases());
        }
        let _ = writeln!(
            text,
            "\nrandom cases of seed {}: {} ok, {} failed",
            self.seed, self.random.kept, self.random.failed
        );
        text.push_str("\nLaws that do not apply to a stack, and why:\n\n");
        for ((law, look, reason), cases) in &self.reasons {
            let of = look.map(|look| format!(" of the {look}")).unwrap_or_default();
            let _ = writeln!(text, "- `{law}`{of}, in {cases} orders: {reason}");
        }
        for (job, said) in self.failures.iter().take(MOST_FAILURES_TOLD) {
            let _ = writeln!(text, "\nFAILED {job}: {said}\n  {}", job.reproduction());
        }
        if let Some(more @ 1..) = self.failures.len().checked_sub(MOST_FAILURES_TOLD) {
            let _ = writeln!(text, "\nand {more} more failures");
        }
        text
    }

    /// The one line that says it all.
    pub fn last_line(&self) -> String {
        let orders: BTreeSet<Order> = self.cells.keys().map(|(order, _)| *order).collect();
        let broken: BTreeSet<Order> =
            self.cells.iter().filter(|(_, count)| count.failed > 0).map(|((order, _), _)| *order).collect();
        let all = || self.cells.values().chain([&self.random]);
        let sum = |of: fn(&Count) -> usize| all().map(of).sum::<usize>();
        format!(
            "orders: {} of {}, cases: {} ({} ok, {} failed, {} do not apply)",
            orders.len() - broken.len(),
            Order::all().len(),
            sum(Count::cases),
            sum(|count| count.kept),
            sum(|count| count.failed),
            sum(|count| count.idle)
        )
    }
}
