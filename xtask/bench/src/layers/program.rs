//! A program that measures its own cases, round by round as it is told to. Ours is one and the peers are another, so
//! that rounds of both can take turns.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::Builder;

use super::{
    case::{BATCH, Case},
    echo::Answer,
    round,
};
use crate::{Failure, instructions};

/// The name under which a program measures what it is told to on its standard input.
const ROUNDS: &str = "rounds";

/// The name under which a program makes the calls of one case, for valgrind.
const CALLS: &str = "calls";

/// Batches that are made, and not counted, before instructions or allocations are.
const WARMING_UP: usize = 4;

/// What such a program does with its arguments: `rounds`, or `calls CASE BATCHES`.
pub fn run(cases: &[Case], arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        [ROUNDS] => serve(cases),
        [CALLS, case, batches] => calls(case_at(cases, case)?, batches.parse()?),
        _ => Err("this is started by `cargo xtask bench layers`".into()),
    }
}

/// The cases, one a line, and an empty line; then a figure for each line `CASE THREADS BATCHES`.
fn serve(cases: &[Case]) -> Result<(), Failure> {
    for case in cases {
        println!("{}\t{}", case.answer.name(), case.name);
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

fn calls(case: &Case, batches: usize) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    let mut calls = case.seed()();
    for _ in 0..batches {
        calls.prepare();
        calls.call(&runtime);
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
        let mut calls = case.seed()();
        for _ in 0..WARMING_UP {
            calls.prepare();
            calls.call(&runtime);
        }
        calls.prepare();
        let region = Region::new(allocator);
        calls.call(&runtime);
        let change = region.change();
        println!("{} {}", change.allocations + change.reallocations, change.bytes_allocated);
    }
    Ok(())
}

/// A program that measures, as seen from outside.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    first: Vec<String>,
    child: Child,
    questions: ChildStdin,
    figures: BufReader<ChildStdout>,
    /// What it can measure: the name and the answer of each case.
    pub cases: Vec<(String, Answer)>,
}

impl Program {
    /// Starts the program `path` with `first` before the arguments of [`run`].
    pub fn start(path: &Path, first: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(path)
            .args(first)
            .arg(ROUNDS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", path.display()))?;
        let questions = child.stdin.take().expect("standard input is a pipe");
        let figures = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let first = first.iter().map(|argument| (*argument).to_owned()).collect();
        let mut program = Self { path: path.to_owned(), first, child, questions, figures, cases: Vec::new() };
        loop {
            let line = program.line()?;
            let Some((answer, name)) = line.split_once('\t') else { return Ok(program) };
            let answer = Answer::named(answer).ok_or_else(|| format!("there is no answer {answer}"))?;
            program.cases.push((name.to_owned(), answer));
        }
    }

    /// A round of case `case`: nanoseconds a call, or none when two threads never called at the same time.
    pub fn round(&mut self, case: usize, threads: usize, batches: usize) -> Result<Option<f64>, Failure> {
        writeln!(self.questions, "{case} {threads} {batches}")?;
        let figure: f64 = self.line()?.parse()?;
        Ok(figure.is_finite().then_some(figure))
    }

    /// Instructions of a call of case `case` under valgrind, without what its batch is made of and without what only
    /// the first calls need. A profile is left in `out`.
    pub fn instructions(&self, case: usize, batches: usize, out: &Path) -> Result<f64, Failure> {
        let first = self.all_instructions(case, WARMING_UP, out)?;
        let all = self.all_instructions(case, WARMING_UP + batches, out)?;
        Ok((all - first) / (batches * BATCH) as f64)
    }

    fn all_instructions(&self, case: usize, batches: usize, out: &Path) -> Result<f64, Failure> {
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet", "--toggle-collect=*call_all*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&self.path)
            .args(&self.first)
            .args([CALLS, &case.to_string(), &batches.to_string()])
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
