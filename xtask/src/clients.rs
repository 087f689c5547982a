//! `cargo xtask clients`: SDK clients that know nothing of us, unchanged, against the gateway over real sockets.
//!
//! Each client is a script in `tests/clients` that gets the addresses of the [servers] and prints a line a
//! check. What it needs is installed below `target/clients`.

mod node;
mod python;
mod script;
mod server;
mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Done, Outcome};
use crate::workspace;
use script::Checks;
use servers::Servers;

/// Where the scripts are, and what they need.
const SCRIPTS: &str = "tests/clients";

/// One SDK.
struct Client {
    name: &'static str,
    language: Language,
    script: &'static str,
}

const CLIENTS: [Client; 5] = [
    Client { name: "openai (Python)", language: Language::Python, script: "openai_python.py" },
    Client { name: "anthropic (Python)", language: Language::Python, script: "anthropic_python.py" },
    Client { name: "openai (Node)", language: Language::Node, script: "openai_node.mjs" },
    Client { name: "anthropic (Node)", language: Language::Node, script: "anthropic_node.mjs" },
    Client { name: "ai (Node)", language: Language::Node, script: "ai_node.mjs" },
];

/// What the SDKs are written in, and share an environment by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    Node,
}

impl Language {
    const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// Makes the language and its SDKs ready below the folder. The error says why this machine cannot.
    fn set_up(self, folder: &Path) -> Result<Runtime, String> {
        match self {
            Self::Python => python::set_up(folder),
            Self::Node => node::set_up(folder),
        }
    }
}

/// What runs the scripts of one language.
#[derive(Debug)]
struct Runtime {
    program: PathBuf,
    /// The folder to run the scripts from.
    scripts: PathBuf,
}

/// Runs every client against servers of its own, and prints how each did.
pub(crate) fn run() -> Outcome {
    let folder = workspace::target_directory().join("clients");
    let mut done = Done::default();
    let mut ready = Vec::new();
    for language in Language::ALL {
        let clients = CLIENTS.iter().filter(|client| client.language == language);
        match language.set_up(&folder) {
            Ok(runtime) => ready.extend(clients.map(|client| (client.name, command(&runtime, client.script)))),
            Err(reason) => done.not_checked.extend(clients.map(|client| format!("{} not run: {reason}", client.name))),
        }
    }
    let mut results = Vec::new();
    if !ready.is_empty() {
        let programs = servers::build()?;
        for (name, mut script) in ready {
            // Of its own, so that no script depends on the circuits and counters that another has left behind.
            let servers = Servers::start(&programs, &folder)?;
            script.args(servers.arguments());
            results.push((name, script::run(script)?));
        }
    }
    println!();
    for (name, checks) in &results {
        println!("{name:<18} {:>3} passed, {} failed", checks.passed, checks.failed.len());
    }
    done.not_checked.iter().for_each(|sentence| println!("{sentence}"));
    let failed: Vec<String> = results.iter().filter_map(|(name, checks)| failure(name, checks)).collect();
    if failed.is_empty() { Ok(done) } else { Err(failed.join("; ")) }
}

fn command(runtime: &Runtime, script: &str) -> Command {
    let mut command = Command::new(&runtime.program);
    command.arg(runtime.scripts.join(script));
    // Python would leave its bytecode among the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn failure(name: &str, checks: &Checks) -> Option<String> {
    (!checks.failed.is_empty()).then(|| format!("{name} failed: {}", checks.failed.join(", ")))
}
