//! Stories of answers that are kept, and of calls that are shared, on paused time.

#![allow(clippy::unwrap_used)]

mod config;
mod directives;
mod embeddings;
mod flights;
mod operators;
mod replay;
mod stage;
mod stale;
mod storing;
