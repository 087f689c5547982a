//! What guides and READMEs show is what there is.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

#[test]
fn the_layer_of_the_guide_is_the_one_that_keeps_the_laws() {
    let guide = include_str!("../../guides/write-your-own-layer.md");
    for file in [
        include_str!("../../examples/first-content/src/lib.rs"),
        include_str!("../../examples/first-content/tests/contract.rs"),
    ] {
        assert!(guide.contains(&format!("```rust\n{file}```\n")), "copy this into the guide:\n{file}");
    }
}

fn names(directory: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = fs::read_dir(root.join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_readme_and_guide_is_compiled() {
    let compiled = include_str!("../src/lib.rs");
    let readmes = names("crates").into_iter().map(|name| format!("crates/{name}/README.md"));
    let guides = names("guides").into_iter().map(|name| format!("guides/{name}"));
    for path in readmes.chain(guides) {
        assert!(compiled.contains(&format!("\"../../{path}\"")), "include {path} in tests/src/lib.rs");
    }
}

#[test]
fn every_guide_and_example_is_in_the_readme() {
    let readme = include_str!("../../README.md");
    let guides = names("guides").into_iter().map(|name| format!("(guides/{name})"));
    let examples = names("examples").into_iter().filter(|name| name.ends_with(".rs"));
    for link in guides.chain(examples.map(|name| format!("(examples/{name})"))) {
        assert!(readme.contains(&link), "the README says nothing of {link}");
    }
}
