//! `cargo xtask coverage`: which lines of the core and of the layers none of their tests runs.
//!
//! The compiler has programs count by themselves; what they have counted is read by tools of LLVM's. Those of rustup are
//! taken where they are installed, else Debian's: they may be older than the compiler as long as they know its format.

mod lines;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::lines::Lines;
use crate::apt;
use crate::process;
use crate::step::{Done, Outcome};
use crate::test_programs;
use crate::tidy::LAYER_CRATES;
use crate::workspace;

/// The package with the tools, and what their names end in there.
const DEBIANS: (&str, &str) = ("llvm-19", "-19");

/// Runs the tests of the core and of the layers, and prints what they leave out.
pub(crate) fn run() -> Outcome {
    let tools = Tools::find_or_install()?;
    let directory = workspace::target_directory().join("coverage");
    let raw = directory.join("raw");
    let compiler = prepare(&directory, &raw)
        .map_err(|error| format!("{} could not be written to: {error}", directory.display()))?;

    let mut crates = vec!["llm-core".to_owned()];
    let names = workspace::packages()?.into_iter().map(|package| package.manifest.name);
    crates.extend(names.filter(|name| LAYER_CRATES.contains(&name.as_str())));
    let tests = || {
        let mut tests = process::cargo(["test", "--no-fail-fast", "--lib", "--tests"]);
        tests.args(crates.iter().flat_map(|name| ["-p", name]));
        // Only what is ours counts, so everything else need not be built again.
        tests.env("RUSTC_WORKSPACE_WRAPPER", &compiler).env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"));
        tests
    };
    // A test that fails has run as well, and is told of when what was counted has been.
    let passed = process::run(&mut tests());
    let programs = test_programs::build(&mut tests())??;

    let profile = directory.join("profile");
    let counts: Vec<PathBuf> = workspace::entries(&raw)?.into_iter().map(|name| raw.join(name)).collect();
    output(tools.command("llvm-profdata").args(["merge", "-sparse", "-o"]).arg(&profile).args(counts))?;
    let mut export = tools.command("llvm-cov");
    export.args(["export", "-format=lcov"]).arg(format!("-instr-profile={}", profile.display()));
    export.args(programs.iter().flat_map(|program| [Path::new("-object"), program]));

    let mut lines = Lines::default();
    for name in &crates {
        lines.add_crate(name);
    }
    lines.read(&output(&mut export)?, |file| workspace::read(&workspace::root().join(file)))?;
    print!("{lines}");
    passed.map(|()| Done::default())
}

/// Makes what the tests write into, and the compiler that has our crates count.
fn prepare(directory: &Path, raw: &Path) -> io::Result<PathBuf> {
    if raw.exists() {
        fs::remove_dir_all(raw)?;
    }
    fs::create_dir_all(raw)?;
    let compiler = directory.join("rustc");
    fs::write(&compiler, "#!/bin/sh\nexec \"$@\" -C instrument-coverage\n")?;
    make_executable(&compiler)?;
    Ok(compiler)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Err(io::Error::other("the compiler is wrapped in a shell script, which needs Unix"))
}

/// Where the tools are, and what their names end in.
struct Tools {
    directory: PathBuf,
    suffix: &'static str,
}

impl Tools {
    fn find_or_install() -> Result<Self, String> {
        let (package, suffix) = DEBIANS;
        let sysroot = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
        let rustups = Path::new(sysroot.trim()).with_file_name("bin");
        let candidates = [Self { directory: rustups, suffix: "" }, Self { directory: PathBuf::new(), suffix }];
        if let Some(found) = candidates.into_iter().find(Self::are_there) {
            return Ok(found);
        }
        apt::install(&[package]).map_err(|why| {
            format!("there is neither llvm-cov of rustup's component llvm-tools nor llvm-cov{suffix}, and {why}")
        })?;
        Ok(Self { directory: PathBuf::new(), suffix })
    }

    fn are_there(&self) -> bool {
        ["llvm-profdata", "llvm-cov"].iter().all(|name| process::succeeds(self.command(name).arg("--version")))
    }

    fn command(&self, name: &str) -> Command {
        Command::new(self.directory.join(format!("{name}{}", self.suffix)))
    }
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ran = command.stdin(Stdio::null()).output().map_err(|error| format!("{program} could not be run: {error}"))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    Err(format!("{program} failed: {}", String::from_utf8_lossy(&ran.stderr).trim()))
}
