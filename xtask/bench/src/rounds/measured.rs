//! What was measured of the cases of our program and of the peers'.

use std::{env, fs, path::Path};

use super::{BATCH, program::Program};
use crate::{
    Failure,
    effort::{Effort, Rounds},
    figure::{Figure, Unit},
    instructions,
    operation::Allocated,
    report::Report,
    table::Table,
};

/// The program with what others have, and the one that counts for it.
const PEERS: [&str; 2] = ["bench-peers", "bench-peers-counting"];

/// Where the peers' program is and the one that counts for it, if they were built.
pub(crate) fn peers(report: &mut Report) -> Result<Option<[std::path::PathBuf; 2]>, Failure> {
    let own = env::current_exe()?;
    let [program, counting] = PEERS.map(|name| own.with_file_name(name));
    if !program.is_file() {
        let missing = program.display();
        report.print(format_args!(
            "What others have: not measured, because there is no {missing}: start this with `cargo xtask bench`\n"
        ));
        return Ok(None);
    }
    Ok(Some([program, counting]))
}

/// Measures the cases of `subject`, ours and then the peers', all of which take turns.
pub(crate) fn measure(subject: &str, effort: Effort, report: &mut Report) -> Result<Vec<Measured>, Failure> {
    let own = env::current_exe()?;
    let mut programs = vec![Measured::start(&own, &own.with_file_name("xtask-bench-counting"), subject)?];
    if let Some([peers, counting]) = peers(report)? {
        programs.push(Measured::start(&peers, &counting, subject)?);
    }
    // The first round warms up.
    for round in 0..=effort.pick(1, 21) {
        for program in &mut programs {
            program.round(round > 0, effort.pick(4, 300))?;
        }
    }
    if instructions::has_valgrind() {
        let out = own.with_file_name("bench");
        fs::create_dir_all(&out)?;
        for program in &mut programs {
            program.count_instructions(&out.join(format!("callgrind.{subject}")), effort)?;
        }
    } else {
        report.print("No instructions, because there is no valgrind here: install it and run this again\n");
    }
    Ok(programs)
}

/// A program, and what was measured of its cases.
pub(crate) struct Measured {
    program: Program,
    pub(crate) cases: Vec<MeasuredCase>,
}

/// What was measured of one case.
pub(crate) struct MeasuredCase {
    pub(crate) kind: String,
    pub(crate) name: String,
    // Of each round, with one thread and with two.
    alone: Vec<Option<f64>>,
    contending: Vec<Option<f64>>,
    allocations: f64,
    instructions: Option<f64>,
}

/// What one run of a case takes, or how much more it takes than that of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Nanoseconds with one thread.
    pub(crate) alone: Rounds,
    /// Nanoseconds with two. `None` where they hardly ever ran at the same time.
    pub(crate) contending: Option<Rounds>,
    pub(crate) allocations: f64,
    /// `None` without valgrind.
    pub(crate) instructions: Option<f64>,
}

impl Measured {
    fn start(program: &Path, counting: &Path, subject: &str) -> Result<Self, Failure> {
        let program = Program::start(program, subject)?;
        let allocated = Allocated::counted_by(counting, &[subject])?;
        if allocated.len() != program.cases.len() {
            return Err(format!("{} does not count what is measured: build it again", counting.display()).into());
        }
        let case = |((kind, name), allocated): (&(String, String), Allocated)| MeasuredCase {
            kind: kind.clone(),
            name: name.clone(),
            alone: Vec::new(),
            contending: Vec::new(),
            allocations: allocated.times as f64 / BATCH as f64,
            instructions: None,
        };
        let cases = program.cases.iter().zip(allocated).map(case).collect();
        Ok(Self { program, cases })
    }

    fn round(&mut self, counts: bool, batches: usize) -> Result<(), Failure> {
        for (index, case) in self.cases.iter_mut().enumerate() {
            let alone = self.program.round(index, 1, batches)?;
            let contending = self.program.round(index, 2, batches)?;
            if counts {
                case.alone.push(alone);
                case.contending.push(contending);
            }
        }
        Ok(())
    }

    /// Valgrind takes a second to start, so that for a moment's look one case has to do.
    fn count_instructions(&mut self, out: &Path, effort: Effort) -> Result<(), Failure> {
        let cases = effort.pick(1, self.cases.len());
        for (index, case) in self.cases.iter_mut().enumerate().take(cases) {
            case.instructions = Some(self.program.instructions(index, effort.pick(2, 20), out)?);
        }
        Ok(())
    }
}

impl MeasuredCase {
    pub(crate) fn figures(&self) -> Figures {
        let known = |rounds: &[Option<f64>]| -> Vec<f64> { rounds.iter().copied().flatten().collect() };
        let contending = known(&self.contending);
        Figures {
            alone: Rounds::of(known(&self.alone)),
            contending: (!contending.is_empty()).then(|| Rounds::of(contending)),
            allocations: self.allocations,
            instructions: self.instructions,
        }
    }

    /// What it takes more than `bare`. Round by round, because a machine that is busy with something else slows both.
    pub(crate) fn figures_over(&self, bare: &Self) -> Figures {
        let over = |own: &[Option<f64>], bare: &[Option<f64>]| {
            own.iter().zip(bare).map(|(own, bare)| Some((*own)? - (*bare)?)).collect()
        };
        let added = Self {
            kind: self.kind.clone(),
            name: self.name.clone(),
            alone: over(&self.alone, &bare.alone),
            contending: over(&self.contending, &bare.contending),
            allocations: self.allocations - bare.allocations,
            instructions: self.instructions.zip(bare.instructions).map(|(own, bare)| own - bare),
        };
        added.figures()
    }
}

/// What a run is to stay below, where that is stated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) nanoseconds: Option<f64>,
    pub(crate) allocations: Option<f64>,
    /// How much longer it may take when two threads run at once.
    pub(crate) ratio: Option<f64>,
}

/// Figures of what is compared with each other: a table that is printed, and the same for the report.
pub(crate) struct Rows<'p> {
    table: Table,
    path: [&'p str; 2],
}

impl<'p> Rows<'p> {
    /// `path` is the part that is measured, and which of its tables this is.
    pub(crate) fn new(heading: impl Into<String>, what: &str, path: [&'p str; 2]) -> Self {
        let columns = [what, "ns", "allocations", "instructions", "ns, two threads", "ratio", "target"];
        Self { table: Table::new(heading, columns), path }
    }

    /// A row for what was measured by itself.
    pub(crate) fn add(&mut self, report: &mut Report, case: &MeasuredCase, limits: Limits) {
        self.row(report, case.figures(), &case.name, None, limits);
    }

    /// A row for what it takes more than something else.
    pub(crate) fn add_over(&mut self, report: &mut Report, case: &MeasuredCase, bare: &MeasuredCase, limits: Limits) {
        self.row(report, case.figures_over(bare), &case.name, Some(&bare.name), limits);
    }

    /// One more target of the row before.
    pub(crate) fn also(&mut self, verdict: &str) {
        self.table.add_to_last_cell(verdict);
    }

    pub(crate) fn table(self) -> Table {
        self.table
    }

    fn row(&mut self, report: &mut Report, figures: Figures, name: &str, over: Option<&str>, limits: Limits) {
        let [part, kind] = self.path;
        let Figures { alone, contending, allocations, instructions } = figures;
        let (one, two) = ([part, kind, name], [part, kind, name, "two threads"]);
        let ratio = figures.ratio();
        let noted = [
            Some(Figure::of_rounds(&one, Unit::Nanoseconds, alone).at_most(limits.nanoseconds)),
            Some(Figure::new(&one, Unit::Allocations, allocations).at_most(limits.allocations)),
            instructions.map(|instructions| Figure::new(&one, Unit::Instructions, instructions)),
            contending.map(|contending| Figure::of_rounds(&two, Unit::Nanoseconds, contending)),
        ];
        let noted = noted.into_iter().flatten().map(|figure| match over {
            Some(over) => figure.over(over),
            None => figure,
        });
        let ratio = ratio.map(|ratio| Figure::new(&two, Unit::Times, ratio).over("one thread").at_most(limits.ratio));
        let verdicts = noted.chain(ratio).map(|figure| report.note(figure)).filter(|verdict| !verdict.is_empty());
        let verdicts: Vec<String> = verdicts.collect();
        let mut row = vec![name.to_owned()];
        row.extend(figures.cells(if over.is_some() { "+" } else { "" }));
        row.push(verdicts.join("; "));
        self.table.row(row);
    }
}

impl Figures {
    /// How much longer a run takes when two threads run at once. `None` where that is within what one round differs from
    /// the other.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.alone.median >= 2.0).then_some(self.contending?.median / self.alone.median)
    }

    /// As they are shown, with `sign` before what is not less than nothing.
    fn cells(&self, sign: &str) -> [String; 5] {
        let signed = |figure: f64, places: usize| {
            let sign = if figure >= 0.0 { sign } else { "" };
            format!("{sign}{figure:.places$}")
        };
        let or_dash = |shown: Option<String>| shown.unwrap_or_else(|| "–".into());
        [
            signed(self.alone.median, 1),
            // Whole numbers, unless something is allocated only now and then.
            signed(self.allocations, if self.allocations.fract().abs() < 0.005 { 0 } else { 2 }),
            or_dash(self.instructions.map(|count| signed(count, 0))),
            or_dash(self.contending.map(|rounds| signed(rounds.median, 1))),
            or_dash(self.ratio().map(|ratio| format!("{ratio:.1} ×"))),
        ]
    }
}
