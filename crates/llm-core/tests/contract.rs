//! `Commit` keeps the laws of all layers.

use llm_core::{BoxLlmService, Commit, HoldBack};
use llm_test::{Subject, contract};

fn commit() -> Subject {
    Subject::stack("Commit", |inner| BoxLlmService::new(Commit::new(inner, HoldBack::default()))).holds_back()
}

contract!(commit);
