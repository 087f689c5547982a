//! Processor time, in the program and in the system for it.

use crate::{
    Failure,
    canned::EVENTS,
    effort::{Effort, Rounds},
    figure::{Figure, Unit},
    load::{self, Connection, Question},
    peer,
    program::{Program, Subject},
    report::Report,
    table::Table,
};

/// At most so many times what passing on costs.
const TARGET: f64 = 1.5;

const SUBJECTS: [Subject; 4] =
    [Subject::PassThrough, Subject::Gateway, Subject::SilentGateway, Subject::LayeredGateway];

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

pub(super) async fn measure(origin: &Program, effort: Effort, report: &mut Report) -> Result<Table, Failure> {
    let programs = SUBJECTS.map(|subject| subject.start(origin.address, &[]));
    let programs: Vec<Program> = programs.into_iter().collect::<Result<_, _>>()?;
    let heading = "Gateway: processor time per request or stream";
    let mut table = Table::new(heading, ["load", "program", "µs", "ratio", "target"]);
    for load in loads(effort) {
        let mut loaded = Vec::new();
        for program in &programs {
            let connections = load::open(program.address, load.connections).await?;
            loaded.push(Loaded { program, connections, nanoseconds: Vec::new() });
        }
        // The first round warms up.
        for round in 0..=effort.pick(1, 7) {
            for loaded in &mut loaded {
                let nanoseconds = loaded.round(&load).await?;
                loaded.nanoseconds.extend((round > 0).then_some(nanoseconds));
            }
        }
        for (subject, own) in SUBJECTS.into_iter().zip(&loaded) {
            let path = ["gateway", &load.name, subject.name()];
            let rounds = Rounds::of(own.nanoseconds.clone());
            report.note(Figure::of_rounds(&path, Unit::Nanoseconds, rounds));
            let mut row = vec![load.name.clone(), subject.name().into(), format!("{:.1}", rounds.median / 1e3)];
            if subject == Subject::PassThrough {
                row.extend([(); 2].map(|()| String::new()));
            } else {
                let ratio = own.ratios_to(&loaded[0]);
                row.push(Unit::Times.show(ratio.median));
                let figure = Figure::of_rounds(&path, Unit::Times, ratio).over(Subject::PassThrough.name());
                row.push(report.note(figure.at_most(TARGET)));
            }
            table.row(row);
        }
    }
    Ok(table)
}

struct Loaded<'p> {
    program: &'p Program,
    connections: Vec<Connection>,
    /// Per request or stream, of each round.
    nanoseconds: Vec<f64>,
}

impl Loaded<'_> {
    async fn round(&mut self, load: &Load) -> Result<f64, Failure> {
        let connections = std::mem::take(&mut self.connections);
        let before = self.program.cpu_nanoseconds()?;
        self.connections = load::ask_all(connections, &load.question, load.each).await?;
        let spent = self.program.cpu_nanoseconds()? - before;
        Ok(spent as f64 / (load.each * load.connections) as f64)
    }

    /// Round by round, because a machine that is busy with something else slows both.
    fn ratios_to(&self, other: &Self) -> Rounds {
        Rounds::of(self.nanoseconds.iter().zip(&other.nanoseconds).map(|(own, other)| own / other).collect())
    }
}
