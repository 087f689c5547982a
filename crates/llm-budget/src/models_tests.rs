//! What is learned, and of how many.

use llm_core::{Random, Usage, catalog::Catalog};

use super::*;

fn estimate(likely: u64, bound: u64) -> TokenEstimate {
    TokenEstimate { likely, bound }
}

fn spend(figures: &Figures) -> ModelSpend {
    figures.spend(&Subject { model: Target::new("", "m"), intent: None })
}

#[test]
fn estimates_come_to_what_is_reported_and_bounds_are_never_lowered() {
    let figures = Figures::default();
    assert_eq!(figures.corrected(estimate(100, 120)), estimate(100, 120));
    (0..300).for_each(|_| figures.learn_input(100, 130));
    let corrected = figures.corrected(estimate(100, 120));
    assert!((129..=130).contains(&corrected.likely) && (155..=157).contains(&corrected.bound), "{corrected:?}");
    let known = spend(&figures);
    assert!(known.estimate_error < 0.02 && (known.correction - 1.3).abs() < 0.01, "{known:?}");
    (0..300).for_each(|_| figures.learn_input(100, 60));
    let corrected = figures.corrected(estimate(100, 120));
    assert!((59..=61).contains(&corrected.likely) && corrected.bound == 120, "{corrected:?}");
}

#[test]
fn no_caller_makes_the_others_reserve_more_than_double() {
    let figures = Figures::default();
    (0..1_000).for_each(|_| figures.learn_input(100, 390));
    assert_eq!(figures.corrected(estimate(100, 120)), estimate(200, 240));
    (0..100).for_each(|_| figures.learn_input(100, 4_000));
    assert_eq!(figures.corrected(estimate(100, 120)), estimate(200, 240), "that was a picture");
}

#[test]
fn nine_of_ten_answers_are_as_short_as_it_says() {
    let figures = Figures::default();
    assert_eq!(figures.likely_output(), None);
    let random = Random::seeded(7);
    for _ in 0..5_000 {
        figures.learn_output(1 + (random.unit() * 1_000.0) as u64, true, 512);
    }
    let likely = figures.likely_output().unwrap();
    assert!((780..=1_000).contains(&likely), "{likely}");
}

#[test]
fn an_answer_that_breaks_off_says_nothing_but_that_it_was_so_long() {
    let figures = Figures::default();
    figures.learn_output(100, false, 512);
    assert_eq!(figures.likely_output(), None);
    figures.learn_output(600, false, 512);
    assert_eq!(figures.likely_output(), Some(564));
}

#[test]
fn what_was_reported_and_what_was_estimated_are_told_apart() {
    let figures = Figures::default();
    let mut settlement = Settlement::default();
    settlement.add(NanoUsd(5), &Usage::reported(10, 2));
    figures.book(&settlement);
    settlement = Settlement::default();
    settlement.add(NanoUsd(6), &Usage::estimated(15, 1));
    settlement.add(NanoUsd(1), &Usage::estimated(5, 2));
    figures.book(&settlement);
    let spend = spend(&figures);
    assert_eq!((spend.calls, spend.reported, spend.estimated), (2, NanoUsd(5), NanoUsd(7)));
    assert_eq!((spend.input_tokens, spend.output_tokens), (30, 5));
}

#[test]
fn intents_are_told_apart_up_to_a_bound_and_callers_who_make_them_up_share() {
    let models = Models::new();
    let catalog = Catalog::from_toml("models = [{ name = 'm' }, { name = 'other' }]").unwrap();
    let facts = |name: &str| catalog.get(None, name).unwrap();
    let learn = |model: &str, intent: Option<&str>, output| {
        let figures = models.of("p", facts(model), intent);
        figures.book(&Settlement::reported(NanoUsd(1)));
        figures.learn_output(output, true, 100);
    };
    let likely = |model: &str, intent: Option<&str>| models.of("p", facts(model), intent).likely_output();
    learn("m", Some("code"), 1_000);
    learn("m", Some("math"), 1);
    learn("other", Some("code"), 1);
    assert_eq!((likely("m", Some("code")), likely("m", Some("math"))), (Some(110), Some(99)));
    assert_eq!((likely("m", None), likely("other", Some("code"))), (None, Some(99)));
    for number in 0..1_000 {
        learn("m", Some(&number.to_string()), 1_000);
    }
    assert!(likely("m", None) > Some(1_000), "those beyond the bound have taught it");
    assert_eq!(likely("m", Some("math")), Some(99));
    learn("other", None, 1_000);
    assert_eq!(models.list().len(), MOST_INTENTS as usize + 1 + 2, "and of another model nothing is shared");
}

#[test]
fn figures_fit_a_cache_line() {
    assert_eq!(size_of::<Figures>(), 64);
}
