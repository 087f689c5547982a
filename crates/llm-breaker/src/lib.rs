//! Stops calling a provider that keeps failing, and tries it again later.
//!
//! So far these are the rules that decide when failures are too many: [`Trip`], and [`Judge`] to see one at work.
//!
//! # Sources
//! The default score is Page's CUSUM test ("Continuous inspection schemes", Biometrika 41, 1954) in the form for
//! Bernoulli trials. Its figures, those of the other rules and the weights come from simulations with calls at 0.1, 1
//! and 10 a second and base failure rates of 5 to 20 %.

mod cusum;
mod judge;
mod rate;
mod sample;
mod trip;

pub use cusum::{Consecutive, Cusum};
pub use judge::Judge;
pub use rate::Rate;
pub use sample::{Sample, Weight};
pub use trip::{Step, Trip, TripRule};

#[cfg(test)]
mod rules_tests;
