//! What is spent is what was used, and never more than the cap: budgets over real sockets and among the other layers.

#![allow(clippy::unwrap_used)]

mod attempts;
mod crowd;
mod full;
mod histories;
mod leavers;
mod recorder;
mod stage;
mod together;
