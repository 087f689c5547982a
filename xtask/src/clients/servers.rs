//! What stands behind and around the clients: a simulated provider, the gateway before it, and one that asks for keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::SCRIPTS;
use super::server::Server;
use crate::process;
use crate::workspace;

/// The providers of `gateway.toml` that serve its models.
const PROVIDERS: [&str; 3] = ["simulated", "over-openai", "over-anthropic"];
/// Where `gateway.toml` wants to be told the address of the running provider.
const PLACEHOLDER: &str = "UPSTREAM";
/// The operators' key, which the scripts know: it guards counters on this machine for as long as they run.
const ADMIN_KEY: (&str, &str) = ("CLIENTS_ADMIN_KEY", "clients-admin-key");
/// With these in the environment a gateway would call real providers, for money.
const PROVIDER_KEYS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// The running servers. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    // The gateways come first, so that they are ended before the provider that they call.
    gateway: Server<2>,
    keyed: Server<1>,
    provider: Server<2>,
}

impl Servers {
    /// Builds the servers and starts them, each on free ports.
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let programs = build()?;
        let models = workspace::root().join(SCRIPTS).join("gateway.toml");
        let mut command = Command::new(programs.join("examples").join("upstream"));
        command.arg(&models);
        let provider = Server::start(command, ["listening on", "calls are told at"])?;
        let [address, _] = provider.addresses();

        let config = folder.join("gateway.toml");
        let text = workspace::read(&models)?.replace(PLACEHOLDER, address);
        fs::write(&config, text).map_err(|error| format!("{} could not be written: {error}", config.display()))?;
        let program = programs.join("gateway");
        let mut command = gateway(&program, &config);
        command.env(ADMIN_KEY.0, ADMIN_KEY.1);
        let gateway_before_provider = Server::start(command, ["listening on", "operators look at"])?;
        let keyed = workspace::root().join(SCRIPTS).join("keyed.toml");
        let keyed = Server::start(gateway(&program, &keyed), ["listening on"])?;
        Ok(Self { gateway: gateway_before_provider, keyed, provider })
    }

    /// What every script is told: see `checks.py`.
    pub(super) fn arguments(&self) -> Vec<&str> {
        let ([gateway, admin], [keyed], [_, calls]) =
            (self.gateway.addresses(), self.keyed.addresses(), self.provider.addresses());
        [gateway, admin, calls, keyed].into_iter().chain(PROVIDERS).collect()
    }
}

/// Builds the gateway and the provider, and returns the folder of the programs.
fn build() -> Result<PathBuf, String> {
    let target = workspace::target_directory();
    for what in [["gateway", "--bin", "gateway"], ["llm-tests", "--example", "upstream"]] {
        process::run(process::cargo(["build", "-p"]).args(what).arg("--target-dir").arg(&target))?;
    }
    Ok(target.join("debug"))
}

fn gateway(program: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--config"]).arg(config);
    for key in PROVIDER_KEYS {
        command.env_remove(key);
    }
    command
}
