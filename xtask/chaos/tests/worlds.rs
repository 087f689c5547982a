//! A few seeds, and the worlds that broke once.
#![allow(clippy::unwrap_used)]

use xtask_chaos::{World, make, run};

#[test]
fn nothing_breaks_and_a_world_runs_alike_each_time() {
    for seed in 0..150 {
        let world = make(seed);
        let outcome = run(&world);
        assert_eq!(outcome.violations, [], "seed {seed}");
        assert_eq!(run(&world), outcome, "seed {seed}");
    }
}

#[test]
fn a_world_is_what_its_text_says() {
    for seed in 0..50 {
        let world = make(seed);
        assert_eq!(World::parse(&world.to_string()), Ok(world));
    }
}

#[test]
fn nothing_breaks_in_the_worlds_that_were_kept() {
    let mut kept = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/kept")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let world = World::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(run(&world).violations, [], "{}", path.display());
        kept += 1;
    }
    assert!(kept > 0);
}
