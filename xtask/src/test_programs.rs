//! The test programs that cargo builds, for whoever runs them by themselves.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds what `cargo test` with these arguments would run. The inner error is what the compiler says.
pub(crate) fn build(cargo_test: &mut Command) -> Result<Result<Vec<PathBuf>, String>, String> {
    let built = cargo_test.args(["--no-run", "--color", "never"]).stdin(Stdio::null()).output();
    let built = built.map_err(|error| format!("cargo could not be run: {error}"))?;
    let output = String::from_utf8_lossy(&built.stderr);
    if built.status.success() {
        let directory = cargo_test.get_current_dir().unwrap_or_else(|| ".".as_ref());
        return Ok(Ok(output.lines().filter_map(program).map(|path| directory.join(path)).collect()));
    }
    let error = output.lines().find(|line| line.starts_with("error"));
    Ok(Err(error.unwrap_or("cargo failed, and says nothing").to_owned()))
}

/// `  Executable unittests src/lib.rs (target/debug/deps/llm_core-0123456789abcdef)`
fn program(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("Executable ")?.rsplit_once(" (")?.1.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let line = "  Executable unittests src/lib.rs (target/debug/deps/llm_core-0123456789abcdef)";
        assert_eq!(program(line), Some("target/debug/deps/llm_core-0123456789abcdef"));
        assert_eq!(program("   Compiling llm-core v1 (/x)"), None);
    }
}
