//! How the program is started: its arguments, and the variables of its environment.

use std::{collections::BTreeSet, process::Command};

use futures_util::future::BoxFuture;
use llm_providers::Preset;

use crate::{
    harness::{Gateway, chat},
    server::QUICK,
};

/// The variable that says what is logged. The others are those of the providers that are known by name.
const LOG: &str = "RUST_LOG";

/// An argument or a variable.
struct Switch {
    name: &'static str,
    /// What is seen with it or without, of whole answers or streams.
    observe: fn(Start) -> BoxFuture<'static, String>,
    shows: &'static str,
}

/// How the program is to be started, once.
#[derive(Clone, Copy)]
struct Start {
    name: &'static str,
    is_given: bool,
    is_stream: bool,
}

impl Start {
    /// The program with a configuration, and with the argument if it is given.
    async fn run(self, config: &str, argument: &[&str]) -> Result<Gateway, String> {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.env_remove(LOG).arg("--config").arg(file);
        command.args(argument.iter().filter(|_| self.is_given));
        tokio::task::spawn_blocking(move || Gateway::try_spawn(command, files)).await.unwrap()
    }

    async fn status(self, gateway: &Gateway) -> u16 {
        gateway.post("/v1/chat/completions", chat("m", self.is_stream)).await.status.as_u16()
    }
}

fn switches() -> Vec<Switch> {
    let of_keys = Preset::ALL.iter().filter_map(|preset| preset.key_env).map(|name| Switch {
        name,
        observe: |start| Box::pin(checked_with_key(start)),
        shows: "in order: true",
    });
    let switches = [
        Switch { name: "--config", observe: |start| Box::pin(with_file(start)), shows: "200" },
        Switch { name: "--listen", observe: |start| Box::pin(placed(start)), shows: "127.0.0.2 200" },
        Switch {
            name: "--check",
            observe: |start| Box::pin(ended(start)),
            shows: "ends with: the configuration is in order",
        },
        Switch {
            name: "--help",
            observe: |start| Box::pin(ended(start)),
            shows: "ends with: An OpenAI- and Anthropic-compatible",
        },
        Switch { name: "--version", observe: |start| Box::pin(ended(start)), shows: "ends with: gateway" },
        Switch { name: LOG, observe: |start| Box::pin(logged(start)), shows: "200, details: true" },
    ];
    switches.into_iter().chain(of_keys).collect()
}

async fn with_file(start: Start) -> String {
    if !start.is_given {
        let gateway = Gateway::start_bare().await;
        return start.status(&gateway).await.to_string();
    }
    let gateway = start.run(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{QUICK}"), &[]).await.unwrap();
    start.status(&gateway).await.to_string()
}

async fn placed(start: Start) -> String {
    let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n{QUICK}");
    let gateway = start.run(&config, &["--listen", "127.0.0.2:0"]).await.unwrap();
    format!("{} {}", gateway.address.ip(), start.status(&gateway).await)
}

/// What the program says if it ends without having served anybody.
async fn ended(start: Start) -> String {
    match start.run(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{QUICK}"), &[start.name]).await {
        Ok(gateway) => format!("serves: {}", start.status(&gateway).await),
        Err(said) => {
            let beginning = said.split([':', ' ']).take(if said.starts_with("the") { 5 } else { 4 });
            let beginning = beginning.collect::<Vec<_>>().join(" ");
            format!("ends with: {}", beginning.trim_end_matches(|last: char| !last.is_alphabetic()))
        }
    }
}

/// Whether there is more in the log than what the gateway says of itself, when it has said all.
async fn logged(start: Start) -> String {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, QUICK).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.env_remove(LOG).args(["--listen", "127.0.0.1:0", "--config"]).arg(file);
    if start.is_given {
        command.env(LOG, "debug");
    }
    let gateway = Gateway::try_spawn(command, files).unwrap();
    let status = start.status(&gateway).await;
    gateway.signal("TERM");
    while !gateway.said().contains(" stopped") {
        tokio::task::yield_now().await;
    }
    format!("{status}, details: {}", gateway.said().contains("DEBUG"))
}

/// Whether a provider that is known by name finds its key. It is not called, since it is elsewhere.
async fn checked_with_key(start: Start) -> String {
    let preset = Preset::ALL.iter().find(|preset| preset.key_env == Some(start.name)).unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, format!("[[providers]]\nname = \"{}\"\nmodels = [\"m\"]\n", preset.name)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.arg("--check").arg("--config").arg(file).env_remove(start.name);
    if start.is_given {
        command.env(start.name, "sk-of-environment");
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || sentence.contains(start.name), "{sentence}");
    format!("in order: {}", output.status.success())
}

/// The arguments that `--help` tells of, and the variables.
fn known() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let arguments = help.lines().filter(|line| line.trim_start().starts_with('-')).flat_map(str::split_whitespace);
    let arguments = arguments.filter(|word| word.starts_with("--")).map(str::to_owned);
    let variables = Preset::ALL.iter().filter_map(|preset| preset.key_env).chain([LOG]).map(str::to_owned);
    arguments.chain(variables).collect()
}

/// Holds all of them to what is stated, and the list to what the program knows.
pub(crate) async fn is_wired() {
    let switches = switches();
    let listed: BTreeSet<_> = switches.iter().map(|switch| switch.name.to_owned()).collect();
    assert_eq!(listed, known(), "what is listed here, and what the program tells of");
    let mut faults = Vec::new();
    for Switch { name, observe, shows } in switches {
        for is_stream in [false, true] {
            let start = |is_given| Start { name, is_given, is_stream };
            let (with, without) = tokio::join!(observe(start(true)), observe(start(false)));
            if with != shows || without == shows {
                faults
                    .push(format!("{name}, streamed {is_stream}: {with:?} and without it {without:?}, not {shows:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
