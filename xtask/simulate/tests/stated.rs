//! What the documentation states is what the simulations find.

use xtask_simulate::{budgets, load_score, trip_rules};

#[test]
fn the_trip_rules_are_as_stated() {
    let stated = include_str!("../../../crates/llm-breaker/TRIP-RULES.md");
    let found = trip_rules();
    assert!(stated.contains(&format!("\n\n{found}\n")), "state this in crates/llm-breaker/TRIP-RULES.md:\n{found}");
}

#[test]
fn the_load_score_is_as_stated() {
    let stated = include_str!("../../../crates/llm-router/LOAD-SCORE.md");
    let found = load_score();
    assert!(stated.contains(&format!("\n\n{found}\n")), "state this in crates/llm-router/LOAD-SCORE.md:\n{found}");
}

#[test]
fn the_budgets_are_as_stated() {
    let stated = include_str!("../../../crates/llm-budget/METERED.md");
    let found = budgets();
    assert!(stated.contains(&format!("\n\n{found}\n")), "state this in crates/llm-budget/METERED.md:\n{found}");
}
