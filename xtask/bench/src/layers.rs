//! What each layer adds to a call: nanoseconds, allocations and instructions, and what two threads cost each other.
//!
//! Each stands alone over an echo that is ready and has its answer already, so what is measured is the layer. Beside
//! ours stand tower's own and, in a program outside the workspace (`xtask/bench/peers`), those of tower-resilience.
//! All cases take turns, round by round; each figure is the median of what a round has over the bare echo's in the
//! same round and program.

pub mod case;
pub mod echo;
pub mod memory;
pub mod own;
pub mod program;
mod round;

use std::{env, fs, path::Path};

use crate::{
    Failure,
    effort::{Effort, median},
    instructions,
    operation::Allocated,
    table::{Table, verdict},
};
use echo::{Answer, FRAMES};
use program::Program;

/// The name under which the program measures its own layers.
pub const LAYERS: &str = "layers-program";

/// The name under which the program that counts fills layers with targets.
pub const MEMORY: &str = "layers-memory";

/// The name of the case without a layer.
pub const BARE: &str = "bare echo";

/// The program with the layers of others, and the one that counts for it.
pub(crate) const PEERS: [&str; 2] = ["bench-peers", "bench-peers-counting"];

/// At most so many times the nanoseconds when two threads call at once.
const RATIO: f64 = 3.0;

/// Our layers: how many nanoseconds each may take for a whole answer, and how often it may allocate. A stream may cost
/// one more.
const LIMITS: [(&str, f64, f64); 7] = [
    (own::TIMEOUT, 100.0, 1.0),
    (own::RETRY, 100.0, 0.0),
    (own::BREAKER, 100.0, 0.0),
    (own::BREAKER_BESIDE, 100.0, 0.0),
    (own::HEDGE, 100.0, 1.0),
    (own::ROUTER, 150.0, 1.0),
    (own::ROUTER_OF_THREE, 150.0, 1.0),
];

/// Prints what each layer adds.
pub fn run(effort: Effort) -> Result<(), Failure> {
    let own = env::current_exe()?;
    let mut programs =
        vec![Measured::start(&own, &[LAYERS], &own.with_file_name("xtask-bench-counting"), &["layers"])?];
    let [peers, counting] = PEERS.map(|name| own.with_file_name(name));
    if peers.is_file() {
        programs.push(Measured::start(&peers, &[], &counting, &[])?);
    } else {
        println!(
            "Layers of others: not measured, because there is no {}: start this with `cargo xtask bench`\n",
            peers.display()
        );
    }
    // The first round warms up.
    for round in 0..=effort.pick(1, 21) {
        for program in &mut programs {
            program.round(round > 0, effort.pick(4, 300))?;
        }
    }
    let has_valgrind = instructions::has_valgrind();
    if has_valgrind {
        let out = own.with_file_name("bench");
        fs::create_dir_all(&out)?;
        for program in &mut programs {
            program.count_instructions(&out.join("callgrind.layer"), effort)?;
        }
    }
    for answer in Answer::ALL {
        println!("{}", table(answer, &programs));
    }
    let counted = Allocated::counted_by(&own.with_file_name("xtask-bench-counting"), &[MEMORY, effort.name()])?;
    println!("{}", memory::table(effort, &counted));
    if !has_valgrind {
        println!("Layers: no instructions, because there is no valgrind here: install it and run this again\n");
    }
    Ok(())
}

fn table(answer: Answer, programs: &[Measured]) -> Table {
    let heading = match answer {
        Answer::Whole => "Layers: what a call with a whole answer costs, and what each adds".to_owned(),
        Answer::Stream => format!("Layers: what a call with a stream of {FRAMES} frames costs, and what each adds"),
        Answer::Refusal => {
            "Layers: what a call costs that is refused below, and what refusing it costs more".to_owned()
        }
    };
    let columns = ["layer", "ns", "allocations", "instructions", "ns, two threads", "ratio", "target"];
    let mut table = Table::new(heading, columns);
    for (program, measured) in programs.iter().enumerate() {
        for case in measured.cases.iter().filter(|case| case.answer == answer) {
            let is_bare = case.name == BARE;
            if is_bare && program > 0 {
                continue;
            }
            let bare = measured.bare(answer);
            let figures = if is_bare { case.figures() } else { case.figures_over(bare) };
            table.row(row(&case.name, figures, if is_bare { "" } else { "+" }, &targets(&case.name, answer, &figures)));
        }
    }
    table
}

/// What was measured of one case.
#[derive(Clone, Copy, Debug)]
struct Figures {
    alone: f64,
    contending: Option<f64>,
    allocations: f64,
    instructions: Option<f64>,
}

impl Figures {
    /// How much longer a call takes when two threads call at once. `None` where that is within what one round differs
    /// from the other.
    fn ratio(&self) -> Option<f64> {
        (self.alone >= 2.0).then_some(self.contending? / self.alone)
    }
}

fn row(name: &str, figures: Figures, sign: &str, targets: &str) -> Vec<String> {
    let signed = |figure: f64, places: usize| {
        let sign = if figure >= 0.0 { sign } else { "" };
        format!("{sign}{figure:.places$}")
    };
    let or_dash = |shown: Option<String>| shown.unwrap_or_else(|| "–".into());
    vec![
        name.to_owned(),
        signed(figures.alone, 1),
        // Whole numbers, unless something is allocated only now and then.
        signed(figures.allocations, if figures.allocations.fract().abs() < 0.005 { 0 } else { 2 }),
        or_dash(figures.instructions.map(|count| signed(count, 0))),
        or_dash(figures.contending.map(|figure| signed(figure, 1))),
        or_dash(figures.ratio().map(|ratio| format!("{ratio:.1} ×"))),
        targets.to_owned(),
    ]
}

/// Whether a layer of ours does what it is to do. The targets for time are those of whole answers.
fn targets(name: &str, answer: Answer, figures: &Figures) -> String {
    let Some((_, nanoseconds, allocations)) = LIMITS.iter().find(|(layer, ..)| *layer == name) else {
        return String::new();
    };
    match answer {
        Answer::Whole => {
            let mut targets =
                vec![verdict(figures.alone, *nanoseconds, " ns"), verdict(figures.allocations, *allocations, "")];
            targets.extend(figures.ratio().map(|ratio| verdict(ratio, RATIO, " ×")));
            targets.join("; ")
        }
        Answer::Stream => verdict(figures.allocations, allocations + 1.0, ""),
        Answer::Refusal => String::new(),
    }
}

/// A program, and what was measured of its cases.
struct Measured {
    program: Program,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    answer: Answer,
    /// Of each round, with one thread and with two.
    alone: Vec<Option<f64>>,
    contending: Vec<Option<f64>>,
    allocations: f64,
    instructions: Option<f64>,
}

impl Measured {
    fn start(program: &Path, first: &[&str], counting: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let program = Program::start(program, first)?;
        let allocated = Allocated::counted_by(counting, arguments)?;
        if allocated.len() != program.cases.len() {
            return Err(format!("{} does not count what is measured: build it again", counting.display()).into());
        }
        let case = |((name, answer), allocated): (&(String, Answer), Allocated)| Case {
            name: name.clone(),
            answer: *answer,
            alone: Vec::new(),
            contending: Vec::new(),
            allocations: allocated.times as f64 / case::BATCH as f64,
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

    fn bare(&self, answer: Answer) -> &Case {
        let bare = self.cases.iter().find(|case| case.answer == answer && case.name == BARE);
        bare.expect("every program measures the bare echo for each answer it gives")
    }
}

impl Case {
    fn figures(&self) -> Figures {
        let known = |rounds: &[Option<f64>]| -> Vec<f64> { rounds.iter().copied().flatten().collect() };
        let contending = known(&self.contending);
        Figures {
            alone: median(known(&self.alone)),
            contending: (!contending.is_empty()).then(|| median(contending)),
            allocations: self.allocations,
            instructions: self.instructions,
        }
    }

    /// Round by round, because a machine that is busy with something else slows both.
    fn figures_over(&self, bare: &Self) -> Figures {
        let over = |own: &[Option<f64>], bare: &[Option<f64>]| {
            own.iter().zip(bare).map(|(own, bare)| Some((*own)? - (*bare)?)).collect()
        };
        let added = Self {
            name: self.name.clone(),
            answer: self.answer,
            alone: over(&self.alone, &bare.alone),
            contending: over(&self.contending, &bare.contending),
            allocations: self.allocations - bare.allocations,
            instructions: self.instructions.zip(bare.instructions).map(|(own, bare)| own - bare),
        };
        added.figures()
    }
}
