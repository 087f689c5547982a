//! Resident memory.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    Failure,
    effort::Effort,
    figure::{Figure, Unit},
    load::{self, Connection, Question},
    peer,
    program::{Program, Subject},
    report::Report,
    table::Table,
};

/// Open before any memory is counted, so that what is made once is not.
const FIRST_STREAMS: usize = 50;

/// Few enough that a program with two sockets a stream stays within a thousand open files.
const OPEN_STREAMS: usize = 400;

/// What one program holds, in bytes.
struct Held {
    idle: f64,
    after_load: f64,
    per_stream: f64,
}

/// At most so many bytes.
const IDLE: f64 = 15e6;
const AFTER_LOAD: f64 = 25e6;
const PER_STREAM: f64 = 20e3;

pub(super) async fn measure(origin: &Program, effort: Effort, report: &mut Report) -> Result<Table, Failure> {
    let per_stream_of = format!("per open stream, of {OPEN_STREAMS}");
    let columns = ["program", "idle", "after load", &*per_stream_of, "target"];
    let mut table = Table::new("Gateway: resident memory", columns);
    for subject in [Subject::PassThrough, Subject::Gateway, Subject::LayeredGateway] {
        let Held { idle, after_load, per_stream } = held(subject, origin, effort).await?;
        let values = [
            ("memory, idle", idle, IDLE),
            ("memory, after load", after_load, AFTER_LOAD),
            ("memory, open stream", per_stream, PER_STREAM),
        ];
        row(&mut table, report, subject, &values);
    }
    let per_stream = per_stream(Subject::Http2Gateway, origin).await?;
    row(&mut table, report, Subject::Http2Gateway, &[("memory, open stream", per_stream, PER_STREAM)]);
    Ok(table)
}

fn row(table: &mut Table, report: &mut Report, subject: Subject, values: &[(&str, f64, f64)]) {
    let mut row = vec![subject.name().to_owned()];
    let mut verdicts = Vec::new();
    // Where there is only one, it is that of a stream.
    row.resize(4 - values.len(), String::new());
    for &(what, bytes, at_most) in values {
        row.push(Unit::ResidentBytes.show(bytes));
        let figure = Figure::new(&["gateway", what, subject.name()], Unit::ResidentBytes, bytes);
        let is_ours = subject != Subject::PassThrough;
        verdicts.push(report.note(figure.at_most(is_ours.then_some(at_most))));
    }
    verdicts.retain(|verdict| !verdict.is_empty());
    row.push(verdicts.join("; "));
    table.row(row);
}

async fn held(subject: Subject, origin: &Program, effort: Effort) -> Result<Held, Failure> {
    let program = subject.start(origin.address, &[])?;
    let idle = program.memory()? as f64;
    let connections = load::open(program.address, 64).await?;
    let connections = load::ask_all(connections, &Question::whole(), effort.pick(5, 300)).await?;
    load::ask_all(connections, &Question::stream(peer::ALL_AT_ONCE), effort.pick(1, 50)).await?;
    let after_load = program.memory()? as f64;
    Ok(Held { idle, after_load, per_stream: per_stream(subject, origin).await? })
}

/// In a program of its own, because one that has worked has memory to spare.
async fn per_stream(subject: Subject, origin: &Program) -> Result<f64, Failure> {
    let program = subject.start(origin.address, &[])?;
    let first = open_streams(&program, FIRST_STREAMS).await?;
    let before = program.memory()?;
    let open = open_streams(&program, OPEN_STREAMS).await?;
    let grown = program.memory()?.saturating_sub(before) as f64 / open.len() as f64;
    drop((first, open));
    Ok(grown)
}

/// Streams of which two events have arrived, and for which no more will.
async fn open_streams(program: &Program, number: usize) -> Result<Vec<(Connection, Incoming)>, Failure> {
    let question = Question::stream(peer::ON_REQUEST);
    let mut open = Vec::with_capacity(number);
    for mut connection in load::open(program.address, number).await? {
        let mut body = connection.begin(&question).await?;
        body.frame().await.ok_or("a stream ended at once")??;
        open.push((connection, body));
    }
    Ok(open)
}
