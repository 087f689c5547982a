//! Simulations behind the figures in the documentation, one module each.
//!
//! Each draws from a seeded generator and keeps time by itself, so it finds the same on every machine and every day. The
//! tests compare what is found with what is stated.

mod budgets;
mod load_score;
mod quantile;
mod trip_rules;

pub use budgets::budgets;
pub use load_score::load_score;
pub use trip_rules::trip_rules;

/// A simulation by its name, and what runs it and returns a Markdown table.
pub type Simulation = (&'static str, fn() -> String);

/// All simulations.
pub const SIMULATIONS: [Simulation; 3] = [("trip-rules", trip_rules), ("load-score", load_score), ("budgets", budgets)];
