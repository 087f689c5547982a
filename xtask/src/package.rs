//! `cargo xtask package`: each crate is packed as it would be published, and builds from what was packed alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;

/// What a registry shows of a crate: keys of the manifest that is packed.
const KEYS: [&str; 8] =
    ["rust-version", "description", "readme", "documentation", "keywords", "categories", "license", "repository"];
/// What lies in every package, since whoever has it may have nothing else of ours.
const FILES: [&str; 3] = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Packs what may be published, which is all in `crates/`, looks at what is in the packages, and builds that.
///
/// Cargo could build it while it packs, but takes crates of ours that others need from where it has unpacked them once,
/// whatever has become of them since.
pub(crate) fn run() -> Outcome {
    let mut pack = process::cargo(["package", "--workspace", "--no-verify", "--allow-dirty"]);
    let mut crates = Vec::new();
    for package in workspace::packages()? {
        if package.directory.starts_with("crates/") {
            crates.push(package.manifest.name);
        } else {
            pack.args(["--exclude", &package.manifest.name]);
        }
    }
    process::run(&mut pack)?;

    let packed = workspace::target_directory().join("package");
    let unpacked = packed.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)
            .map_err(|error| format!("{} could not be removed: {error}", unpacked.display()))?;
    }
    let mut problems = Vec::new();
    for name in &crates {
        let directory = unpack(&packed, &unpacked, name)?;
        let manifest = workspace::read(&directory.join("Cargo.toml"))?;
        problems.extend(check(name, &manifest, |file| directory.join(file).is_file()));
    }
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }

    // Who builds with the same versions of everything else need not build that again.
    let lock = workspace::read(&workspace::root().join("Cargo.lock"))?;
    write(&unpacked.join("Cargo.lock"), &lock)?;
    write(&unpacked.join("Cargo.toml"), &workspace_of(&crates))?;
    let mut build = process::cargo(["check", "--workspace"]);
    build.current_dir(&unpacked).env("CARGO_TARGET_DIR", workspace::target_directory());
    // As in our own workspace, for the same reason.
    build.env("CARGO_PROFILE_DEV_DEBUG", "false");
    process::run(&mut build)?;
    Ok(Done::default())
}

/// What a package is called with its version, which is ours, too.
fn versioned(name: &str) -> String {
    format!("{name}-{}", env!("CARGO_PKG_VERSION"))
}

fn unpack(packed: &Path, unpacked: &Path, name: &str) -> Result<PathBuf, String> {
    fs::create_dir_all(unpacked).map_err(|error| format!("{} could not be made: {error}", unpacked.display()))?;
    let archive = packed.join(versioned(name) + ".crate");
    // Files are as new as they are here, and not as old as in every archive of cargo's: or nothing would be built again.
    process::run(
        Command::new("tar").args(["--extract", "--gzip", "--touch", "--file"]).arg(archive).arg("-C").arg(unpacked),
    )?;
    Ok(unpacked.join(versioned(name)))
}

/// A workspace of the packages alone, in which they need each other and not what a registry has by their names.
fn workspace_of(crates: &[String]) -> String {
    let members: Vec<String> = crates.iter().map(|name| format!("{:?}", versioned(name))).collect();
    let patches: String = crates.iter().map(|name| format!("{name} = {{ path = {:?} }}\n", versioned(name))).collect();
    format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[patch.crates-io]\n{patches}", members.join(", "))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{} could not be written: {error}", path.display()))
}

/// What a package lacks, in sentences.
fn check(name: &str, manifest: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let says = |key: &str| manifest.lines().any(|line| line.split_once(" = ").is_some_and(|(before, _)| before == key));
    let keys = KEYS.iter().filter(|key| !says(key));
    let files = FILES.iter().filter(|file| !has(file));
    keys.map(|key| format!("{name} does not say its {key}: add it to its Cargo.toml"))
        .chain(files.map(|file| format!("{name} is packed without {file}: put it beside its Cargo.toml")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "rust-version = \"1\"\ndescription = \"x\"\nreadme = \"README.md\"\ndocumentation = \"x\"\n\
                            keywords = [\ncategories = [\nlicense = \"MIT\"\nrepository = \"x\"\n";

    #[test]
    fn a_complete_package_lacks_nothing() {
        assert!(check("llm-x", COMPLETE, |_| true).is_empty());
    }

    #[test]
    fn each_key_and_each_file_is_asked_for() {
        for key in KEYS {
            let line = format!("{key} = ");
            let without: String =
                COMPLETE.lines().filter(|one| !one.starts_with(&line)).map(|one| format!("{one}\n")).collect();
            let problems = check("llm-x", &without, |_| true);
            assert_eq!(problems, [format!("llm-x does not say its {key}: add it to its Cargo.toml")]);
        }
        for file in FILES {
            assert_eq!(check("llm-x", COMPLETE, |one| one != file).len(), 1, "{file}");
        }
    }
}
