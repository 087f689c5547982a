//! `cargo xtask conformance`: runs the laws against every crate that has a `tests/contract.rs`, and prints the matrix; then
//! has the package below `xtask/conformance` do the same with every order of five layers, and write the page.
//!
//! A law is a test function; its module, if any, says which case of the crate it ran on
//! (`unary::panic_releases`, `streamed::panic_releases`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::libtest;
use crate::manifest::Manifest;
use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;

/// The laws in the order in which they are explained; each crate shows which of them it is held to.
const LAWS: [&str; 22] = [
    "calls_only_ready_instance",
    "readies_before_each_attempt",
    "clone_is_not_ready",
    "ready_without_call_releases",
    "rejects_while_inner_is_never_ready",
    "rejection_is_not_a_readiness_error",
    "state_is_shared_by_clones_and_layers",
    "drop_future_releases",
    "drop_body_reports_abandoned",
    "panic_releases",
    "end_of_stream_reports_once",
    "error_frame_reports_failed",
    "frames_pass_unchanged_without_delay",
    "inner_error_passes_unchanged",
    "context_reaches_inner",
    "pending_is_woken_not_spun",
    "follows_paused_time",
    "keyed_state_is_bounded",
    "slow_listener_slows_nobody",
    "bad_config_is_refused_at_construction",
    "no_content_in_debug_or_logs",
    "types_are_clone_send_sync_debug",
];

/// Runs the laws against the crates of the workspace and every order, or what `options` name.
pub(crate) fn run(options: &[&str]) -> Outcome {
    match options {
        ["--layer", path] => run_one(path),
        // A single case, which no crate has.
        _ if options.contains(&"--only") => orders(options).map(|()| Done::default()),
        _ if are_numbers(options) => run_all(options),
        _ => Err("the options are --layer PATH, or --seed N, --cases N and --only CASE".to_owned()),
    }
}

/// Whether they are options of a whole run: looked at here, since the crates come first and take a while.
fn are_numbers(options: &[&str]) -> bool {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    options.chunks(2).all(|option| matches!(option, ["--seed" | "--cases", number] if is_number(number)))
}

fn run_all(options: &[&str]) -> Outcome {
    let matrix = Matrix::of_workspace()?;
    let report = matrix.report();
    let target = workspace::target_directory();
    let cells = target.join("conformance.tsv");
    write_file(&cells, &matrix.lines())?;
    let [cells, page] = [cells, target.join("conformance.html")].map(|path| path.display().to_string());
    let orders = orders(&[options, &["--crates", &cells, "--page", &page]].concat());
    match [report.map(drop), orders].into_iter().filter_map(Result::err).collect::<Vec<_>>() {
        broken if broken.is_empty() => Ok(Done::default()),
        broken => Err(broken.join("; ")),
    }
}

/// What is to be shown of the orders; the package knows the options.
fn orders(options: &[&str]) -> Result<(), String> {
    process::run(process::cargo(["run", "--quiet", "--package", "xtask-conformance", "--"]).args(options))
}

/// Runs the laws against the package in a directory that may be anybody's.
fn run_one(directory: &str) -> Outcome {
    let directory = std::path::absolute(directory).map_err(|error| format!("`{directory}` is not a path: {error}"))?;
    let manifest = directory.join("Cargo.toml");
    let name = Manifest::parse(&workspace::read(&manifest)?).name;
    if !directory.join("tests/contract.rs").is_file() {
        return Err(format!("{name} has no tests/contract.rs: call the laws of llm-test from there"));
    }
    let mut tests = process::cargo(["test", "--test", "contract", "--no-fail-fast", "--manifest-path"]);
    tests.arg(&manifest).args(["--", "--show-output"]).current_dir(&directory);
    let matrix = Matrix { crates: vec![Crate::test(name, tests)?] };
    matrix.report()
}

/// What one law came to in one crate. A law that says why it does not apply has passed, but shows nothing.
#[derive(Debug, Default)]
struct Cell {
    passed: usize,
    failed: usize,
    /// Why it does not apply, for each subject that says so.
    idle: Vec<String>,
}

/// A crate and its laws.
#[derive(Debug)]
struct Crate {
    name: String,
    cells: BTreeMap<String, Cell>,
    /// Whether cargo reported success; it does not when the tests were not built or crashed.
    succeeded: bool,
}

impl Crate {
    fn test(name: String, tests: Command) -> Result<Self, String> {
        let mut cells = BTreeMap::<String, Cell>::new();
        let status = process::run_watched(tests, |line| add(&mut cells, line))?;
        Ok(Self { name, cells, succeeded: status.success() })
    }
}

fn add(cells: &mut BTreeMap<String, Cell>, line: &str) {
    if let Some((law, why)) = line.split_once(" does not apply to ") {
        cells.entry(law.to_owned()).or_default().idle.push(why.to_owned());
        return;
    }
    let Some((name, passed)) = libtest::test_line(line) else { return };
    let law = name.rsplit("::").next().unwrap_or(name);
    let cell = cells.entry(law.to_owned()).or_default();
    if passed {
        cell.passed += 1;
    } else {
        cell.failed += 1;
    }
}

/// Crates and laws.
#[derive(Debug, Default)]
struct Matrix {
    crates: Vec<Crate>,
}

impl Matrix {
    fn of_workspace() -> Result<Self, String> {
        let mut matrix = Self::default();
        for package in workspace::packages()? {
            if workspace::root().join(&package.directory).join("tests/contract.rs").is_file() {
                let name = package.manifest.name;
                let mut tests = process::cargo(["test", "-p", &name, "--test", "contract", "--no-fail-fast"]);
                tests.args(["--", "--show-output"]);
                matrix.crates.push(Crate::test(name, tests)?);
            }
        }
        Ok(matrix)
    }

    /// For the page: crate, law, what its cell shows and why it does not apply, with tabs between.
    fn lines(&self) -> String {
        let mut text = String::new();
        for Crate { name, cells, .. } in &self.crates {
            for (law, cell) in cells {
                let shown = shown(Some(cell));
                let fields = [name, law, &shown].into_iter().chain(&cell.idle).map(String::as_str);
                let _ = writeln!(text, "{}", fields.collect::<Vec<_>>().join("\t"));
            }
        }
        text
    }

    /// Prints the matrix, writes it to a file, and ends with the counts.
    fn report(&self) -> Outcome {
        let text = self.markdown();
        print!("\n{text}");
        let path = workspace::target_directory().join("conformance.md");
        write_file(&path, &text)?;
        println!("\nwritten to {}", path.display());
        println!("{}", self.counts());
        let broken = self.broken();
        if broken.is_empty() { Ok(Done::default()) } else { Err(broken.join("; ")) }
    }

    /// One row a law and one column a crate: law names are too long for columns.
    fn markdown(&self) -> String {
        let laws = self.laws();
        let law_width = laws.iter().map(|law| law.len()).max().unwrap_or(0);
        let mut text = format!("| {:law_width$} |", "law");
        for column in &self.crates {
            let _ = write!(text, " {} |", column.name);
        }
        let _ = write!(text, "\n|{}|", "-".repeat(law_width + 2));
        for column in &self.crates {
            let _ = write!(text, "{}|", "-".repeat(column.name.len() + 2));
        }
        text.push('\n');
        for law in laws {
            let _ = write!(text, "| {law:law_width$} |");
            for column in &self.crates {
                let _ = write!(text, " {:width$} |", shown(column.cells.get(law)), width = column.name.len());
            }
            text.push('\n');
        }
        text.push_str("\nLaws that do not apply, and why:\n\n");
        for Crate { name, cells, .. } in &self.crates {
            for (law, why) in cells.iter().flat_map(|(law, cell)| cell.idle.iter().map(move |why| (law, why))) {
                let _ = writeln!(text, "- {name}, `{law}`: {why}");
            }
        }
        text
    }

    /// The known laws, then whatever else the crates tested.
    fn laws(&self) -> Vec<&str> {
        let mut laws = LAWS.to_vec();
        for name in self.crates.iter().flat_map(|column| column.cells.keys()) {
            if !laws.contains(&name.as_str()) {
                laws.push(name);
            }
        }
        laws
    }

    fn counts(&self) -> String {
        let cells = || self.crates.iter().flat_map(|column| column.cells.values());
        let idle: usize = cells().map(|cell| cell.idle.len()).sum();
        let passed = cells().map(|cell| cell.passed).sum::<usize>().saturating_sub(idle);
        let failed: usize = cells().map(|cell| cell.failed).sum();
        let laws = self.laws();
        let is_checked = |law: &&&str| self.crates.iter().any(|column| column.cells.contains_key(**law));
        let checked = laws.iter().filter(is_checked).count();
        format!(
            "crates: {}, laws: {checked} of {}, cases: {} ({passed} ok, {failed} failed, {idle} do not apply)",
            self.crates.len(),
            laws.len(),
            passed + failed + idle
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.crates.is_empty() {
            sentences.push("no crate has a tests/contract.rs, so no law was checked".to_owned());
        }
        for Crate { name, cells, succeeded } in &self.crates {
            let failed: Vec<&str> =
                cells.iter().filter(|(_, cell)| cell.failed > 0).map(|(law, _)| law.as_str()).collect();
            if !failed.is_empty() {
                sentences.push(format!("{name} breaks {}", failed.join(", ")));
            } else if !succeeded {
                sentences.push(format!("the contract tests of {name} did not build or did not finish"));
            } else if cells.is_empty() {
                sentences.push(format!("the contract tests of {name} hold no law"));
            }
        }
        sentences
    }
}

fn shown(cell: Option<&Cell>) -> String {
    match cell {
        None => "-".to_owned(),
        Some(Cell { failed: 1.., .. }) => "FAILED".to_owned(),
        Some(Cell { passed, idle, .. }) => match passed.saturating_sub(idle.len()) {
            0 => "n/a".to_owned(),
            1 => "ok".to_owned(),
            kept => format!("ok x{kept}"),
        },
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().expect("the file lies in the target directory");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{} could not be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(name: &str, output: &str, succeeded: bool) -> Crate {
        let mut cells = BTreeMap::new();
        output.lines().for_each(|line| add(&mut cells, line));
        Crate { name: name.to_owned(), cells, succeeded }
    }

    fn sample() -> Matrix {
        let retry = "running 3 tests\ntest unary::panic_releases ... ok\ntest streamed::panic_releases ... ok\n\
                     test clone_is_not_ready ... FAILED\n";
        let cache = "test panic_releases ... ok\ntest a_law_of_its_own ... ok\ntest keyed_state_is_bounded ... ok\n\
                     keyed_state_is_bounded does not apply to cache: it has no keys\n";
        Matrix { crates: vec![tested("llm-retry", retry, false), tested("llm-cache", cache, true)] }
    }

    #[test]
    fn every_law_has_a_row_and_every_crate_a_column() {
        let text = sample().markdown();
        let row = |law: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("| {law} "))).expect("the law has a row");
            line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("law"), ["law", "llm-retry", "llm-cache"]);
        assert_eq!(row("panic_releases"), ["panic_releases", "ok x2", "ok"]);
        assert_eq!(row("clone_is_not_ready"), ["clone_is_not_ready", "FAILED", "-"]);
        assert_eq!(row("a_law_of_its_own"), ["a_law_of_its_own", "-", "ok"]);
        assert_eq!(row("keyed_state_is_bounded"), ["keyed_state_is_bounded", "-", "n/a"]);
        assert!(text.ends_with("- llm-cache, `keyed_state_is_bounded`: cache: it has no keys\n"), "{text}");
    }

    #[test]
    fn the_page_is_told_of_each_cell() {
        let lines = sample().lines();
        assert!(lines.contains("llm-retry\tpanic_releases\tok x2\n"), "{lines}");
        assert!(lines.contains("llm-cache\tkeyed_state_is_bounded\tn/a\tcache: it has no keys\n"), "{lines}");
    }

    #[test]
    fn the_counts_tell_cases_from_laws() {
        assert_eq!(sample().counts(), "crates: 2, laws: 4 of 23, cases: 6 (4 ok, 1 failed, 1 do not apply)");
    }

    #[test]
    fn a_broken_law_is_named() {
        assert_eq!(sample().broken(), ["llm-retry breaks clone_is_not_ready"]);
    }

    #[test]
    fn what_was_not_checked_is_not_a_success() {
        assert_eq!(Matrix::default().broken().len(), 1);
        let crates = vec![tested("llm-a", "", true), tested("llm-b", "test panic_releases ... ok", false)];
        let broken = Matrix { crates }.broken();
        assert_eq!(broken.len(), 2);
        assert!(broken[0].contains("llm-a hold no law"), "{broken:?}");
        assert!(broken[1].contains("llm-b did not build or did not finish"), "{broken:?}");
    }
}
