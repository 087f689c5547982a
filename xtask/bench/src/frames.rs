//! Streams: read, passed on, and written from their events.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use llm_core::{Frame, Head, LlmRequest};
use llm_wire::sse;

use crate::{
    Failure,
    canned::EVENTS,
    dialect::{self, DIALECTS, Dialect},
    effort::Effort,
    operation::{self, Operation},
    report::Report,
    table::Table,
};

/// Prints what a frame costs.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let allocated = operation::count(&["frames"])?;
    let heading = format!("Frames: a stream of {EVENTS} events, each a piece of its own (no target of their own)");
    let columns = ["operation", "ns a frame", "frames a second", "allocations a frame", "bytes allocated a frame"];
    let mut table = Table::new(heading, columns);
    for (mut operation, allocated) in operations().into_iter().zip(allocated) {
        let rounds = operation.nanoseconds(effort)?;
        let nanoseconds = rounds.median / EVENTS as f64;
        for figure in operation::figures("frames", &operation.name, rounds, allocated.times) {
            report.note(figure);
        }
        table.row(vec![
            operation.name.clone(),
            format!("{nanoseconds:.0}"),
            format!("{:.0}", 1e9 / nanoseconds),
            format!("{:.2}", allocated.times as f64 / EVENTS as f64),
            format!("{:.0}", allocated.bytes as f64 / EVENTS as f64),
        ]);
    }
    report.print(table);
    Ok(())
}

/// Everything that is measured here. Each operation is a whole stream.
pub fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for dialect in DIALECTS {
        let pieces = pieces(dialect);
        operations.push(operation(format!("{}: split into frames", dialect.name), pieces.clone(), |pieces| {
            split(pieces, |frame| {
                black_box(frame);
            });
        }));
        operations.push(operation(format!("{}: decode", dialect.name), pieces.clone(), move |pieces| {
            decode(dialect, pieces, |frame| {
                black_box(frame);
            });
        }));
        operations.push(operation(format!("{}: pass on", dialect.name), pieces.clone(), {
            let request = request(dialect);
            move |pieces| recode(dialect, dialect, &request, pieces, |_| {})
        }));
        operations.push(operation(format!("{}: write from events", dialect.name), pieces, {
            let request = request(dialect);
            move |pieces| {
                recode(dialect, dialect, &request, pieces, |frame| {
                    // Whoever changes the events drops the provider's bytes.
                    let _ = frame.events_mut();
                });
            }
        }));
    }
    for (from, to) in dialect::translations() {
        operations.push(operation(format!("{} to {}: translate", from.name, to.name), pieces(from), {
            let request = request(to);
            move |pieces| recode(from, to, &request, pieces, |_| {})
        }));
    }
    operations
}

fn operation(name: String, pieces: Vec<Bytes>, run: impl Fn(&[Bytes]) + 'static) -> Operation {
    let length = pieces.iter().map(Bytes::len).sum();
    Operation::new(name, length, move || run(&pieces))
}

fn pieces(dialect: Dialect) -> Vec<Bytes> {
    (dialect.stream)().into_iter().map(Bytes::from).collect()
}

/// The request that a stream of this dialect answers.
fn request(dialect: Dialect) -> LlmRequest {
    (dialect.decode_request)(Bytes::from((dialect.request)(1_000))).expect("canned requests can be read")
}

fn split(pieces: &[Bytes], mut on_frame: impl FnMut(sse::Frame)) {
    let mut splitter = sse::Decoder::new();
    for piece in pieces {
        splitter.push(piece.clone());
        while let Some(frame) = splitter.next_frame().expect("canned frames are small") {
            on_frame(frame);
        }
    }
}

fn decode(dialect: Dialect, pieces: &[Bytes], mut on_frame: impl FnMut(Frame)) {
    let mut decoder = (dialect.frame_decoder)();
    split(pieces, |frame| on_frame(decoder(frame).expect("canned frames can be read")));
}

/// Reads a stream and writes it, each frame into bytes of its own, as a front door does.
fn recode(from: Dialect, to: Dialect, request: &LlmRequest, pieces: &[Bytes], change: impl Fn(&mut Frame)) {
    let mut encoder = (to.frame_encoder)(&Head::default(), request);
    let mut buffer = BytesMut::new();
    decode(from, pieces, |mut frame| {
        change(&mut frame);
        encoder(&frame, &mut buffer);
        if !buffer.is_empty() {
            black_box(buffer.split().freeze());
        }
    });
}
