//! What each order of two layers means: the statements of the layer algebra in `ARCHITECTURE.md`, one test a pair, with the
//! recommended order first and the other one after it.

#![allow(clippy::unwrap_used)]

mod five;
mod others;
mod stage;
