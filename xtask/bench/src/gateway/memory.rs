//! Resident memory.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    Failure,
    effort::Effort,
    load::{self, Connection, Question},
    peer,
    program::{Program, Subject},
    table::{Table, verdict},
};

const MB: f64 = 1e6;
const KB: f64 = 1e3;

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

pub(super) async fn measure(origin: &Program, effort: Effort) -> Result<Table, Failure> {
    let bare = held(Subject::PassThrough, origin, effort).await?;
    let gateway = held(Subject::Gateway, origin, effort).await?;
    let over_http2 = per_stream(Subject::Http2Gateway, origin).await?;
    let streams = format!("per open stream, of {OPEN_STREAMS} (KB)");
    let mut table = Table::new("Gateway: resident memory", ["when", "pass-through", "gateway", "target"]);
    for (name, bare, gateway, unit, at_most, unit_name) in [
        ("idle (MB)", Some(bare.idle), gateway.idle, MB, 15.0, " MB"),
        ("after load (MB)", Some(bare.after_load), gateway.after_load, MB, 25.0, " MB"),
        (&*streams, Some(bare.per_stream), gateway.per_stream, KB, 20.0, " KB"),
        ("the same, with HTTP/2 to the origin (KB)", None, over_http2, KB, 20.0, " KB"),
    ] {
        table.row(vec![
            name.to_owned(),
            bare.map(|bare| format!("{:.1}", bare / unit)).unwrap_or_default(),
            format!("{:.1}", gateway / unit),
            verdict(gateway / unit, at_most, unit_name),
        ]);
    }
    Ok(table)
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
