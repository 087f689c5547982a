//! What measures does run, and what it compares with does what it says.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use xtask_bench::{
    cache::{self, own},
    dialect::OPENAI,
    frames, instructions, intent,
    layers::{self, echo::Answer},
    ledger,
    load::{Connection, Question},
    lockstep,
    peer::{self, ORIGIN, PASS_THROUGH},
    pick,
    program::Program,
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

#[test]
fn every_operation_has_a_row_and_its_allocations() {
    let output = bench().args(["wire", "frames", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for operation in wire::operations().iter().chain(&frames::operations()) {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(&operation.name)).unwrap();
        let figures: Vec<f64> = row.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        let [_, _, allocations, bytes, ..] = figures[..] else { panic!("{row}") };
        assert!(allocations > 0.0 && bytes > 0.0, "{row}");
    }
}

#[test]
fn telling_an_intent_has_rows_and_allocates_nothing() {
    let output = bench().args(["intent", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for operation in intent::operations() {
        let row = text.lines().find(|line| line.trim().starts_with(&format!("{}  ", operation.name))).unwrap();
        assert!(row.ends_with(" 0"), "{row}");
    }
}

#[test]
fn every_strategy_has_a_row_and_none_allocates() {
    let output = bench().args(["pick", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for operation in pick::operations() {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{} ", operation.name))).unwrap();
        let figures: Vec<f64> = row.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let [of_8, of_100, allocations] = figures[..] else { panic!("{row}") };
        assert!(of_8 > 0.0 && of_100 > 0.0 && allocations == 0.0, "{row}");
    }
}

#[test]
fn every_layer_has_a_row_for_each_answer_it_is_measured_with() {
    let output = bench().args(["layers", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for case in layers::own::cases() {
        let rows = text.lines().filter(|line| line.trim().starts_with(&format!("{}  ", case.name))).count();
        let measured = layers::own::cases().iter().filter(|other| other.name == case.name).count();
        assert_eq!(rows, measured, "{}\n{text}", case.name);
    }
    let remembered: Vec<&str> = text.lines().skip_while(|line| !line.contains("bytes for each target")).collect();
    for layer in ["llm-breaker, a failure each", "llm-retry, a retry each", "llm-retry's hedge, an answer each"] {
        let row = remembered.iter().find_map(|line| line.trim().strip_prefix(layer)).unwrap();
        let bytes: Vec<f64> = row.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        // Names, state and a place in the table; what is kept once, however many targets there are, hardly shows.
        assert!(bytes.len() == 2 && bytes.iter().all(|bytes| (64.0..2_000.0).contains(bytes)), "{row}");
    }
}

#[test]
fn every_ledger_has_a_row_and_its_bytes() {
    let output = bench().args(["ledger", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
        let bytes: Vec<f64> = row.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        assert!(bytes.len() == 2 && bytes.iter().all(|bytes| (64.0..2_000.0).contains(bytes)), "{row}");
    }
}

#[test]
fn everything_about_the_cache_has_a_row_and_frames_are_handed_on_at_once() {
    let output = bench().args(["cache", "--quick"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for case in own::cases() {
        let rows = text.lines().filter(|line| line.trim().starts_with(&format!("{}  ", case.name))).count();
        let measured = own::cases().iter().filter(|other| other.name == case.name).count();
        assert_eq!(rows, measured, "{}\n{text}", case.name);
    }
    for reader in ["who called", "who joined"] {
        let row = text.lines().find_map(|line| line.trim().strip_prefix(reader)).unwrap();
        // The start waits for the first word.
        let figures: Vec<&str> = row.split_whitespace().take(2).collect();
        assert_eq!(figures, ["9", "8"], "{row}");
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
