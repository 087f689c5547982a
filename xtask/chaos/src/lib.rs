//! Chaos: random stacks in random worlds on paused time, held to what must never happen.
//!
//! [`make`] makes a [`World`] from a seed, [`run`] runs it and says which [`Invariant`] did not hold, and [`shrink`] makes a
//! world smaller for as long as the same one breaks.

mod caller;
mod make;
mod models;
mod provider;
mod run;
mod shrink;
mod stack;
mod staying;
mod truth;
mod violation;
pub mod world;

pub use make::make;
pub use run::{Outcome, run, run_around};
pub use shrink::shrink;
pub use stack::Around;
pub use violation::{Invariant, Violation};
pub use world::World;
