//! A program that measures its own cases, round by round as it is told to. Ours is one and the peers are another, so
//! that rounds of both can take turns.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::Builder;

use super::{BATCH, Case, round, run_batch};
use crate::{Failure, instructions};

/// What stands before a subject where a program is to measure its own cases of that.
pub const PROGRAM: &str = "program";

/// The name under which a program measures what it is told to on its standard input.
const ROUNDS: &str = "rounds";

/// The name under which a program runs the batches of one case, for valgrind.
const BATCHES: &str = "batches";

/// What such a program does with the arguments after its subject: `rounds`, or `batches CASE BATCHES`, which makes so many
/// batches after those that warm up.
pub fn run(cases: &[Case], arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        [ROUNDS] => serve(cases),
        [BATCHES, case, batches] => many_batches(case_at(cases, case)?, batches.parse()?),
        _ => Err("this is started by `cargo xtask bench`".into()),
    }
}

/// The cases, one a line, and an empty line; then a figure for each line `CASE THREADS BATCHES`.
fn serve(cases: &[Case]) -> Result<(), Failure> {
    for case in cases {
        println!("{}\t{}", case.kind, case.name);
    }
    println!();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [case, threads, batches] = words[..] else { return Err(format!("not a round: {line}").into()) };
        let (case, batches) = (case_at(cases, case)?, batches.parse()?);
        match threads {
            "1" => println!("{}", round::alone(case, batches)?),
            _ => println!("{}", round::contending(case, batches)?.unwrap_or(f64::NAN)),
        }
    }
    Ok(())
}

fn case_at<'c>(cases: &'c [Case], index: &str) -> Result<&'c Case, Failure> {
    Ok(cases.get(index.parse::<usize>()?).ok_or("there is no such case")?)
}

fn many_batches(case: &Case, batches: usize) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    let mut batch = case.seed(0)();
    for _ in 0..case.warming_up + batches {
        batch.prepare();
        run_batch(&mut *batch, &runtime);
    }
    Ok(())
}

/// Prints what one batch of each case allocates: two numbers a line, in the order of the cases.
pub fn print_allocations<A: std::alloc::GlobalAlloc>(
    cases: &[Case],
    allocator: &'static StatsAlloc<A>,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    for case in cases {
        let mut batch = case.seed(0)();
        for _ in 0..case.warming_up {
            batch.prepare();
            batch.run(&runtime);
        }
        batch.prepare();
        let region = Region::new(allocator);
        batch.run(&runtime);
        let change = region.change();
        println!("{} {}", change.allocations + change.reallocations, change.bytes_allocated);
    }
    Ok(())
}

/// A program that measures, as seen from outside.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    subject: String,
    child: Child,
    questions: ChildStdin,
    figures: BufReader<ChildStdout>,
    /// What it can measure: the kind and the name of each case.
    pub cases: Vec<(String, String)>,
}

impl Program {
    /// Starts the program `path` to measure its cases of `subject`, which [`run`] has the arguments after.
    pub fn start(path: &Path, subject: &str) -> Result<Self, Failure> {
        let mut child = Command::new(path)
            .args([PROGRAM, subject, ROUNDS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", path.display()))?;
        let questions = child.stdin.take().expect("standard input is a pipe");
        let figures = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let (path, subject) = (path.to_owned(), subject.to_owned());
        let mut program = Self { path, subject, child, questions, figures, cases: Vec::new() };
        loop {
            let line = program.line()?;
            let Some((kind, name)) = line.split_once('\t') else { return Ok(program) };
            program.cases.push((kind.to_owned(), name.to_owned()));
        }
    }

    /// A round of case `case`: nanoseconds a run, or none when two threads never ran at the same time.
    pub fn round(&mut self, case: usize, threads: usize, batches: usize) -> Result<Option<f64>, Failure> {
        writeln!(self.questions, "{case} {threads} {batches}")?;
        let figure: f64 = self.line()?.parse()?;
        Ok(figure.is_finite().then_some(figure))
    }

    /// Instructions of a run of case `case` under valgrind, without what its batch is made of and without what only the
    /// first runs need. A profile is left in `out`.
    pub fn instructions(&self, case: usize, batches: usize, out: &Path) -> Result<f64, Failure> {
        let first = self.all_instructions(case, 0, out)?;
        let all = self.all_instructions(case, batches, out)?;
        Ok((all - first) / (batches * BATCH) as f64)
    }

    fn all_instructions(&self, case: usize, batches: usize, out: &Path) -> Result<f64, Failure> {
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet", "--toggle-collect=*run_batch*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&self.path)
            .args([PROGRAM, &self.subject, BATCHES, &case.to_string(), &batches.to_string()])
            .status()?;
        if !status.success() {
            return Err(format!("valgrind ended with {status}").into());
        }
        instructions::total(out)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.figures.read_line(&mut line)? == 0 {
            return Err(format!("{} ended; what it said is above", self.path.display()).into());
        }
        Ok(line.trim_end_matches('\n').to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
