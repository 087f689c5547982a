//! What the contract tests of the crates have shown, as `cargo xtask conformance` hands it over.

/// A law in a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateCell {
    /// The crate.
    pub name: String,
    /// The law.
    pub law: String,
    /// `ok`, `ok x3`, `n/a` or `FAILED`.
    pub shown: String,
    /// Why it does not apply, where it does not.
    pub reasons: Vec<String>,
}

/// Reads the lines `crate law shown reason...`, with tabs between.
pub fn read(text: &str) -> Vec<CrateCell> {
    let cell = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(CrateCell { name: fields.next()?, law: fields.next()?, shown: fields.next()?, reasons: fields.collect() })
    };
    text.lines().filter_map(cell).collect()
}
