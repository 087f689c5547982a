//! What is kept for each of many keys: bytes, for few of them and for many.

use std::{any::Any, num::NonZeroUsize};

use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::Builder;

use crate::{
    Failure,
    effort::Effort,
    figure::{Figure, Unit},
    operation::Allocated,
    report::Report,
    table::Table,
};

/// What keeps something for each of so many keys, in which all of them are.
pub type Fill = fn(NonZeroUsize) -> Box<dyn Any>;

/// How many keys there are.
fn sizes(effort: Effort) -> [NonZeroUsize; 2] {
    let size = |quick, full| NonZeroUsize::new(effort.pick(quick, full)).expect("it is not zero");
    [size(100, 10_000), size(1_000, 1_000_000)]
}

/// Prints what each has allocated and not given back: allocations and bytes, a line for each and number of keys. For a
/// program that counts.
pub fn print<A: std::alloc::GlobalAlloc>(
    fills: impl IntoIterator<Item = Fill>,
    effort: Effort,
    allocator: &'static StatsAlloc<A>,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    for fill in fills {
        for keys in sizes(effort) {
            let region = Region::new(allocator);
            let filled = fill(keys);
            let change = region.change();
            // What was made larger counts as allocated.
            let bytes = change.bytes_allocated - change.bytes_deallocated;
            println!("{} {bytes}", change.allocations - change.deallocations);
            drop(filled);
        }
    }
    Ok(())
}

/// A table without rows; `keys` is what the keys are.
pub(crate) fn table(heading: &str, what: &str, keys: &str, effort: Effort) -> Table {
    let [few, many] = sizes(effort);
    Table::new(heading, [what, &format!("{few} {keys}"), &format!("{many} {keys}"), "growth", "target"])
}

/// How much more a key may take of many than of few: tables double, so that one may be nearly empty.
const GROWTH: f64 = 1.5;

/// A row for each name, with the bytes for each key that a program has counted for `part`.
pub(crate) fn rows<'n>(
    table: &mut Table,
    names: impl IntoIterator<Item = &'n str>,
    counted: &[Allocated],
    part: &str,
    effort: Effort,
    report: &mut Report,
) {
    for (name, counted) in names.into_iter().zip(counted.chunks(2)) {
        let mut row = vec![name.to_owned()];
        let mut each = Vec::new();
        for (counted, keys) in counted.iter().zip(sizes(effort)) {
            let bytes = counted.bytes as f64 / keys.get() as f64;
            report.note(Figure::new(&[part, "kept", name, &format!("of {keys}")], Unit::Bytes, bytes));
            row.push(format!("{bytes:.0}"));
            each.push(bytes);
        }
        let growth = Figure::new(&[part, "growth", name], Unit::Times, each[1] / each[0]).over("what one of few takes");
        // What others keep is theirs.
        let growth = if name.starts_with("llm-") { growth.at_most(GROWTH) } else { growth };
        row.push(format!("{:.2} ×", growth.value));
        row.push(report.note(growth));
        table.row(row);
    }
}
