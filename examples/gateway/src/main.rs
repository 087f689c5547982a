//! A gateway for language models, composed from the layers of this workspace.
//!
//! Started with nothing, it serves simulated models on the loopback interface. With a key in the environment, or a
//! configuration file, it serves real ones. `gateway --help` tells the rest.

mod admin;
mod app;
mod banner;
mod circuits;
mod config;
mod entrance;
mod framing;
mod hosts;
mod keys;
mod linger;
mod place;
mod plain;
mod served;
mod server;
mod signals;
mod slow;
mod stall;
mod stats;

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use llm_providers::{Preset, ProviderConfig};
use llm_stack::{Stack, StackConfig};
use secrecy::SecretString;
use tokio::{sync::watch, time::Instant};
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::{
    admin::Admin,
    config::{AdminConfig, Config, ConfigError, GatewayConfig},
    hosts::Hosts,
    keys::Keys,
    server::Phase,
    signals::Signals,
    stats::Stats,
};

/// An OpenAI- and Anthropic-compatible gateway for language models.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file. Without one, the models of OpenAI are served if OPENAI_API_KEY is set, and those of
    /// Anthropic if ANTHROPIC_API_KEY is; with neither, simulated ones.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on, instead of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Says what is wrong with the configuration, or that nothing is, and ends.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal).init();
    let plan = match Plan::make(&arguments) {
        Ok(plan) => plan,
        Err(sentence) => {
            eprintln!("{sentence}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        println!("the configuration is in order: {}", banner::summary(&plan.stack));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(plan))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the gateway cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A configuration that has been checked as a whole.
struct Plan {
    gateway: GatewayConfig,
    stack: Stack,
    keys: Keys,
    admin_key: Option<SecretString>,
    /// Nobody chose the address, so another port is as good.
    may_move: bool,
}

impl Plan {
    /// Reads and checks everything, before anything is begun.
    fn make(arguments: &Arguments) -> Result<Self, String> {
        let Some(file) = &arguments.config else {
            let config = Config { gateway: GatewayConfig::default(), stack: stack_of_environment() };
            return Self::check(config, arguments).map_err(|error| error.to_string());
        };
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        Config::parse(&text)
            .and_then(|config| Self::check(config, arguments))
            .map_err(|error| format!("{name}: {}", error.in_text(&text)))
    }

    fn check(config: Config, arguments: &Arguments) -> Result<Self, ConfigError> {
        let Config { mut gateway, stack } = config;
        let may_move = arguments.config.is_none() && arguments.listen.is_none();
        gateway.server.listen = arguments.listen.unwrap_or(gateway.server.listen);
        gateway.server.check(gateway.keys.is_empty())?;
        let keys = Keys::new(&gateway.keys)?;
        if let Some(admin) = &gateway.admin {
            admin.check()?;
        }
        let admin_key = gateway.admin.as_ref().map(AdminConfig::key).transpose()?;
        let stack = Stack::try_from(stack).map_err(|error| ConfigError::at(error.path(), error.message()))?;
        Ok(Self { gateway, stack, keys, admin_key, may_move })
    }
}

/// What is served when nobody says what to serve: the models of each provider whose key is in the environment.
fn stack_of_environment() -> StackConfig {
    let has_key = |name: &&str| {
        let variable = Preset::find(name).and_then(|preset| preset.key_env);
        variable.and_then(|variable| std::env::var(variable).ok()).is_some_and(|key| !key.trim().is_empty())
    };
    let providers: Vec<_> = ["openai", "anthropic"].into_iter().filter(has_key).map(ProviderConfig::new).collect();
    if providers.is_empty() { StackConfig::simulated() } else { StackConfig { providers, ..StackConfig::default() } }
}

async fn run(plan: Plan) -> std::io::Result<()> {
    let Plan { gateway: GatewayConfig { server, admin, keys: _ }, stack, keys, admin_key, may_move } = plan;
    let listener = server::listen(server.listen, may_move).await?;
    let admin_listener = match &admin {
        Some(admin) => Some(server::listen(admin.listen, false).await?),
        None => None,
    };
    let (phase, phases) = watch::channel(Phase::Serving);
    let stats = Stats::default();
    let limits = server.limits();
    // Before anybody is told that it runs, and could tell it to stop.
    let mut signals = Signals::new()?;

    banner::print(&listener, admin_listener.as_ref(), &stack, keys.is_empty())?;
    let mut admin_task = None;
    if let (Some(listener), Some(config), Some(key)) = (admin_listener, admin, admin_key) {
        let pages =
            Admin { stack: stack.clone(), stats: stats.clone(), phase: phases.clone(), started: Instant::now() };
        let app = admin::app(pages, key, Hosts::new(config.listen, &config.hosts));
        admin_task = Some(tokio::spawn(server::serve(listener, app, limits, phases.clone())));
    }
    let app = app::app(&stack, &stats, keys, &server, phases.clone());
    let doors = tokio::spawn(server::serve(listener, app, limits, phases));

    signals.next().await?;
    info!(delay = ?server.drain_delay, grace = ?server.grace,
        "told to stop: open requests may finish; a second signal ends at once");
    let drained = async {
        phase.send_replace(Phase::Leaving);
        tokio::time::sleep(server.drain_delay).await;
        phase.send_replace(Phase::Stopping);
        let _ = doors.await;
        if let Some(task) = admin_task {
            let _ = task.await;
        }
    };
    tokio::select! {
        () = drained => info!("stopped"),
        again = signals.next() => again?,
    }
    Ok(())
}
