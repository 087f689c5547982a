//! Figures of the workspace: what `cargo xtask bench` measures, one module a subject.
//!
//! Figures are ratios between two programs in one run, numbers of allocations, and instructions under valgrind: they
//! hold on any machine. Times and throughputs are printed beside them, and hold on this one, today. Nothing here is a
//! test of speed, so nothing fails because a machine was busy; what fails is an answer that is not as it should be.

pub mod cache;
pub mod canned;
pub mod dialect;
pub mod effort;
pub mod figure;
pub mod frames;
pub mod gateway;
pub mod instructions;
pub mod intent;
pub mod kept;
pub mod layers;
pub mod ledger;
pub mod load;
pub mod lockstep;
pub mod machine;
pub mod operation;
pub mod peer;
pub mod pick;
pub mod plots;
pub mod program;
pub mod report;
pub mod rounds;
pub mod table;
pub mod tenants;
pub mod wire;

/// Why something could not be measured, as a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
