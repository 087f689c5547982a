//! Processor time, in the program and in the system for it.

use crate::{
    Failure,
    canned::EVENTS,
    effort::{Effort, median},
    load::{self, Connection, Question},
    peer,
    program::{Program, Subject},
    table::{Table, verdict},
};

/// At most so many times what passing on costs.
const TARGET: f64 = 1.5;

const SUBJECTS: [Subject; 3] = [Subject::PassThrough, Subject::Gateway, Subject::SilentGateway];

/// A question, and how often it is asked in a round.
struct Load {
    name: String,
    question: Question,
    connections: usize,
    each: usize,
}

fn loads(effort: Effort) -> Vec<Load> {
    let load = |name: String, question: &Question, connections: usize, each| Load {
        name,
        question: question.clone(),
        connections,
        each,
    };
    let whole = Question::whole();
    let paced = Question::stream(peer::PACED);
    let at_once = Question::stream(peer::ALL_AT_ONCE);
    vec![
        load("request, 1 connection".into(), &whole, 1, effort.pick(50, 4_000)),
        load("request, 32 connections".into(), &whole, 32, effort.pick(5, 400)),
        load(format!("stream, {EVENTS} events, one a millisecond, 16 connections"), &paced, 16, effort.pick(1, 8)),
        load(format!("stream, {EVENTS} events as fast as they come, 1 connection"), &at_once, 1, effort.pick(5, 250)),
        load(format!("stream, {EVENTS} events as fast as they come, 16 connections"), &at_once, 16, effort.pick(1, 20)),
    ]
}

pub(super) async fn measure(origin: &Program, effort: Effort) -> Result<Table, Failure> {
    let mut programs = Vec::new();
    for subject in SUBJECTS {
        programs.push(subject.start(origin.address, &[])?);
    }
    let heading = "Gateway: processor time per request or stream, in µs";
    let [bare, gateway, silent] = SUBJECTS.map(Subject::name);
    let mut table = Table::new(heading, ["load", bare, gateway, "ratio", "target", silent, "ratio"]);
    for load in loads(effort) {
        let mut loaded = Vec::new();
        for program in &programs {
            let connections = load::open(program.address, load.connections).await?;
            loaded.push(Loaded { program, connections, microseconds: Vec::new() });
        }
        // The first round warms up.
        for round in 0..=effort.pick(1, 7) {
            for loaded in &mut loaded {
                let microseconds = loaded.round(&load).await?;
                loaded.microseconds.extend((round > 0).then_some(microseconds));
            }
        }
        let [bare, gateway, silent] = &loaded[..] else { unreachable!("there are three subjects") };
        table.row(vec![
            load.name,
            format!("{:.1}", median(bare.microseconds.clone())),
            format!("{:.1}", median(gateway.microseconds.clone())),
            format!("{:.2} ×", gateway.ratio_to(bare)),
            verdict(gateway.ratio_to(bare), TARGET, " ×"),
            format!("{:.1}", median(silent.microseconds.clone())),
            format!("{:.2} ×", silent.ratio_to(bare)),
        ]);
    }
    Ok(table)
}

struct Loaded<'p> {
    program: &'p Program,
    connections: Vec<Connection>,
    /// Per request or stream, of each round.
    microseconds: Vec<f64>,
}

impl Loaded<'_> {
    async fn round(&mut self, load: &Load) -> Result<f64, Failure> {
        let connections = std::mem::take(&mut self.connections);
        let before = self.program.cpu_nanoseconds()?;
        self.connections = load::ask_all(connections, &load.question, load.each).await?;
        let spent = self.program.cpu_nanoseconds()? - before;
        Ok(spent as f64 / (load.each * load.connections) as f64 / 1e3)
    }

    /// Round by round, because a machine that is busy with something else slows both.
    fn ratio_to(&self, other: &Self) -> f64 {
        median(self.microseconds.iter().zip(&other.microseconds).map(|(own, other)| own / other).collect())
    }
}
