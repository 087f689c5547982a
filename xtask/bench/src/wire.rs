//! Whole messages: read, written, spliced and translated.

use std::hint::black_box;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use llm_core::{Head, LlmRequest};
use llm_wire::{EncodeOptions, openai};

use crate::{
    Failure,
    canned::MODEL,
    dialect::{self, DIALECTS, Dialect},
    effort::Effort,
    operation::{self, Operation},
    report::Report,
    table::Table,
};

/// Sizes of messages in bytes, and what they are called.
const SIZES: [(usize, &str); 3] = [(1_000, "1 KB"), (10_000, "10 KB"), (100_000, "100 KB")];

/// Prints what reading and writing cost.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let allocated = operation::count(&["wire"])?;
    let columns = ["operation", "µs", "MB/s", "allocations", "bytes allocated", "per byte of message"];
    let mut table = Table::new("Wire: whole messages (no target of their own; the gateway's are below)", columns);
    for (mut operation, allocated) in operations().into_iter().zip(allocated) {
        let rounds = operation.nanoseconds(effort)?;
        let nanoseconds = rounds.median;
        for figure in operation::figures("wire", &operation.name, rounds, allocated.times) {
            report.note(figure);
        }
        table.row(vec![
            operation.name.clone(),
            format!("{:.2}", nanoseconds / 1e3),
            format!("{:.0}", operation.bytes as f64 * 1e3 / nanoseconds),
            allocated.times.to_string(),
            allocated.bytes.to_string(),
            format!("{:.2}", allocated.bytes as f64 / operation.bytes as f64),
        ]);
    }
    report.print(table);
    Ok(())
}

/// Everything that is measured here.
pub fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for dialect in DIALECTS {
        for (size, called) in SIZES {
            operations.extend(requests(dialect, size, called));
        }
        for (size, called) in SIZES {
            operations.extend(answers(dialect, size, called));
        }
    }
    for (from, to) in dialect::translations() {
        for (size, called) in SIZES {
            operations.extend(translated(from, to, size, called));
        }
    }
    operations.extend(embeddings());
    operations
}

/// A request of `dialect`, and its bytes.
fn request_of(dialect: Dialect, size: usize) -> (Bytes, LlmRequest) {
    let bytes = Bytes::from((dialect.request)(size));
    let request = (dialect.decode_request)(bytes.clone()).expect("canned requests can be read");
    (bytes, request)
}

/// What a provider gets other than what the caller wrote: everything that can be asked for.
fn options() -> EncodeOptions<'static> {
    EncodeOptions { include_usage: true, output_ceiling: Some(4_096), ..EncodeOptions::new("bench-model-2025-06-01") }
}

fn requests(dialect: Dialect, size: usize, called: &str) -> [Operation; 3] {
    let name = |what: &str| format!("{} request {called}: {what}", dialect.name);
    let (bytes, request) = request_of(dialect, size);
    let length = bytes.len();
    let mut changed = request.clone();
    // Whoever changes a payload drops the caller's bytes.
    let _ = changed.payload_mut();
    [
        Operation::new(name("decode"), length, move || {
            black_box((dialect.decode_request)(bytes.clone())).expect("canned requests can be read");
        }),
        Operation::new(name("splice"), length, move || {
            black_box((dialect.encode_request)(&request, &options())).expect("it can be sent as it is");
        }),
        Operation::new(name("encode"), length, move || {
            black_box((dialect.encode_request)(&changed, &options())).expect("it came in this dialect");
        }),
    ]
}

fn answers(dialect: Dialect, size: usize, called: &str) -> [Operation; 2] {
    let name = |what: &str| format!("{} answer {called}: {what}", dialect.name);
    let bytes = Bytes::from((dialect.answer)(size));
    let length = bytes.len();
    let output = (dialect.decode_answer)(bytes.clone()).expect("canned answers can be read");
    let (_, request) = request_of(dialect, 1_000);
    [
        Operation::new(name("decode"), length, move || {
            black_box((dialect.decode_answer)(bytes.clone())).expect("canned answers can be read");
        }),
        Operation::new(name("encode"), length, move || {
            black_box((dialect.encode_answer)(&output, &Head::default(), &request));
        }),
    ]
}

/// Requests from one dialect to another, and answers the other way.
fn translated(from: Dialect, to: Dialect, size: usize, called: &str) -> [Operation; 2] {
    let (bytes, asked) = request_of(from, size);
    let answer = Bytes::from((to.answer)(size));
    let request_name = format!("{} to {}: request {called}", from.name, to.name);
    let answer_name = format!("{} to {}: answer {called}", to.name, from.name);
    [
        Operation::new(request_name, bytes.len(), move || {
            let request = (from.decode_request)(bytes.clone()).expect("canned requests can be read");
            black_box((to.encode_request)(&request, &options())).expect("canned requests can be said in any dialect");
        }),
        Operation::new(answer_name, answer.len(), move || {
            let output = (to.decode_answer)(answer.clone()).expect("canned answers can be read");
            black_box((from.encode_answer)(&output, &Head::default(), &asked));
        }),
    ]
}

/// Sixteen vectors of 1,536 numbers.
fn embeddings() -> Vec<Operation> {
    const INPUTS: usize = 16;
    const NUMBERS: u16 = 1_536;
    let numbers = || (0..NUMBERS).map(|place| (f32::from(place) * 0.37).sin() * 0.05);
    let floats = serde_json::to_string(&numbers().collect::<Vec<f32>>()).expect("numbers can be written as JSON");
    let bytes: Vec<u8> = numbers().flat_map(f32::to_le_bytes).collect();
    let base64 = format!("\"{}\"", BASE64_STANDARD.encode(bytes));
    [("floats", floats), ("base64", base64)]
        .into_iter()
        .map(|(encoding, vector)| {
            let item = |index: usize| format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#);
            let items: Vec<String> = (0..INPUTS).map(item).collect();
            let answer = format!(
                r#"{{"object":"list","data":[{}],"model":"{MODEL}","usage":{{"prompt_tokens":160,"total_tokens":160}}}}"#,
                items.join(",")
            );
            let answer = Bytes::from(answer);
            Operation::new(format!("openai embeddings {INPUTS} × {NUMBERS}, {encoding}: decode"), answer.len(), move || {
                black_box(openai::decode_embed_answer(answer.clone())).expect("canned vectors can be read");
            })
        })
        .collect()
}
