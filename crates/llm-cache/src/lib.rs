//! x
mod admission;
mod canonical;
mod key;
mod meaning;
mod recording;
mod tokens;
mod weight;
pub use admission::Refused;
pub use key::{Key, Scope};
