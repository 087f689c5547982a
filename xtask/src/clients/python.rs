//! Python SDKs, in a virtual environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::{Runtime, SCRIPTS};
use crate::apt;
use crate::process;
use crate::workspace;

/// The SDKs and their versions.
const REQUIREMENTS: &str = "requirements.txt";
/// Succeeds on a Python that is recent enough for the SDKs and can make virtual environments;
/// Debian packs the latter apart.
const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// Installs Python where it is missing and the SDKs into `folder`; returns the Python that knows them.
pub(super) fn set_up(folder: &Path) -> Result<Runtime, String> {
    let environment = folder.join("venv");
    let python = environment.join("bin").join("python");
    let scripts = workspace::root().join(SCRIPTS);
    let requirements = scripts.join(REQUIREMENTS);
    let wanted = workspace::read(&requirements)?;
    // Written last, so that it is only there when everything it names is installed.
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) && is_usable(&python) {
        return Ok(Runtime { program: python, scripts });
    }
    let system = find_or_install()?;
    process::run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    process::run(&mut pip)?;
    fs::write(&installed, wanted).map_err(|error| format!("{} could not be written: {error}", installed.display()))?;
    Ok(Runtime { program: python, scripts })
}

fn find_or_install() -> Result<PathBuf, String> {
    if let Some(python) = find() {
        return Ok(python);
    }
    apt::install(&["python3", "python3-venv"])
        .map_err(|reason| format!("there is no Python 3.10 or newer with `venv`, and {reason}"))?;
    find().ok_or_else(|| "the Python of this system is older than 3.10 or cannot make virtual environments".to_owned())
}

/// The first usable `python3`. One that is not may hide the system's.
fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|directory| directory.join("python3"));
    candidates.find(|python| is_usable(python))
}

fn is_usable(python: &Path) -> bool {
    process::succeeds(Command::new(python).args(["-c", PROBE]))
}
