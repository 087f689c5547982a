//! The layers in every order: 120 stacks of cache, router, retry, budget and breaker, each built at run time and held to
//! the laws of `llm-test`, to what a naive model says of every ending, and to random cases that are compared with it.
//!
//! A layer's own contract shows that it behaves above a probe. What it does to its neighbours shows only in a stack, and
//! that it may stand anywhere only in all of them. The provider is `llm-test`'s probe itself and no `Dispatch`, which is
//! always ready and would come between the innermost layer and the one service that watches how it is used.

pub mod crates;
pub mod drive;
pub mod edge;
pub mod endings;
pub mod html;
pub mod job;
pub mod laws;
pub mod model;
pub mod order;
pub mod random;
pub mod report;
pub mod script;
pub mod stack;
