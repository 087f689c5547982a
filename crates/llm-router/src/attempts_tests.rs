//! Who is called first, and who after which failure.

use std::{cell::RefCell, collections::HashMap};

use llm_core::{ErrorKind, LlmRequest, PicoUsd, Price, Random, catalog::Model};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::Strategy;

const SECOND: Duration = Duration::from_secs(1);

fn target(name: &str) -> Target {
    let (name, key) = name.split_once('#').unwrap_or((name, ""));
    let (provider, model) = name.split_once('/').unwrap_or((name, "m"));
    let target = Target::new(provider, model);
    if key.is_empty() { target } else { target.with_key(key) }
}

fn model(window: Option<u64>, input: Option<u64>) -> Model {
    let price = input.map(|usd| {
        let each = PicoUsd::per_million_tokens(&usd.to_string()).unwrap();
        Price::new(each, each)
    });
    Model {
        provider: None,
        name: "m".into(),
        aliases: Vec::new(),
        mode: None,
        price,
        context_window: window,
        max_output: None,
        capabilities: Default::default(),
        tags: Vec::new(),
    }
}

/// Candidates by tier, called one after the other.
struct Stage {
    candidates: Vec<(u16, Candidate)>,
    health: HashMap<Target, HealthState>,
    asked_about: RefCell<Vec<String>>,
    now: Instant,
}

impl Stage {
    fn new<const N: usize>(candidates: [(u16, &str); N]) -> Self {
        let candidates = candidates.map(|(tier, name)| (tier, Candidate::new(target(name))));
        Self {
            candidates: candidates.into(),
            health: HashMap::new(),
            asked_about: RefCell::default(),
            now: Instant::now(),
        }
    }

    fn facts<const N: usize>(mut self, facts: [Model; N]) -> Self {
        let candidates = self.candidates.into_iter().zip(facts);
        self.candidates = candidates.map(|((tier, candidate), facts)| (tier, candidate.facts(facts))).collect();
        self
    }

    fn health<const N: usize>(mut self, health: [(&str, HealthState); N]) -> Self {
        self.health = health.map(|(name, state)| (target(name), state)).into();
        self
    }

    fn attempts<'a>(&'a self, rank: &'a dyn Rank) -> Attempts<'a> {
        let mut attempts = Attempts::new(Ranks::Same(rank));
        self.candidates.iter().for_each(|(tier, candidate)| attempts.push(*tier, Choice { candidate, weight: 1.0 }));
        attempts
    }

    fn next<'a>(&self, attempts: &mut Attempts<'a>, after: Option<Failure<'_>>) -> Option<Picked<'a>> {
        let (request, random) = (LlmRequest::chat("m").user("hi").build(), Random::seeded(1));
        let asked = Asked { request: &request, now: self.now, random: &random };
        attempts.next(&asked, after, |target| self.health_of(target))
    }

    fn health_of(&self, target: &Target) -> HealthState {
        self.asked_about.borrow_mut().push(target.to_string());
        self.health.get(target).copied().unwrap_or_default()
    }

    /// Who is called while everyone fails so, in that order.
    fn order(&self, kind: ErrorKind) -> Vec<String> {
        let rank = Strategy::Ordered.rank();
        let (mut attempts, error) = (self.attempts(&*rank), Error::new(kind, "failed"));
        let mut order = Vec::new();
        let mut next = self.next(&mut attempts, None);
        while let Some(Picked { candidate, .. }) = next {
            order.push(candidate.target().to_string());
            let failure = Failure { candidate, error: &error };
            let price = |candidate: &Candidate| {
                candidate.model()?.price.as_ref().map(|price| price.cost(&llm_core::Usage::reported(1_000, 0)).total())
            };
            attempts.narrow(failure, price);
            next = self.next(&mut attempts, Some(failure));
        }
        order
    }
}

#[test]
fn after_a_fault_of_the_server_other_providers_come_before_other_keys() {
    let stage = Stage::new([(0, "openai/m#a"), (0, "openai/m#b"), (1, "azure"), (2, "openai/n#a")]);
    for kind in [ErrorKind::Server, ErrorKind::Overloaded, ErrorKind::ModelNotFound, ErrorKind::Untranslatable] {
        assert_eq!(stage.order(kind), ["openai/m#a", "azure/m", "openai/m#b", "openai/n#a"], "{kind}");
    }
}

#[test]
fn after_a_limit_or_a_refusal_of_ours_the_order_is_that_of_the_route() {
    let keys_between = Stage::new([(0, "openai/m#a"), (0, "azure"), (0, "openai/m#b"), (1, "openai/m#c")]);
    let other_key_first = ["openai/m#a", "openai/m#b", "azure/m", "openai/m#c"];
    assert_eq!(keys_between.order(ErrorKind::RateLimited), other_key_first, "but within a tier another key is nearest");
    assert_eq!(keys_between.order(ErrorKind::CircuitOpen), ["openai/m#a", "azure/m", "openai/m#b", "openai/m#c"]);
}

#[test]
fn a_key_that_is_refused_is_used_for_nothing_else_and_the_next_key_comes_first() {
    let stage = Stage::new([(0, "openai/m#a"), (1, "azure"), (2, "openai/m#b"), (3, "openai/n#a"), (4, "openai/n#b")]);
    for kind in [ErrorKind::ProviderCredentials, ErrorKind::QuotaExhausted] {
        assert_eq!(stage.order(kind), ["openai/m#a", "openai/m#b", "azure/m"], "{kind}");
    }
    let keyless = Stage::new([(0, "openai/m"), (1, "openai/n"), (2, "azure")]);
    assert_eq!(keyless.order(ErrorKind::ProviderCredentials), ["openai/m", "azure/m"]);
}

#[test]
fn a_prompt_that_is_too_long_goes_only_where_the_window_is_known_to_be_larger() {
    let names = [(0, "small"), (1, "same"), (2, "unknown"), (3, "larger"), (4, "middle"), (5, "largest")];
    let windows = [Some(8), Some(8), None, Some(100), Some(50), Some(200)];
    let stage = Stage::new(names).facts(windows.map(|window| model(window, None)));
    assert_eq!(stage.order(ErrorKind::ContextLength), ["small/m", "larger/m", "largest/m"]);
    let unknown = Stage::new([(0, "unknown"), (1, "large")]).facts([model(None, None), model(Some(100), None)]);
    assert_eq!(unknown.order(ErrorKind::ContextLength), ["unknown/m"], "nobody knows what is larger");
}

#[test]
fn a_spent_budget_goes_only_where_the_price_is_known_to_be_lower() {
    let names = [(0, "dear"), (1, "same"), (2, "unknown"), (3, "middle"), (4, "cheap"), (5, "cheapest")];
    let prices = [Some(10), Some(10), None, Some(5), Some(2), Some(1)];
    let stage = Stage::new(names).facts(prices.map(|price| model(None, price)));
    assert_eq!(stage.order(ErrorKind::BudgetExceeded), ["dear/m", "middle/m", "cheap/m", "cheapest/m"]);
    let unpriced = Stage::new([(0, "unpriced"), (1, "another"), (2, "dear")]).facts([
        model(None, None),
        model(None, None),
        model(None, Some(100)),
    ]);
    assert_eq!(unpriced.order(ErrorKind::BudgetExceeded), ["unpriced/m", "dear/m"]);
}

#[test]
fn health_is_asked_only_of_those_that_would_be_called() {
    let open = HealthState::Open { remaining: SECOND };
    let stage = Stage::new([(0, "a"), (0, "b"), (1, "c"), (1, "d")]).health([("a", open), ("c", HealthState::Probing)]);
    let rank = Strategy::Ordered.rank();
    let mut attempts = stage.attempts(&*rank);
    let picked = stage.next(&mut attempts, None).unwrap();
    assert_eq!((picked.candidate.target().provider(), picked.is_substitute), ("b", false));
    assert_eq!(stage.asked_about.take(), ["a/m", "b/m"]);
    let picked = stage.next(&mut attempts, None).unwrap();
    assert_eq!((picked.candidate.target().provider(), picked.is_substitute), ("c", true), "its time has come");
}

#[test]
fn counted_as_untried_are_the_healthy_ones_but_for_other_keys_and_no_more_than_needed() {
    let cooling = HealthState::Cooling { remaining: SECOND };
    let names = [(0, "a/m#1"), (0, "a/m#2"), (1, "a/n#1"), (2, "cooling"), (3, "b"), (4, "c")];
    let stage = Stage::new(names).health([("cooling", cooling)]);
    let rank = Strategy::Ordered.rank();
    let mut attempts = stage.attempts(&*rank);
    let picked = stage.next(&mut attempts, None).unwrap();
    let untried = |most| attempts.untried(picked.candidate, most, |target| stage.health_of(target));
    assert_eq!([untried(0), untried(1), untried(2), untried(9)], [0, 1, 2, 3]);
    stage.asked_about.take();
    untried(1);
    assert_eq!(stage.asked_about.take(), ["a/n#1"]);
}

#[test]
fn of_all_that_are_open_the_first_to_reopen_is_probed_and_what_cools_never() {
    let open = |seconds| HealthState::Open { remaining: seconds * SECOND };
    let cooling = HealthState::Cooling { remaining: SECOND };
    let stage = Stage::new([(0, "a"), (0, "b"), (1, "c")]).health([("a", open(9)), ("b", cooling), ("c", open(5))]);
    let rank = Strategy::Ordered.rank();
    let mut attempts = stage.attempts(&*rank);
    assert!(stage.next(&mut attempts, None).is_none());
    let probe = attempts.first_to_reopen().unwrap();
    assert_eq!((probe.candidate.target().provider(), probe.is_probe, probe.is_substitute), ("c", true, true));
    let error = attempts.nobody_is_fit("smart");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::CircuitOpen, Some(SECOND)));
    assert_eq!(error.message(), "all 3 targets of `smart` that would do are open or cooling");

    let stage = Stage::new([(0, "a"), (0, "b")]).health([("a", cooling), ("b", cooling)]);
    let mut attempts = stage.attempts(&*rank);
    assert!(stage.next(&mut attempts, None).is_none() && attempts.first_to_reopen().is_none());
}

#[test]
fn what_is_open_until_somebody_closes_it_is_never_probed_and_has_no_time() {
    let by_hand = HealthState::Open { remaining: Duration::MAX };
    let rank = Strategy::Ordered.rank();
    for (other, expected) in [(by_hand, None), (HealthState::Cooling { remaining: SECOND }, Some(SECOND))] {
        let stage = Stage::new([(0, "a"), (0, "b")]).health([("a", by_hand), ("b", other)]);
        let mut attempts = stage.attempts(&*rank);
        assert!(stage.next(&mut attempts, None).is_none() && attempts.first_to_reopen().is_none());
        assert_eq!(attempts.nobody_is_fit("smart").retry_after(), expected);
    }
}

#[test]
fn the_gate_lets_one_through_in_five_seconds() {
    let (gate, now) = (Gate::default(), Instant::now());
    let passes = |after: u64| gate.pass(now + Duration::from_millis(after));
    assert_eq!([0, 1, 4_999, 5_000, 7_500, 10_000].map(passes), [true, false, false, true, false, true]);
}

#[test]
fn a_rank_that_is_out_of_bounds_fails_no_call() {
    #[derive(Debug)]
    struct Wrong;
    impl Rank for Wrong {
        fn pick(&self, _: &Asked<'_>, _: &[Choice<'_>]) -> usize {
            99
        }
    }
    let stage = Stage::new([(0, "a"), (0, "b")]);
    let mut attempts = stage.attempts(&Wrong);
    assert_eq!(stage.next(&mut attempts, None).unwrap().candidate.target().provider(), "b");
}

proptest! {
    #[test]
    fn whatever_fails_each_is_called_at_most_once_and_none_that_is_set_aside(
        candidates in prop::collection::vec((0..4_u16, 0..4_usize, 0..3_usize, prop::option::of(1..4_u64), 0..4_usize), 1..12),
        kinds in prop::collection::vec(select(&ErrorKind::ALL[..]), 12),
        strategy in select(&[Strategy::Ordered, Strategy::Weighted, Strategy::LeastLoaded, Strategy::PowerOfTwo][..]),
    ) {
        let states = [
            HealthState::Healthy,
            HealthState::Probing,
            HealthState::Open { remaining: SECOND },
            HealthState::Cooling { remaining: SECOND },
        ];
        let mut stage = Stage::new([]);
        for (tier, provider, key, facts, health) in candidates {
            let target = target(&format!("p{provider}/m#{key}"));
            if stage.candidates.iter().all(|(_, known)| *known.target() != target) {
                stage.health.insert(target.clone(), states[health]);
                stage.candidates.push((tier, Candidate::new(target).facts(model(facts, facts))));
            }
        }
        stage.candidates.sort_by_key(|(tier, _)| *tier);
        let rank = strategy.rank();
        let mut attempts = stage.attempts(&*rank);
        let fit = |target: &Target| matches!(stage.health[target], HealthState::Healthy | HealthState::Probing);
        let mut called = Vec::new();
        let mut next = stage.next(&mut attempts, None);
        let first_fit = stage.candidates.iter().find(|(_, candidate)| fit(candidate.target())).map(|(tier, _)| *tier);
        let tier_of = |target: &Target| stage.candidates.iter().find(|(_, other)| other.target() == target).unwrap().0;
        let picked_tier = next.map(|picked| tier_of(picked.candidate.target()));
        prop_assert_eq!(picked_tier, first_fit, "the first call goes to the first tier that has somebody");
        for kind in kinds {
            let Some(Picked { candidate, is_substitute, .. }) = next else { break };
            let target = candidate.target();
            prop_assert!(fit(target) && !called.contains(target), "{}", target);
            prop_assert_eq!(is_substitute, tier_of(target) != stage.candidates[0].0);
            called.push(target.clone());
            let error = Error::new(kind, "failed");
            let failure = Failure { candidate, error: &error };
            attempts.narrow(failure, |_| None);
            next = stage.next(&mut attempts, Some(failure));
            if let Some(picked) = next {
                let (other, model) = (picked.candidate.target(), picked.candidate.model().unwrap());
                match kind.class().elsewhere {
                    Elsewhere::LargerContext => {
                        prop_assert!(model.context_window > candidate.model().unwrap().context_window);
                    }
                    Elsewhere::OtherKeyFirst => prop_assert!(
                        (other.provider(), other.key()) != (target.provider(), target.key())
                    ),
                    Elsewhere::Cheaper => prop_assert!(false, "no cost is known, so none is lower"),
                    Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::Yes => {}
                }
            }
        }
    }
}
