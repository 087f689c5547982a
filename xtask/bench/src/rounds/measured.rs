//! What was measured of the cases of our program and of the peers'.

use std::{env, fs, path::Path};

use super::{BATCH, program::Program};
use crate::{
    Failure,
    effort::{Effort, median},
    instructions,
    operation::Allocated,
};

/// The program with what others have, and the one that counts for it.
const PEERS: [&str; 2] = ["bench-peers", "bench-peers-counting"];

/// Where the peers' program is and the one that counts for it, if they were built.
pub(crate) fn peers() -> Result<Option<[std::path::PathBuf; 2]>, Failure> {
    let own = env::current_exe()?;
    let [program, counting] = PEERS.map(|name| own.with_file_name(name));
    if !program.is_file() {
        println!(
            "What others have: not measured, because there is no {}: start this with `cargo xtask bench`\n",
            program.display()
        );
        return Ok(None);
    }
    Ok(Some([program, counting]))
}

/// Measures the cases of `subject`, ours and then the peers', all of which take turns.
pub(crate) fn measure(subject: &str, effort: Effort) -> Result<Vec<Measured>, Failure> {
    let own = env::current_exe()?;
    let mut programs = vec![Measured::start(&own, &own.with_file_name("xtask-bench-counting"), subject)?];
    if let Some([peers, counting]) = peers()? {
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
        println!("No instructions, because there is no valgrind here: install it and run this again\n");
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
    pub(crate) alone: f64,
    /// Nanoseconds with two. `None` where they hardly ever ran at the same time.
    pub(crate) contending: Option<f64>,
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
            alone: median(known(&self.alone)),
            contending: (!contending.is_empty()).then(|| median(contending)),
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

impl Figures {
    /// The columns of [`cells`](Self::cells).
    pub(crate) const COLUMNS: [&str; 5] = ["ns", "allocations", "instructions", "ns, two threads", "ratio"];

    /// How much longer a run takes when two threads run at once. `None` where that is within what one round differs from
    /// the other.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.alone >= 2.0).then_some(self.contending? / self.alone)
    }

    /// As they are shown, with `sign` before what is not less than nothing.
    pub(crate) fn cells(&self, sign: &str) -> [String; 5] {
        let signed = |figure: f64, places: usize| {
            let sign = if figure >= 0.0 { sign } else { "" };
            format!("{sign}{figure:.places$}")
        };
        let or_dash = |shown: Option<String>| shown.unwrap_or_else(|| "–".into());
        [
            signed(self.alone, 1),
            // Whole numbers, unless something is allocated only now and then.
            signed(self.allocations, if self.allocations.fract().abs() < 0.005 { 0 } else { 2 }),
            or_dash(self.instructions.map(|count| signed(count, 0))),
            or_dash(self.contending.map(|figure| signed(figure, 1))),
            or_dash(self.ratio().map(|ratio| format!("{ratio:.1} ×"))),
        ]
    }
}
