//! The wiring matrix: every option of the gateway does what is stated of it, for whole answers and for streams, and what is
//! seen is another without it.
//!
//! The list of options is read off the types of the configuration, so that none can be left out. The options of the
//! layers have a matrix of their own; here each of their tables has to reach the running gateway.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod edit;
mod keys;
mod layers;
mod matrix;
mod models;
mod program;
mod providers;
mod scene;
mod server;
mod simulated;
mod tls;
mod upstream;

use std::collections::BTreeSet;

use llm_stack::StackConfig;
use matrix::{Entry, is_wired};
use xtask_options::{options_of, words_of};

/// The options of the gateway's own tables. A test of its `config.rs` compares them with the types, which nobody but the
/// gateway can see.
const OWN: &str = include_str!("own_options.txt");

/// The tables of the stack whose options are the gateway's to prove. Of the others it has to prove that they are there.
const OF_THE_EDGES: [&str; 3] = ["providers", "simulated", "models"];

fn entries() -> Vec<Entry> {
    [
        server::entries(),
        keys::entries(),
        providers::entries(),
        simulated::entries(),
        models::entries(),
        layers::entries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn options() -> BTreeSet<String> {
    let of_stack = options_of::<StackConfig>().into_iter().map(|option| {
        let table = option.split(['.', '[']).next().unwrap();
        if OF_THE_EDGES.contains(&table) { option } else { table.to_owned() }
    });
    OWN.lines().map(str::to_owned).chain(of_stack).collect()
}

#[test]
fn every_option_has_an_entry_and_every_entry_an_option() {
    let (options, entries) = (options(), entries());
    let listed: BTreeSet<_> = entries.iter().map(|entry| entry.option.to_owned()).collect();
    let mut faults = Vec::new();
    faults.extend(options.difference(&listed).map(|option| {
        format!("`{option}` has no entry in the wiring matrix: state what it does, and for whom it does nothing")
    }));
    faults.extend(listed.difference(&options).map(|entry| format!("`{entry}` has an entry and is no option")));
    for (option, word) in words_of::<StackConfig>().into_iter().filter(|(option, _)| options.contains(option)) {
        if !entries.iter().any(|entry| entry.option == option && entry.says(&word)) {
            faults.push(format!("`{option} = \"{word}\"` has no entry in the wiring matrix"));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let table = matrix::table(&entries);
    println!("{table}");
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/../wiring-gateway.md"), table).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_argument_and_variable_is_wired() {
    program::is_wired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_the_server_is_wired() {
    is_wired(server::entries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_keys_and_operators_is_wired() {
    is_wired(keys::entries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_providers_is_wired() {
    is_wired(providers::entries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_simulated_models_is_wired() {
    is_wired(simulated::entries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_of_models_is_wired() {
    is_wired(models::entries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_every_layer_is_wired() {
    is_wired(layers::entries()).await;
}
