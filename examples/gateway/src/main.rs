//! A gateway for language models, composed from the layers of this workspace.
//!
//! Started with nothing, it serves simulated models on the loopback interface. With a key in the environment, or a
//! configuration file, it serves real ones. `gateway --help` tells the rest.

mod admin;
mod app;
mod banner;
mod cache;
mod circuits;
mod config;
mod entrance;
mod framing;
mod hosts;
mod keys;
mod limits;
mod linger;
mod live;
mod notices;
mod place;
mod plain;
mod plan;
mod remaining;
mod routes;
mod served;
mod server;
mod signals;
mod slow;
mod spend;
mod stall;
mod stats;
mod whose;

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::plan::Plan;

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
    let plan = match Plan::make(&arguments, None) {
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
    let run = |runtime: Runtime| {
        let ended = runtime.block_on(live::run(plan, arguments));
        // A configuration that is still being read keeps nobody waiting.
        runtime.shutdown_background();
        ended
    };
    match runtime.and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the gateway cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}
