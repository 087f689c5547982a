//! Programs that serve while they are measured, and what the system says of them.

use std::{
    env, fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::NamedTempFile;

use crate::{
    Failure,
    canned::MODEL,
    peer::{ALL_AT_ONCE, ON_REQUEST, ORIGIN, PACED, PASS_THROUGH},
};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The proxy that does nothing.
    PassThrough,
    /// The gateway as it is by default.
    Gateway,
    /// The gateway with all layers on: a route, limits and a budget by tenant, a cache, and a fallback. Hedges and what looks
    /// into prompts are left out.
    LayeredGateway,
    /// The gateway that logs nothing, which shows what a line of log a request costs.
    SilentGateway,
    /// The gateway that speaks HTTP/2 to the origin, as it does to most providers.
    Http2Gateway,
}

impl Subject {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::PassThrough => "pass-through",
            Self::Gateway => "gateway",
            Self::LayeredGateway => "gateway, all layers",
            Self::SilentGateway => "gateway without log",
            Self::Http2Gateway => "gateway over HTTP/2",
        }
    }

    /// Starts it before `origin`. `tool` runs it, if there is one.
    pub fn start(self, origin: SocketAddr, tool: &[&str]) -> Result<Program, Failure> {
        let program = self.program()?;
        let mut command = match tool {
            [] => Command::new(&program),
            [tool, options @ ..] => {
                let mut command = Command::new(tool);
                command.args(options).arg(&program);
                command
            }
        };
        // One thread that works, so that no figure depends on the number of cores.
        command.env("TOKIO_WORKER_THREADS", "1").env_remove("RUST_LOG");
        let mut config = None;
        match self {
            Self::PassThrough => {
                command.args([PASS_THROUGH, &origin.to_string()]);
            }
            Self::Gateway | Self::LayeredGateway | Self::SilentGateway | Self::Http2Gateway => {
                let file = gateway_config(origin, self)?;
                command.args(["--listen", "127.0.0.1:0", "--config"]).arg(file.path());
                config = Some(file);
            }
        }
        if self == Self::SilentGateway {
            command.env("RUST_LOG", "off");
        }
        Program::start_with(command, config)
    }

    fn program(self) -> Result<PathBuf, Failure> {
        let own = env::current_exe()?;
        match self {
            Self::PassThrough => Ok(own),
            Self::Gateway | Self::LayeredGateway | Self::SilentGateway | Self::Http2Gateway => {
                let gateway = own.with_file_name("gateway");
                if gateway.is_file() {
                    Ok(gateway)
                } else {
                    Err(format!("there is no {}: start this with `cargo xtask bench`", gateway.display()).into())
                }
            }
        }
    }
}

/// One provider, which is the origin, and all else as it is by default.
fn gateway_config(origin: SocketAddr, subject: Subject) -> Result<NamedTempFile, Failure> {
    let file = NamedTempFile::with_suffix(".toml")?;
    let mut config = format!(
        "[[providers]]\nname = \"origin\"\nbase_url = \"http://{origin}/v1\"\nauth = \"none\"\nmodels = [\"*\"]\n"
    );
    match subject {
        Subject::Http2Gateway => config += "[providers.client]\nhttp_version = \"http2\"\n",
        Subject::LayeredGateway => {
            config += ALL_LAYERS;
            for model in [MODEL, ALL_AT_ONCE, PACED, ON_REQUEST] {
                config += &format!(
                    "[[models]]\nprovider = \"origin\"\nname = \"{model}\"\ninput = 0.25\noutput = 2.0\n\
                     [router.routes.{model}]\ntargets = [\"origin/{model}\"]\n"
                );
            }
        }
        Subject::PassThrough | Subject::Gateway | Subject::SilentGateway => {}
    }
    fs::write(file.path(), config)?;
    Ok(file)
}

/// Layers that are off by default, with bounds that are never reached.
const ALL_LAYERS: &str = r#"
[fallback]
message = "Nobody can answer right now."
[limit]
[[limit.rules]]
name = "per-tenant"
per = "tenant"
requests_per_minute = 1000000000
tokens_per_minute = 1000000000000
at_once = 100000
[cache]
[budget]
[[budget.caps]]
name = "all"
per = "global"
amounts = { usd = "1000000000", window = "month" }
[[budget.caps]]
name = "per-tenant"
per = "tenant"
amounts = { usd = "1000000000", window = "day" }
"#;

/// A program that serves. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _config: Option<NamedTempFile>,
}

impl Program {
    /// Starts the origin.
    pub fn origin() -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(ORIGIN);
        Self::start(command)
    }

    /// Starts what prints where it listens, and waits until it has.
    pub fn start(command: Command) -> Result<Self, Failure> {
        Self::start_with(command, None)
    }

    fn start_with(mut command: Command, config: Option<NamedTempFile>) -> Result<Self, Failure> {
        let shown = Path::new(command.get_program()).display().to_string();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // As in an operator's terminal, but that nobody looks.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{shown} could not be started: {error}"))?;
        let mut output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 {
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                let address = address.parse()?;
                // Standard output stays open until the program ends, or whatever it prints would fail.
                std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
                return Ok(Self { child, address, _config: config });
            }
            line.clear();
        }
        let status = child.wait()?;
        Err(format!("{shown} ended ({status}) before it listened").into())
    }

    /// Nanoseconds of processor time, in the program and in the system for it, of all its threads until now.
    pub fn cpu_nanoseconds(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            sum += cpu_nanoseconds(&thread?.path())?;
        }
        Ok(sum)
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("there is no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<ExitStatus, Failure> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        if !asked.success() {
            return Err("kill could not tell a program of ours to end".into());
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nanoseconds of processor time of the thread with this folder in `/proc`.
pub(crate) fn cpu_nanoseconds(thread: &Path) -> Result<u64, Failure> {
    let text = fs::read_to_string(thread.join("schedstat"))?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}
