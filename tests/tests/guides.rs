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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What is in a directory.
fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn readmes_and_guides() -> impl Iterator<Item = String> {
    let readmes = names("crates").into_iter().map(|name| format!("crates/{name}/README.md"));
    let guides = names("guides").into_iter().map(|name| format!("guides/{name}"));
    ["README.md".to_owned()].into_iter().chain(readmes).chain(guides)
}

#[test]
fn every_readme_and_guide_is_compiled() {
    let compiled = include_str!("../src/lib.rs");
    for path in readmes_and_guides() {
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

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut links = 0;
    for path in readmes_and_guides().map(|path| root().join(path)) {
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
        for target in targets.filter(|target| !target.contains("://")) {
            assert!(path.with_file_name(target).exists(), "{}: {target} is not there", path.display());
            links += 1;
        }
    }
    assert!(links > 40, "{links} links were found");
}
