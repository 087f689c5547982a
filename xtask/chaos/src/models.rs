//! The models that all providers serve, and what they cost.

use std::sync::{Arc, LazyLock};

use llm_core::catalog::Catalog;

/// The models for chats.
pub(crate) const CHAT: [&str; 2] = ["small", "large"];

/// The model for embeddings.
pub(crate) const VECTORS: &str = "vectors";

/// What they are called, all of them.
pub(crate) const ALL: [&str; 3] = [CHAT[0], CHAT[1], VECTORS];

/// Their facts. One provider is dearer than the others.
pub(crate) static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
    let facts = r#"
        [[models]]
        name = "small"
        input = 0.5
        output = 2.0
        context_window = 8_000

        [[models]]
        name = "large"
        input = 3.0
        output = 15.0

        [[models]]
        provider = "p1"
        name = "large"
        input = 5.0
        output = 25.0

        [[models]]
        name = "vectors"
        mode = "embedding"
        input = 0.1
    "#;
    Arc::new(Catalog::from_toml(facts).expect("the facts of three models"))
});
