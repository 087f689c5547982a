//! The house rules that no compiler checks. Each broken rule is a sentence that says what to do.
//!
//! The rules are plain functions over text; [`run`] only walks the tree.

use std::path::Path;

use crate::source::code_only;
use crate::workspace::{self, Package};

/// One crate per concern, none of which may know another.
pub(crate) const LAYER_CRATES: [&str; 9] = [
    "llm-classify",
    "llm-timeout",
    "llm-retry",
    "llm-breaker",
    "llm-router",
    "llm-fallback",
    "llm-budget",
    "llm-cache",
    "llm-telemetry",
];
/// The edges speak dialects, so they may use `llm-wire`.
const EDGE_CRATES: [&str; 4] = ["llm-providers", "llm-serve", "llm-grpc", "llm-sim"];
/// A file that is longer has two subjects.
const MOST_LINES: usize = 400;
/// The only place that reads the wall clock; everything else stays on tokio's time, which tests can pause.
const CLOCK: &str = "crates/llm-core/src/clock.rs";
/// What nobody wants to find in a release.
const LEFTOVER_MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Checks every file of the workspace.
pub(crate) fn run() -> Result<(), String> {
    println!("$ tidy");
    let root = workspace::root();
    let mut problems = Vec::new();
    for package in workspace::packages()? {
        let has = |file: &str| root.join(&package.directory).join(file).is_file();
        problems.extend(check_files(&package, has));
        problems.extend(check_manifest(&package));
    }
    for path in files(&root)? {
        if path.ends_with(".rs") {
            problems.extend(check_source(&path, &workspace::read(&root.join(&path))?));
        } else if path.ends_with("README.md") {
            problems.extend(check_readme(&path, &workspace::read(&root.join(&path))?));
        }
    }
    for problem in &problems {
        println!("tidy: {problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err("tidy found 1 problem, see above".to_owned()),
        count => Err(format!("tidy found {count} problems, see above")),
    }
}

/// What must lie in a package's directory.
fn check_files(package: &Package, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let directory = &package.directory;
    if directory.starts_with("crates/") && !has("README.md") {
        problems.push(format!(
            "{directory} has no README.md: write 15 lines that say what it is, where it goes and how it is used"
        ));
    }
    if LAYER_CRATES.contains(&package.manifest.name.as_str()) && !has("tests/contract.rs") {
        problems
            .push(format!("{directory} has no tests/contract.rs: run the laws of llm-test against its layer there"));
    }
    problems
}

/// Lints are inherited, and crates know only what stands below them.
fn check_manifest(package: &Package) -> Vec<String> {
    let Package { directory, manifest } = package;
    let mut problems = Vec::new();
    if !manifest.inherits_lints {
        problems
            .push(format!("{directory}/Cargo.toml does not inherit the lints: add `[lints]` with `workspace = true`"));
    }
    let Some(allowed) = allowed_dependencies(&manifest.name) else { return problems };
    let ours = manifest.dependencies.iter().filter(|name| name.starts_with("llm-"));
    for dependency in ours.filter(|name| !allowed.contains(&name.as_str())) {
        let allowed = if allowed.is_empty() { "no crate of ours".to_owned() } else { allowed.join(" and ") };
        problems.push(format!(
            "{directory}/Cargo.toml depends on {dependency}: {} may use {allowed}; move what they share into llm-core, \
             or what needs both into llm-stack",
            manifest.name
        ));
    }
    problems
}

/// The crates of ours that a crate may depend on; `None` when it may use all.
fn allowed_dependencies(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "llm-core" => Some(&[]),
        "llm-wire" | "llm-test" => Some(&["llm-core"]),
        _ if LAYER_CRATES.contains(&name) => Some(&["llm-core"]),
        _ if EDGE_CRATES.contains(&name) => Some(&["llm-core", "llm-wire"]),
        _ => None,
    }
}

/// The rules about one source file. `path` is relative to the root, with forward slashes.
fn check_source(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(format!("{path} does not start with `//!`: say in its first line what the module is for"));
    }
    let length = text.lines().count();
    if length > MOST_LINES && !may_be_long(path) {
        problems.push(format!("{path} has {length} lines: split it by subject, {MOST_LINES} are the limit"));
    }
    let code = code_only(text);
    for (number, line) in (1..).zip(code.lines()) {
        for name in LEFTOVER_MACROS.iter().filter(|name| calls_macro(line, name)) {
            problems.push(format!("{path}:{number} calls `{name}!`: finish it or take it out"));
        }
        if line.contains("#[ignore") {
            problems.push(format!("{path}:{number} ignores a test: make it pass or delete it"));
        }
    }
    if path.starts_with("crates/") && path.contains("/src/") && path != CLOCK {
        for number in std_clock_lines(&code) {
            problems.push(format!(
                "{path}:{number} reads std's clock: use tokio's `Instant`, or `llm_core::clock` for wall time, \
                 so that paused time moves it"
            ));
        }
    }
    problems
}

/// Tests and dialect tables are lists; they may be as long as they need.
fn may_be_long(path: &str) -> bool {
    let is_test = path.starts_with("tests/") || path.contains("/tests/");
    let is_test = is_test || path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
    is_test || path.starts_with("crates/llm-wire/src/openai/")
}

fn calls_macro(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}!")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// The lines of `code` that name `std::time::Instant`, alone or in a group, or call `SystemTime::now`.
fn std_clock_lines(code: &str) -> Vec<usize> {
    let line_of = |at: usize| code[..at].matches('\n').count() + 1;
    let mut lines: Vec<usize> = code.match_indices("SystemTime::now").map(|(at, _)| line_of(at)).collect();
    let std_time = "std::time::";
    for (at, _) in code.match_indices(std_time) {
        let named = &code[at + std_time.len()..];
        let named = match named.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or(group),
            None => named.split(|next: char| !next.is_alphanumeric()).next().unwrap_or(named),
        };
        if named.split(',').any(|name| name.split_whitespace().next() == Some("Instant")) {
            lines.push(line_of(at));
        }
    }
    lines.sort_unstable();
    lines
}

/// A version in prose is wrong after the next release.
fn check_readme(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("llm-") && is_versioned_dependency(line) {
            problems.push(format!(
                "{path}:{number} names a version of our own crate: leave it out, or show `cargo add` instead"
            ));
        }
    }
    problems
}

/// `llm-core = "0.1"`, `llm-core = { version = "0.1" }`
fn is_versioned_dependency(line: &str) -> bool {
    line.split('=').skip(1).any(|value| {
        let version = value.trim_start().strip_prefix('"').unwrap_or_default();
        version.trim_start_matches(['^', '~', '=', '>', '<', ' ']).starts_with(|first: char| first.is_ascii_digit())
    })
}

/// Every file that is ours, relative to `root`, with forward slashes.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut unread = vec![String::new()];
    while let Some(directory) = unread.pop() {
        for name in workspace::entries(&root.join(&directory))? {
            let is_ours = !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules" | "corpus");
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if root.join(&path).is_dir() {
                unread.extend(is_ours.then_some(path));
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[path = "tidy_tests.rs"]
mod tests;
