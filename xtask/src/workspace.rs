//! The workspace on disk: its root, its packages and where cargo builds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::{self, Manifest};

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its directory relative to the root, with forward slashes: `crates/llm-core`.
    pub(crate) directory: String,
    /// What its `Cargo.toml` says.
    pub(crate) manifest: Manifest,
}

/// The workspace root, wherever we were started from.
pub(crate) fn root() -> PathBuf {
    // What cargo says when it runs us goes first: two checkouts that share a target directory share this program.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().expect("xtask is a directory of the workspace").to_owned()
}

/// Where cargo builds, and where we keep what may be deleted at any time.
pub(crate) fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Every package of the workspace, in the order of their directories.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let mut directories = Vec::new();
    for member in manifest::workspace_members(&read(&root().join("Cargo.toml"))?) {
        match member.strip_suffix("/*") {
            None => directories.push(member),
            Some(parent) => {
                for name in entries(&root().join(parent))? {
                    if root().join(parent).join(&name).join("Cargo.toml").is_file() {
                        directories.push(format!("{parent}/{name}"));
                    }
                }
            }
        }
    }
    directories.sort();
    directories.into_iter().map(package_in).collect()
}

fn package_in(directory: String) -> Result<Package, String> {
    let manifest = Manifest::parse(&read(&root().join(&directory).join("Cargo.toml"))?);
    Ok(Package { directory, manifest })
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} could not be read: {error}", path.display()))
}

/// The names in a directory, sorted.
pub(crate) fn entries(directory: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("{} could not be listed: {error}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_package_is_found() {
        let packages = packages().expect("the workspace can be read");
        let xtask = packages.iter().find(|package| package.directory == "xtask").expect("xtask is a member");
        assert_eq!(xtask.manifest.name, "xtask");
        assert!(xtask.manifest.inherits_lints);
        assert!(packages.iter().any(|package| package.directory == "crates/llm-core"));
    }
}
