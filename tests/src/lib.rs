//! Stories that cross crates. They are in `tests/`; the examples of the workspace's README are compiled here.

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;

#[doc = include_str!("../../guides/from-zero-to-a-protected-call.md")]
#[cfg(doctest)]
struct FromZero;

#[doc = include_str!("../../guides/write-your-own-layer.md")]
#[cfg(doctest)]
struct WriteYourOwn;
