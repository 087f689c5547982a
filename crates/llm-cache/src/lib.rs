//! x
mod canonical;
mod key;
mod meaning;
mod tokens;
pub use key::{Key, Scope};
