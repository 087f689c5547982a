//! What holds for every call, whatever is asked of whom, and however they answer.

mod support;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, StreamExt, poll};
use llm_core::{
    AllowedModels, Elsewhere, Error, ErrorKind, Health, HealthState, LlmRequest, LlmResponse, Output, Target,
    catalog::Catalog,
};
use llm_router::{self as router, Facts, Plan, ProviderEntry, Route, RouterLayer, Rule, Rules, Targets, When};
use llm_test::{Answer, Frames};
use proptest::{prelude::*, sample::select};
use support::{Providers, SECOND, ask, call, distinct, in_flight, sensitive, stream};
use tower::{Layer, ServiceExt, service_fn};

/// One provider with one model, and how it will be found.
#[derive(Clone, Debug)]
struct Place {
    keys: usize,
    tier: usize,
    is_local: bool,
    is_tagged: bool,
    window: Option<u64>,
    health: usize,
    // By key; what is left out answers.
    fails: Vec<Option<ErrorKind>>,
}

#[derive(Clone, Debug)]
struct Case {
    places: Vec<Place>,
    is_sensitive: bool,
    requires_tag: bool,
    allowed: Option<Vec<usize>>,
    allowance: u32,
    strategy: router::Strategy,
    content_policy_failover: bool,
}

fn place() -> impl Strategy<Value = Place> {
    let fails = prop::collection::vec(prop::option::weighted(0.8, select(&ErrorKind::ALL[..])), 2);
    let facts = (prop::bool::weighted(0.7), prop::bool::weighted(0.7), prop::option::of(1_000..3_000_u64));
    (1..=2_usize, 0..3_usize, facts, 0..6_usize, fails).prop_map(
        |(keys, tier, (is_local, is_tagged, window), health, fails)| Place {
            keys,
            tier,
            is_local,
            is_tagged,
            window,
            health,
            fails,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let strategies = vec![
        router::Strategy::Ordered,
        router::Strategy::Weighted,
        router::Strategy::LeastLoaded,
        router::Strategy::PowerOfTwo,
    ];
    let asks = (any::<bool>(), any::<bool>(), prop::option::weighted(0.2, prop::collection::vec(0..6_usize, 0..4)));
    (prop::collection::vec(place(), 1..6), asks, 0..5_u32, select(strategies), any::<bool>()).prop_map(
        |(places, (is_sensitive, requires_tag, allowed), allowance, strategy, content_policy_failover)| Case {
            places,
            is_sensitive,
            requires_tag,
            allowed,
            allowance,
            strategy,
            content_policy_failover,
        },
    )
}

struct States(HashMap<Target, HealthState>);

impl Health for States {
    fn of(&self, target: &Target) -> HealthState {
        self.0[target]
    }
}

impl Case {
    fn state(place: &Place) -> HealthState {
        match place.health {
            0 => HealthState::Open { remaining: SECOND },
            1 => HealthState::Cooling { remaining: SECOND },
            2 => HealthState::Probing,
            _ => HealthState::Healthy,
        }
    }

    /// Every target with its place and what it fails with.
    fn all(&self) -> Vec<(Target, &Place, Option<ErrorKind>)> {
        let each = self.places.iter().enumerate().flat_map(|(at, place)| {
            (0..place.keys).map(move |key| {
                let target = Target::new(format!("p{at}"), "m");
                let target = if place.keys > 1 { target.with_key(format!("k{key}")) } else { target };
                (target, place, place.fails[key])
            })
        });
        each.collect()
    }

    fn layer(&self) -> RouterLayer {
        let facts = self.places.iter().enumerate().map(|(at, place)| {
            let window = place.window.map_or_else(String::new, |window| format!("context_window = {window}\n"));
            format!("[[models]]\nprovider = 'p{at}'\nname = 'm'\n{window}")
        });
        let catalog = Catalog::from_toml(&facts.collect::<String>()).expect("these are facts");
        let mut targets = Targets::new(Arc::new(catalog));
        for (at, place) in self.places.iter().enumerate() {
            let keys = (0..place.keys).map(|key| format!("k{key}"));
            let mut entry = ProviderEntry::new(format!("p{at}")).models(["m"]).keys(keys);
            if place.is_local {
                entry = entry.local();
            }
            if place.is_tagged {
                entry = entry.tags(["eu"]);
            }
            targets = targets.provider(entry);
        }
        let tier = |tier: usize| -> Option<Route> {
            let names = self.places.iter().enumerate().filter(|(_, place)| place.tier == tier);
            targets.route(names.map(|(at, _)| format!("p{at}/m"))).ok().map(|route| route.strategy(self.strategy))
        };
        let mut tiers = (0..3).filter_map(tier);
        let first = tiers.next().expect("some place is in some tier");
        let route = tiers.fold(first, Route::then);
        let tags: &[&str] = if self.requires_tag { &["eu"] } else { &[] };
        let rules = Rules::new([Rule::new(When::new()).require_tags(tags.iter().copied())]);
        let plan = Plan::new(targets).route("r", route).content_policy_failover(self.content_policy_failover);
        let states = self.all().into_iter().map(|(target, place, _)| (target, Self::state(place))).collect();
        RouterLayer::new(plan.rules(rules).expect("it names no route")).health(Arc::new(States(states)))
    }

    fn request(&self) -> LlmRequest {
        let request = LlmRequest::chat("r").user("word ".repeat(1_500)).build();
        let mut request = if self.is_sensitive { sensitive(request) } else { request };
        if let Some(allowed) = &self.allowed {
            let names = allowed.iter().map(|at| format!("p{at}/*"));
            request.context_mut().set_allowed_models(AllowedModels::new(names));
        }
        request.context_mut().set_allowance(self.allowance);
        request
    }

    fn may_serve(&self, place: &Place, at: usize) -> bool {
        (!self.is_sensitive || place.is_local)
            && (!self.requires_tag || place.is_tagged)
            && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&at))
            // The prompt is about 1,500 tokens and a few.
            && place.window.is_none_or(|window| window >= Facts::of(&self.request()).input_tokens())
    }

    fn goes_on(&self, kind: ErrorKind) -> bool {
        match kind.class().elsewhere {
            Elsewhere::No => false,
            Elsewhere::IfConfigured => self.content_policy_failover,
            Elsewhere::Yes | Elsewhere::OtherKeyFirst | Elsewhere::LargerContext | Elsewhere::Cheaper => true,
        }
    }
}

/// A call, and who was asked in which order, each with what it failed with.
async fn run(case: &Case) -> (Result<LlmResponse, Error>, Vec<(Target, bool, Option<ErrorKind>)>, usize) {
    let fails: HashMap<_, _> = case.all().into_iter().map(|(target, _, kind)| (target, kind)).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (layer, seen) = (case.layer(), Arc::clone(&asked));
    let inner = service_fn(move |request: LlmRequest| {
        let target = request.context().target().expect("the router chose one").clone();
        let kind = fails[&target];
        seen.lock().expect("nobody panics").push((target, request.context().is_probe(), kind));
        std::future::ready(match kind {
            Some(kind) => Err(Error::new(kind, "failed").with_retry_after(SECOND * 5)),
            None => Ok(LlmResponse::from(Output::text("hi"))),
        })
    });
    let result = layer.layer(inner).oneshot(case.request()).await;
    let asked = std::mem::take(&mut *asked.lock().expect("nobody panics"));
    (result, asked, in_flight(&layer.handle()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_call_keeps_to_those_who_may_serve_it_and_to_its_allowance(case in case()) {
        let (result, asked, under_way) = run(&case).now_or_never().expect("nobody waits");
        prop_assert_eq!(result.is_ok(), asked.last().is_some_and(|(_, _, kind)| kind.is_none()));
        prop_assert_eq!(under_way, 0);
        let all = case.all();
        let at = |target: &Target| target.provider()[1..].parse::<usize>().unwrap();
        let place = |target: &Target| all.iter().find(|(known, _, _)| known == target).unwrap().1;

        // Nobody is asked who may not serve the call, nobody who is not fit, and nobody twice.
        for (target, is_probe, _) in &asked {
            prop_assert!(case.may_serve(place(target), at(target)), "{} was asked", target);
            let is_fit = matches!(Case::state(place(target)), HealthState::Healthy | HealthState::Probing);
            prop_assert_eq!(is_fit, !is_probe, "{}", target);
        }
        let targets: Vec<_> = asked.iter().map(|(target, _, _)| target.clone()).collect();
        prop_assert!(distinct(&targets), "{targets:?}");
        let probes = asked.iter().filter(|(_, is_probe, _)| *is_probe).count();
        prop_assert!(probes == 0 || asked.len() == 1);

        // Providers are called once for free, and then as often as the allowance says.
        let reached = asked.iter().filter(|(_, _, kind)| kind.is_none_or(|kind| !kind.class().is_own)).count();
        prop_assert!(reached <= 1 + case.allowance as usize);
        // Nobody is asked after an answer, after what would fail everywhere, or who would fail as another has.
        for (number, (target, _, kind)) in asked.iter().enumerate() {
            let Some((next, _, _)) = asked.get(number + 1) else { break };
            let kind = kind.expect("nobody is asked after an answer");
            prop_assert!(case.goes_on(kind));
            match kind.class().elsewhere {
                Elsewhere::LargerContext => prop_assert!(place(next).window > place(target).window),
                Elsewhere::OtherKeyFirst => {
                    prop_assert_ne!((next.provider(), next.key()), (target.provider(), target.key()));
                }
                Elsewhere::Cheaper => prop_assert!(false, "no price is known, so none is lower"),
                Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::Yes => {}
            }
        }

        let admitted = all.iter().filter(|(target, place, _)| case.may_serve(place, at(target)));
        let fit = admitted.clone().filter(|(_, place, _)| matches!(Case::state(place), HealthState::Healthy | HealthState::Probing));
        match result {
            Ok(_) => {}
            Err(error) if asked.is_empty() => {
                prop_assert_eq!(fit.count(), 0, "somebody fit could serve it");
                prop_assert_eq!(error.kind() == ErrorKind::CircuitOpen, admitted.count() > 0);
                prop_assert!(error.trail().is_some());
            }
            Err(error) => {
                let kinds: Vec<_> = asked.iter().filter_map(|(_, _, kind)| *kind).collect();
                let provided = kinds.iter().rev().find(|kind| !kind.class().is_own);
                let trail = error.trail().expect("it has one").attempts();
                let is_wordless = provided.is_none() && kinds.last() == Some(&ErrorKind::Untranslatable);
                // Had the others been well, one of them might have had the words.
                let is_passing = is_wordless && fit.clone().count() < admitted.count();
                let (kind, wait) = match provided {
                    _ if is_passing => (ErrorKind::CircuitOpen, SECOND),
                    None if is_wordless && kinds.contains(&ErrorKind::CircuitOpen) => (ErrorKind::CircuitOpen, SECOND * 5),
                    _ => (*provided.unwrap_or(kinds.last().unwrap()), SECOND * 5),
                };
                prop_assert_eq!((error.kind(), error.retry_after()), (kind, Some(wait)));
                let told: Vec<_> = trail.iter().map(|record| record.target.clone().unwrap()).collect();
                prop_assert_eq!(told, targets);
                prop_assert!(trail.iter().all(|record| record.verdict.is_some()));
                let (last, before) = trail.split_last().unwrap();
                prop_assert!(before.iter().all(|record| record.verdict == Some("failed_over")));
                prop_assert_ne!(last.verdict, Some("failed_over"));
                // Whoever gives up has a reason.
                let last_kind = *kinds.last().unwrap();
                match last.verdict.unwrap() {
                    "not_elsewhere" => prop_assert!(!case.goes_on(last_kind)),
                    "allowance_spent" => prop_assert_eq!(reached, 1 + case.allowance as usize),
                    "no_candidate" => {
                        let is_narrowed = kinds.iter().any(|kind| match kind.class().elsewhere {
                            Elsewhere::OtherKeyFirst | Elsewhere::LargerContext | Elsewhere::Cheaper => true,
                            Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::Yes => false,
                        });
                        prop_assert!(is_narrowed || probes == 1 || asked.len() == fit.count());
                    }
                    other => prop_assert!(false, "{}", other),
                }
            }
        }
    }

    #[test]
    fn nothing_is_in_flight_when_all_calls_are_over_however_they_ended(
        endings in prop::collection::vec((0..9_usize, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let text = || Frames::new().start().text("Blue ");
            let scripted = |ending: usize| match ending {
                0 | 1 => Answer::text("Blue light."),
                2 => Answer::fail(Error::new(ErrorKind::Server, "down")),
                3 => Answer::fail(Error::new(ErrorKind::InvalidRequest, "odd")),
                4 => Answer::stream(text()),
                5 => Answer::stream(text().panic()),
                6 => Answer::panic_in_future(),
                7 => Answer::hang(),
                _ => Answer::stream(text().hang()),
            };
            let layer = RouterLayer::new(support::targets(["a"]));
            let handle = layer.handle();
            for (ending, made_up) in endings {
                let providers = Providers::new([("a", vec![scripted(ending)])]);
                let (service, request) = (providers.under(&layer), stream(if made_up { "x-1" } else { "m" }));
                let mut calling = Box::pin(AssertUnwindSafe(call(&service, request)).catch_unwind());
                // Some are dropped before their head, some after it, some in the middle, and some are read to the end.
                if let std::task::Poll::Ready(Ok(Ok(response))) = poll!(calling.as_mut()) {
                    assert_eq!(in_flight(&handle), 1);
                    let mut body = response.body;
                    while ending != 1
                        && let Ok(Some(Some(Ok(_)))) = AssertUnwindSafe(async { body.next().now_or_never() }).catch_unwind().await
                    {}
                }
                drop(calling);
                assert_eq!(in_flight(&handle), 0, "after ending {ending}");
            }
            // A whole answer is over at once.
            let providers = Providers::new([("a", vec![])]);
            let response = call(&providers.under(&layer), ask("m")).await.expect("it answers");
            assert_eq!(in_flight(&handle), 0);
            drop(response);
        });
    }
}
