//! Stories that cross crates. They are in `tests/`; the examples of READMEs and guides are compiled and run here.

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;

#[doc = include_str!("../../crates/llm-breaker/README.md")]
#[cfg(doctest)]
struct LlmBreaker;

#[doc = include_str!("../../crates/llm-budget/README.md")]
#[cfg(doctest)]
struct LlmBudget;

#[doc = include_str!("../../crates/llm-cache/README.md")]
#[cfg(doctest)]
struct LlmCache;

#[doc = include_str!("../../crates/llm-classify/README.md")]
#[cfg(doctest)]
struct LlmClassify;

#[doc = include_str!("../../crates/llm-core/README.md")]
#[cfg(doctest)]
struct LlmCore;

#[doc = include_str!("../../crates/llm-fallback/README.md")]
#[cfg(doctest)]
struct LlmFallback;

#[doc = include_str!("../../crates/llm-providers/README.md")]
#[cfg(doctest)]
struct LlmProviders;

#[doc = include_str!("../../crates/llm-retry/README.md")]
#[cfg(doctest)]
struct LlmRetry;

#[doc = include_str!("../../crates/llm-router/README.md")]
#[cfg(doctest)]
struct LlmRouter;

#[doc = include_str!("../../crates/llm-serve/README.md")]
#[cfg(doctest)]
struct LlmServe;

#[doc = include_str!("../../crates/llm-sim/README.md")]
#[cfg(doctest)]
struct LlmSim;

#[doc = include_str!("../../crates/llm-stack/README.md")]
#[cfg(doctest)]
struct LlmStack;

#[doc = include_str!("../../crates/llm-test/README.md")]
#[cfg(doctest)]
struct LlmTest;

#[doc = include_str!("../../crates/llm-timeout/README.md")]
#[cfg(doctest)]
struct LlmTimeout;

#[doc = include_str!("../../crates/llm-wire/README.md")]
#[cfg(doctest)]
struct LlmWire;

#[doc = include_str!("../../guides/from-zero-to-a-protected-call.md")]
#[cfg(doctest)]
struct FromZero;

#[doc = include_str!("../../guides/write-your-own-layer.md")]
#[cfg(doctest)]
struct WriteYourOwn;
