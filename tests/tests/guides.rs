//! What the guides show of files is what is in them.

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
