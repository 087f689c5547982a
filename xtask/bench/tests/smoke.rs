//! What measures does run, and what it compares with does what it says.

#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, fs, path::Path, process::Command};

use roxmltree::Document as Xml;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use xtask_bench::{
    cache::{self, own},
    dialect::OPENAI,
    figure::{Figure, Unit},
    frames, instructions, intent,
    layers::{self, echo::Answer},
    ledger,
    load::{Connection, Question},
    lockstep,
    peer::{self, ORIGIN, PASS_THROUGH},
    pick,
    program::Program,
    report::{Document, REPORT, STORED},
    rounds::{BATCH, Case},
    wire,
};

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xtask-bench"))
}

fn origin() -> Program {
    let mut command = bench();
    command.arg(ORIGIN);
    Program::start(command).unwrap()
}

fn pass_through(origin: &Program) -> Program {
    let mut command = bench();
    command.args([PASS_THROUGH, &origin.address.to_string()]);
    Program::start(command).unwrap()
}

/// What a run for a moment printed, and the report that it left.
struct Ran {
    text: String,
    document: Document,
    folder: TempDir,
}

/// Measures these parts for a moment, beside the run at `stored`.
fn run(parts: &[&str], stored: Option<&Path>) -> Ran {
    let folder = TempDir::new().unwrap();
    let mut command = bench();
    command.args(parts).args(["--quick", REPORT]).arg(folder.path());
    if let Some(stored) = stored {
        command.arg(STORED).arg(stored);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = Document::read(&folder.path().join("report.json")).unwrap().unwrap();
    Ran { text: String::from_utf8(output.stdout).unwrap(), document, folder }
}

#[test]
fn every_operation_has_a_row_and_its_allocations() {
    let Ran { text, .. } = run(&["wire", "frames"], None);
    for operation in wire::operations().iter().chain(&frames::operations()) {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(&operation.name)).unwrap();
        let figures: Vec<f64> = row.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        let [_, _, allocations, bytes, ..] = figures[..] else { panic!("{row}") };
        assert!(allocations > 0.0 && bytes > 0.0, "{row}");
    }
}

#[test]
fn telling_an_intent_has_rows_and_allocates_nothing() {
    let Ran { text, .. } = run(&["intent"], None);
    for operation in intent::operations() {
        let row = text.lines().find(|line| line.trim().starts_with(&format!("{}  ", operation.name))).unwrap();
        assert!(row.ends_with(" 0"), "{row}");
    }
}

#[test]
fn every_strategy_has_a_row_and_none_allocates() {
    let Ran { text, .. } = run(&["pick"], None);
    for operation in pick::operations() {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{} ", operation.name))).unwrap();
        let figures: Vec<f64> = row.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let [of_8, of_100, allocations] = figures[..] else { panic!("{row}") };
        assert!(of_8 > 0.0 && of_100 > 0.0 && allocations == 0.0, "{row}");
    }
}

#[test]
fn every_layer_has_a_row_for_each_answer_it_is_measured_with() {
    let Ran { text, .. } = run(&["layers"], None);
    for case in layers::own::cases() {
        let rows = text.lines().filter(|line| line.trim().starts_with(&format!("{}  ", case.name))).count();
        let measured = layers::own::cases().iter().filter(|other| other.name == case.name).count();
        assert_eq!(rows, measured, "{}\n{text}", case.name);
    }
    let remembered: Vec<&str> = text.lines().skip_while(|line| !line.contains("bytes for each target")).collect();
    for layer in ["llm-breaker, a failure each", "llm-retry, a retry each", "llm-retry's hedge, an answer each"] {
        let row = remembered.iter().find_map(|line| line.trim().strip_prefix(layer)).unwrap();
        let bytes: Vec<f64> = row.split_whitespace().take(2).map(|figure| figure.parse().unwrap()).collect();
        // Names, state and a place in the table; what is kept once, however many targets there are, hardly shows.
        assert!(bytes.len() == 2 && bytes.iter().all(|bytes| (64.0..2_000.0).contains(bytes)), "{row}");
    }
}

#[test]
fn every_ledger_has_a_row_and_its_bytes() {
    let Ran { text, .. } = run(&["ledger"], None);
    for case in ledger::own::cases() {
        let rows = text.lines().filter_map(|line| line.trim().strip_prefix(&format!("{}  ", case.name)));
        let figures: Vec<Vec<f64>> =
            rows.map(|row| row.split_whitespace().map_while(|figure| figure.parse().ok()).collect()).collect();
        let measured = ledger::own::cases().iter().filter(|other| other.name == case.name).count();
        assert!(figures.iter().all(|row| row[0] > 0.0) && figures.len() == measured, "{}\n{text}", case.name);
    }
    if instructions::has_valgrind() {
        // For a moment's look only those of the first.
        let first = text.lines().find(|line| line.trim().starts_with(&ledger::own::cases()[0].name)).unwrap();
        let figures: Vec<f64> = first.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        assert!(figures[2] > 100.0, "{first}");
    }
    let kept: Vec<&str> = text.lines().skip_while(|line| !line.contains("bytes for each account")).collect();
    for ledger in ["llm-budget, of a day", "llm-budget's limits, a caller each", "Mutex<HashMap>"] {
        let row = kept.iter().find_map(|line| line.trim().strip_prefix(ledger)).unwrap();
        let bytes: Vec<f64> = row.split_whitespace().take(2).map(|figure| figure.parse().unwrap()).collect();
        assert!(bytes.len() == 2 && bytes.iter().all(|bytes| (64.0..2_000.0).contains(bytes)), "{row}");
    }
}

#[test]
fn everything_about_the_cache_has_a_row_and_frames_are_handed_on_at_once() {
    let Ran { text, .. } = run(&["cache"], None);
    for case in own::cases() {
        let rows = text.lines().filter(|line| line.trim().starts_with(&format!("{}  ", case.name))).count();
        let measured = own::cases().iter().filter(|other| other.name == case.name).count();
        assert_eq!(rows, measured, "{}\n{text}", case.name);
    }
    for reader in ["who called", "who joined"] {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(reader)).unwrap();
        // The start waits for the first word.
        let figures: Vec<&str> = row.split_whitespace().take(3).collect();
        assert_eq!(figures, ["9", "8", "0"], "{row}");
    }
}

#[test]
fn a_hit_and_one_who_joins_allocate_less_than_a_call_that_is_kept() {
    let counted: Vec<_> = allocations("cache", own::cases()).collect();
    let times =
        |name: &str, kind: &str| counted.iter().find(|(case, _)| case.name == name && case.kind == kind).unwrap().1;
    // The list that the key comes in, and what is collected of a long chat; a look into a store takes nothing.
    assert_eq!(times("key of a chat of 1 KB", cache::KEY), 1.0);
    assert_eq!(times("key of a chat of 100 KB", cache::KEY), 2.0);
    assert!(times(own::MOKA, cache::HIT) < 0.1);
    assert!(times(own::HIT_WHOLE, cache::HIT) + 2.0 < times(own::STORED, Answer::Whole.name()));
    for answer in ["whole", "stream"] {
        let one = times(&format!("{answer}, one reader"), cache::JOIN);
        let two = times(&format!("{answer}, {}", own::JOINED), cache::JOIN);
        assert!(one < two && two < 2.0 * one, "{answer}: {one} and {two}");
    }
}

/// How often a run of each case allocates, from the program that counts.
fn allocations(subject: &str, cases: Vec<Case>) -> impl Iterator<Item = (Case, f64)> {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask-bench-counting")).arg(subject).output().unwrap();
    let counts = String::from_utf8(output.stdout).unwrap();
    let times = |line: &str| line.split(' ').next().unwrap().parse::<f64>().unwrap() / BATCH as f64;
    let times: Vec<f64> = counts.lines().map(times).collect();
    assert_eq!(times.len(), cases.len());
    cases.into_iter().zip(times)
}

#[test]
fn a_layer_that_allocates_is_found() {
    let counted: Vec<_> = allocations("layers", layers::own::cases()).collect();
    let times = |name: &str, answer: Answer| {
        counted.iter().find(|(case, _)| case.name == name && case.kind == answer.name()).unwrap().1
    };
    // What a call is made of is there before it is counted; an observer of a stream is a box, and of a whole answer none.
    assert_eq!(times(layers::BARE, Answer::Whole), 0.0);
    assert_eq!(times(layers::BARE, Answer::Stream), 0.0);
    assert_eq!(times(layers::own::BREAKER, Answer::Whole), 0.0);
    assert_eq!(times(layers::own::BREAKER, Answer::Stream), 1.0);
}

#[test]
fn what_is_set_aside_is_one_allocation_however_many_accounts_and_tenants_there_are() {
    for (case, times) in allocations("ledger", ledger::own::cases()) {
        let expected = if case.name.starts_with("llm-budget") { 1.0 } else { 0.0 };
        assert_eq!(times, expected, "{}", case.name);
    }
}

#[test]
fn counts_do_not_change_from_run_to_run() {
    let count = || Command::new(env!("CARGO_BIN_EXE_xtask-bench-counting")).arg("wire").output().unwrap().stdout;
    let counts = count();
    assert_eq!(String::from_utf8(counts.clone()).unwrap().lines().count(), wire::operations().len());
    assert_eq!(count(), counts);
}

#[tokio::test]
async fn the_proxy_passes_everything_on() {
    let origin = origin();
    let proxy = pass_through(&origin);
    let mut connection = Connection::open(proxy.address).await.unwrap();
    for question in [Question::whole(), Question::stream(peer::ALL_AT_ONCE), Question::stream(peer::PACED)] {
        connection.ask(&question).await.unwrap();
    }
    assert!(connection.first_content(&Question::stream(peer::ALL_AT_ONCE)).await.unwrap() > 0.0);
    assert!(proxy.cpu_nanoseconds().unwrap() > 0);
    assert!(proxy.memory().unwrap() > 100_000);
}

#[tokio::test]
async fn the_proxy_hands_on_each_event_by_itself() {
    let origin = origin();
    let proxy = pass_through(&origin);
    let mut asking = Connection::open(origin.address).await.unwrap();
    let mut connection = Connection::open(proxy.address).await.unwrap();
    assert_eq!(lockstep::ask(&mut connection, &mut asking).await.unwrap(), 102);
}

#[tokio::test]
async fn an_event_that_is_joined_to_another_is_found() {
    let origin = origin();
    let events = (OPENAI.stream)();
    let chunk = |events: &[String]| format!("{:x}\r\n{}\r\n", events.concat().len(), events.concat());
    let answer =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}{}", chunk(&events[..2]), chunk(&events[2..4]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.read_u8().await.unwrap();
        client.write_all(answer.as_bytes()).await.unwrap();
        let _ = client.read_to_end(&mut Vec::new()).await;
    });
    let mut asking = Connection::open(origin.address).await.unwrap();
    let mut connection = Connection::open(address).await.unwrap();
    let error = lockstep::ask(&mut connection, &mut asking).await.unwrap_err();
    assert_eq!(error.to_string(), "event 3 did not come by itself and as it was sent");
}

#[tokio::test]
async fn a_wrong_answer_is_no_figure() {
    let origin = origin();
    let mut connection = Connection::open(origin.address).await.unwrap();
    let error = connection.ask(&Question::whole().expecting("something else")).await.unwrap_err();
    assert_eq!(error.to_string(), "the answer is not the one that the origin gave");
    let longer = [Question::whole().answer(), &b"more"[..]].concat();
    let error = connection.ask(&Question::whole().expecting(longer)).await.unwrap_err();
    assert_eq!(error.to_string(), "the answer is not whole");
}

/// What is stated in section 6 of the design, as far as a run for a moment measures it: ids and what they are at most.
const STATED: [(&str, f64); 24] = [
    ("layers/whole/llm-timeout/ns", 100.0),
    ("layers/whole/llm-timeout/allocations", 1.0),
    ("layers/whole/llm-retry/ns", 100.0),
    ("layers/whole/llm-retry/allocations", 0.0),
    ("layers/whole/llm-breaker-closed/ns", 100.0),
    ("layers/whole/llm-breaker-closed/allocations", 0.0),
    ("layers/whole/llm-router-a-model/ns", 150.0),
    ("layers/whole/llm-router-a-model/allocations", 1.0),
    ("ledger/three/llm-budget-a-tenant-each/ns", 400.0),
    ("cache/hit/llm-cache-whole/of-key-and-get/times", 1.3),
    ("cache/hit/llm-cache-whole/ns", 5_000.0),
    ("cache/whole/cache-router-retry-budget-and-breaker-stored-each-time/without-the-key/ns", 2_000.0),
    ("cache/whole/cache-router-retry-budget-and-breaker-stored-each-time/without-the-key/allocations", 8.0),
    ("cache/held-frames/who-called/events", 0.0),
    ("layers/growth/llm-retry-a-retry-each/times", 1.5),
    ("layers/growth/llm-breaker-a-failure-each/times", 1.5),
    ("layers/growth/llm-budget/times", 2.0),
    ("ledger/growth/llm-budget-of-a-day/times", 1.5),
    ("ledger/three/llm-budget-a-tenant-each/allocations", 1.0),
    ("layers/whole/llm-budget-one-tenant/allocations", 1.0),
    ("layers/stream/llm-timeout/allocations", 2.0),
    ("layers/stream/llm-retry/allocations", 1.0),
    ("layers/stream/llm-breaker-closed/allocations", 1.0),
    ("layers/stream/llm-router-a-model/allocations", 2.0),
];

#[test]
fn every_stated_figure_is_in_the_report_with_its_target() {
    let Ran { text, document, folder } = run(&["layers", "ledger", "cache"], None);
    let ids: HashSet<&str> = document.figures.iter().map(|figure| &*figure.id).collect();
    assert_eq!(ids.len(), document.figures.len(), "each has an id of its own");
    for (id, at_most) in STATED {
        let figure = document.figures.iter().find(|figure| figure.id == id).unwrap_or_else(|| panic!("{id}"));
        assert_eq!(figure.at_most, Some(at_most), "{id}");
    }
    assert!(document.machine.cores > 0 && document.machine.rustc.starts_with("rustc "), "{}", document.machine);
    let report = fs::read_to_string(folder.path().join("report.md")).unwrap();
    let targets = text.split_once("\nTargets (").unwrap().1;
    assert!(report.contains(targets.split_once("\nThe whole report").unwrap().0));
    for figure in document.figures.iter().filter(|figure| figure.at_most.is_some()) {
        assert!(targets.contains(&format!("  {}  ", figure.what)), "{}", figure.what);
    }
}

#[test]
fn plots_are_well_formed_and_show_each_figure_with_its_name() {
    let Ran { document, folder, .. } = run(&["ledger"], None);
    let text = fs::read_to_string(folder.path().join("bytes-a-key.svg")).unwrap();
    let plot = Xml::parse(&text).unwrap();
    let words: Vec<&str> = plot.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    let shown = document.figures.iter().filter(|figure| figure.unit == Unit::Bytes);
    for figure in shown {
        assert!(words.contains(&&*figure.what), "{}: {words:?}", figure.what);
        assert!(words.contains(&&*figure.unit.show(figure.value)), "{}", figure.what);
    }
    assert!(words.contains(&"bytes"), "the axis has its unit");
    let report = fs::read_to_string(folder.path().join("report.md")).unwrap();
    for plot in report.lines().filter_map(|line| line.strip_prefix("![")?.strip_suffix(')')?.split_once("](")) {
        assert!(Xml::parse(&fs::read_to_string(folder.path().join(plot.1)).unwrap()).is_ok(), "{}", plot.1);
    }
}

#[test]
fn what_has_risen_since_the_stored_run_is_told() {
    let Ran { text, document, folder } = run(&["intent"], None);
    assert!(text.contains("none is stored"), "{text}");
    let before = Document {
        figures: document
            .figures
            .iter()
            .map(|figure| Figure { value: (figure.value * 2.0).round() - 1.0, ..figure.clone() })
            .collect(),
        ..document
    };
    let stored = folder.path().join("stored.json");
    fs::write(&stored, serde_json::to_string(&before).unwrap()).unwrap();
    let Ran { text, document: after, .. } = run(&["intent"], Some(&stored));
    let risen = text.split_once("\nRisen since the stored run").unwrap().1;
    for (figure, before) in after.figures.iter().zip(&before.figures) {
        assert_eq!((figure.stored, &figure.id), (Some(before.value), &before.id));
        // A count rose from less than nothing to nothing; times are not judged.
        let row = |line: &str| {
            line.contains(&format!("  {}  ", figure.what)) && line.contains(&figure.unit.show(figure.value))
        };
        assert_eq!(risen.lines().any(row), figure.unit == Unit::Allocations, "{}\n{risen}", figure.id);
    }
    fs::write(&stored, "{}").unwrap();
    let refused = bench().args(["intent", "--quick", STORED]).arg(&stored).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("stored.json"));
}
