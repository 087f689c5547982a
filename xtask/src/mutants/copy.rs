//! The copy of the workspace in which things are broken.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::list::Breakage;
use crate::workspace;

/// A copy of the files that git knows, or would with the next commit.
pub(super) struct Copy {
    files: Vec<String>,
    pub(super) root: PathBuf,
    /// Where it is built, apart from everything else.
    pub(super) target: PathBuf,
}

impl Copy {
    pub(super) fn new() -> Result<Self, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(workspace::root())
            .output()
            .map_err(|error| format!("git could not be asked for the files of the workspace: {error}"))?;
        if !listed.status.success() {
            return Err("git could not tell the files of the workspace".to_owned());
        }
        let listed = String::from_utf8_lossy(&listed.stdout);
        // A file that was deleted is known until that is committed.
        let is_there = |name: &&str| !name.is_empty() && workspace::root().join(name).is_file();
        let files = listed.split('\0').filter(is_there).map(str::to_owned).collect();
        let directory = workspace::target_directory().join("mutants");
        Ok(Self { files, root: directory.join("copy"), target: directory.join("target") })
    }

    /// Makes the copy the same as the workspace. What is the same already is not touched, so that it is not built again.
    pub(super) fn restore(&self) -> Result<(), String> {
        for name in &self.files {
            let original = read(&workspace::root().join(name))?;
            let path = self.root.join(name);
            if fs::read(&path).ok().as_ref() != Some(&original) {
                write(&path, &original)?;
            }
        }
        // Tests leave files behind by which later ones are other tests, as proptest does after a failure.
        let known: HashSet<PathBuf> = self.files.iter().map(|name| self.root.join(name)).collect();
        remove_unknown(&self.root, &known)
    }

    pub(super) fn apply(&self, breakage: &Breakage) -> Result<(), String> {
        let path = self.root.join(&breakage.file);
        let broken = breakage.apply(&workspace::read(&path)?)?;
        write(&path, broken.as_bytes())
    }
}

fn remove_unknown(directory: &Path, known: &HashSet<PathBuf>) -> Result<(), String> {
    for name in workspace::entries(directory)? {
        let path = directory.join(name);
        if path.is_dir() {
            remove_unknown(&path, known)?;
        } else if !known.contains(&path) {
            fs::remove_file(&path).map_err(|error| format!("{} could not be removed: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{} could not be read: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let parent = path.parent().expect("a file is in a directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| format!("{} could not be written: {error}", path.display()))
}
