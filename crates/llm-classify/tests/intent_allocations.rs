//! Telling an intent allocates nothing. Alone in its program, because the count is the whole program's.

use std::{alloc::System, hint::black_box};

use llm_classify::{Classifier, IntentModel};
use llm_core::LlmRequest;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn telling_an_intent_allocates_nothing() {
    let model = IntentModel::builtin();
    let long = "Переведи это на английский: fn main() { println!(\"漢字\"); }\n".repeat(1_000);
    let first = LlmRequest::chat("any").user("Why?").build();
    let later = LlmRequest::chat("any").system("Be brief.").user("Why?").assistant("Because.").user(long).build();
    let region = Region::new(ALLOCATOR);
    black_box(model.classify(black_box(&first)));
    black_box(model.classify(black_box(&later)));
    assert_eq!(region.change().allocations, 0);
}
