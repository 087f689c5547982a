//! Each rule of tidy holds on good text and fails on bad text with a sentence that says where.

use super::*;
use crate::manifest::Manifest;

fn package(directory: &str, dependencies: &[&str]) -> Package {
    let name = directory.rsplit('/').next().expect("a directory has a name").to_owned();
    let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
    Package {
        directory: directory.to_owned(),
        manifest: Manifest { name, dependencies, inherits_lints: true, ..Manifest::default() },
    }
}

#[track_caller]
fn assert_one(problems: &[String], part: &str) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains(part), "{problems:#?}");
}

#[test]
fn a_clean_file_has_no_problem() {
    let text = "//! What it is for.\n\nuse std::time::Duration;\nuse tokio::time::Instant;\n";
    assert_eq!(check_source("crates/llm-core/src/body.rs", text), Vec::<String>::new());
}

#[test]
fn a_module_says_what_it_is_for() {
    assert_one(&check_source("xtask/src/main.rs", "fn main() {}\n"), "xtask/src/main.rs does not start with `//!`");
    assert_one(&check_source("xtask/src/main.rs", "/// Docs.\nfn main() {}\n"), "does not start");
}

#[test]
fn a_file_over_the_limit_is_split() {
    let at_limit = format!("//! Long.\n{}", "\n".repeat(399));
    let over = format!("{at_limit}\n");
    assert!(check_source("crates/llm-core/src/a.rs", &at_limit).is_empty());
    assert_one(&check_source("crates/llm-core/src/a.rs", &over), "has 401 lines");
}

#[test]
fn tests_and_dialect_tables_may_be_long() {
    let long = format!("//! Long.\n{}", "\n".repeat(1000));
    for path in [
        "crates/llm-core/tests/behaviour.rs",
        "crates/llm-core/src/body/tests.rs",
        "crates/llm-core/src/body_tests.rs",
        "crates/llm-wire/src/openai/chat.rs",
        "tests/tests/stories.rs",
    ] {
        assert!(check_source(path, &long).is_empty(), "{path}");
    }
    assert!(!check_source("crates/llm-test/src/laws.rs", &long).is_empty());
}

#[test]
fn leftovers_are_found_in_code_only() {
    for name in LEFTOVER_MACROS {
        let code = format!("//! A.\nfn a() {{\n    {name}!(\"b\")\n}}\n");
        assert_one(&check_source("xtask/src/a.rs", &code), &format!("xtask/src/a.rs:3 calls `{name}!`"));
        let prose = format!("//! A {name}!() is named here.\nconst B: &str = \"{name}!()\"; // {name}!()\n");
        assert!(check_source("xtask/src/a.rs", &prose).is_empty());
    }
    assert!(check_source("xtask/src/a.rs", "//! A.\nmy_todo!();\n").is_empty());
}

#[test]
fn ignored_tests_are_found() {
    let with = |attribute: &str| format!("//! A.\n#[test]\n{attribute}\nfn a() {{}}\n");
    assert_one(&check_source("tests/src/lib.rs", &with("#[ignore]")), "tests/src/lib.rs:3 ignores a test");
    assert_one(&check_source("tests/src/lib.rs", &with("#[ignore = \"slow\"]")), ":3 ignores a test");
}

#[test]
fn std_clocks_are_found_however_they_are_written() {
    for code in [
        "let now = std::time::Instant::now();",
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "use std::time::{\n    Duration,\n    Instant as Clock,\n};",
        "let now = SystemTime::now();",
    ] {
        let text = format!("//! A.\n{code}\n");
        assert_one(&check_source("crates/llm-sim/src/a.rs", &text), "crates/llm-sim/src/a.rs:2 reads std's clock");
        assert!(check_source(CLOCK, &text).is_empty());
        assert!(check_source("crates/llm-sim/tests/a.rs", &text).is_empty());
        assert!(check_source("xtask/src/a.rs", &text).is_empty());
    }
    let harmless =
        "//! A.\nuse std::time::{Duration, SystemTime};\nuse std::time::Duration;\nlet a = std::time::UNIX_EPOCH;\n";
    assert!(check_source("crates/llm-sim/src/a.rs", harmless).is_empty());
}

#[test]
fn lints_are_inherited() {
    let mut package = package("crates/llm-core", &[]);
    assert!(check_manifest(&package).is_empty());
    package.manifest.inherits_lints = false;
    assert_one(&check_manifest(&package), "crates/llm-core/Cargo.toml does not inherit the lints");
}

#[test]
fn a_crate_knows_only_what_stands_below_it() {
    assert!(check_manifest(&package("crates/llm-retry", &["llm-core", "tower"])).is_empty());
    assert!(check_manifest(&package("crates/llm-serve", &["llm-core", "llm-wire"])).is_empty());
    assert!(check_manifest(&package("crates/llm-stack", &["llm-retry", "llm-providers"])).is_empty());
    for (directory, dependency) in [
        ("crates/llm-retry", "llm-breaker"),
        ("crates/llm-cache", "llm-wire"),
        ("crates/llm-budget", "llm-providers"),
        ("crates/llm-router", "llm-test"),
        ("crates/llm-wire", "llm-providers"),
        ("crates/llm-test", "llm-wire"),
        ("crates/llm-serve", "llm-stack"),
        ("crates/llm-core", "llm-wire"),
    ] {
        assert_one(&check_manifest(&package(directory, &[dependency])), &format!("depends on {dependency}"));
    }
}

#[test]
fn every_crate_has_a_readme_and_every_layer_its_laws() {
    let core = package("crates/llm-core", &[]);
    assert_one(&check_files(&core, |_| false), "crates/llm-core has no README.md");
    let retry = package("crates/llm-retry", &[]);
    assert_one(&check_files(&retry, |file| file == "README.md"), "crates/llm-retry has no tests/contract.rs");
    assert!(check_files(&retry, |_| true).is_empty());
    assert!(check_files(&package("xtask", &[]), |_| false).is_empty());
}

#[test]
fn prose_names_no_version_of_ours() {
    for line in ["llm-core = \"0.1\"", "  llm-core = { version = \"0.1\", features = [] }", "llm-core = \"^1\""] {
        assert_one(&check_readme("README.md", &format!("# A\n{line}\n")), "README.md:2 names a version");
    }
    for line in
        ["llm-core = { path = \"crates/llm-core\" }", "llm-core is = to itself", "bytes = \"1\"", "cargo add llm-core"]
    {
        assert!(check_readme("README.md", line).is_empty(), "{line}");
    }
}

#[test]
fn only_our_own_files_are_walked() {
    let files = files(&workspace::root()).expect("the workspace can be read");
    assert!(files.contains(&"xtask/src/tidy.rs".to_owned()));
    assert!(!files.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}
