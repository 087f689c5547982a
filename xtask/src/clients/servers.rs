//! What stands behind and around the clients: gateways before simulated providers, and one that asks for keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::SCRIPTS;
use super::server::Server;
use crate::process;
use crate::workspace;

/// The providers that serve the models of `gateway.toml`; those of `resilient.toml`, `budget.toml` and `cache.toml` are the
/// ones that are not within the gateway.
const PROVIDERS: [&str; 3] = ["simulated", "over-openai", "over-anthropic"];
/// Where a gateway's file wants to be told the address of the provider behind it.
const PLACEHOLDER: &str = "UPSTREAM";
/// The operators' key, which the scripts know: it guards counters and circuits on this machine for as long as they run.
const ADMIN_KEY: (&str, &str) = ("CLIENTS_ADMIN_KEY", "clients-admin-key");
/// With these in the environment a gateway would call real providers, for money.
const PROVIDER_KEYS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// The running servers. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    plain: Watched,
    keyed: Server<1>,
    resilient: Watched,
    routed: Watched,
    budgeted: Watched,
    cached: Watched,
}

impl Servers {
    /// Starts them, each on free ports, with what is in the folder of the programs and files made in `folder`.
    pub(super) fn start(programs: &Path, folder: &Path) -> Result<Self, String> {
        let keyed = workspace::root().join(SCRIPTS).join("keyed.toml");
        Ok(Self {
            plain: Watched::start(programs, folder, "gateway.toml")?,
            keyed: Server::start(gateway(programs, &keyed), ["listening on"])?,
            resilient: Watched::start(programs, folder, "resilient.toml")?,
            routed: Watched::start(programs, folder, "routed.toml")?,
            budgeted: Watched::start(programs, folder, "budget.toml")?,
            cached: Watched::start(programs, folder, "cache.toml")?,
        })
    }

    /// What every script is told: see `checks.py`.
    pub(super) fn arguments(&self) -> Vec<String> {
        let Self { plain, keyed, resilient, routed, budgeted, cached } = self;
        let servers = [&plain.addresses()[..], &keyed.addresses(), &resilient.addresses(), &routed.addresses()];
        let mut arguments: Vec<String> = servers.concat().into_iter().map(str::to_owned).collect();
        arguments.extend([routed.config.display().to_string(), routed.gateway.process().to_string()]);
        let more = budgeted.addresses().into_iter().chain(cached.addresses()).chain(PROVIDERS);
        arguments.extend(more.map(str::to_owned));
        arguments
    }
}

/// A gateway of one file, with the provider of its simulated models behind it. Both tell of the calls they had.
#[derive(Debug)]
struct Watched {
    // The gateway comes first, so that it is ended before the provider that it calls.
    gateway: Server<2>,
    provider: Server<2>,
    /// The file that the gateway reads, and reads again when it is told to.
    config: PathBuf,
}

impl Watched {
    fn start(programs: &Path, folder: &Path, file: &str) -> Result<Self, String> {
        let source = workspace::root().join(SCRIPTS).join(file);
        let mut command = Command::new(programs.join("examples").join("upstream"));
        command.arg(&source);
        let provider = Server::start(command, ["listening on", "calls are told at"])?;
        let [address, _] = provider.addresses();

        let config = folder.join(file);
        let text = workspace::read(&source)?.replace(PLACEHOLDER, address);
        fs::write(&config, text).map_err(|error| format!("{} could not be written: {error}", config.display()))?;
        let mut command = gateway(programs, &config);
        command.env(ADMIN_KEY.0, ADMIN_KEY.1);
        let gateway = Server::start(command, ["listening on", "operators look at"])?;
        Ok(Self { gateway, provider, config })
    }

    /// Of the gateway's doors, of what it tells operators, and of what the provider tells of calls.
    fn addresses(&self) -> [&str; 3] {
        let ([doors, admin], [_, calls]) = (self.gateway.addresses(), self.provider.addresses());
        [doors, admin, calls]
    }
}

/// Builds the gateway and the provider, and returns the folder of the programs.
pub(super) fn build() -> Result<PathBuf, String> {
    let target = workspace::target_directory();
    for what in [["gateway", "--bin", "gateway"], ["llm-tests", "--example", "upstream"]] {
        process::run(process::cargo(["build", "-p"]).args(what).arg("--target-dir").arg(&target))?;
    }
    Ok(target.join("debug"))
}

fn gateway(programs: &Path, config: &Path) -> Command {
    let mut command = Command::new(programs.join("gateway"));
    command.args(["--listen", "127.0.0.1:0", "--config"]).arg(config);
    for key in PROVIDER_KEYS {
        command.env_remove(key);
    }
    command
}
