//! What plain `cargo test` runs of it: every ending in every order, every law in a few, and whether a fault is noticed.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::StreamExt;
use llm_core::{Body, BoxLlmService, Error, LlmRequest, LlmResponse};
use tower::{Service, ServiceExt, service_fn};
use xtask_conformance::{
    drive::run_above,
    edge::Edge,
    endings::{Ending, Scenario},
    job::{Finding, Job, run_all},
    order::Order,
    random,
};

fn assert_kept(jobs: &[Job]) {
    for (job, finding) in jobs.iter().zip(run_all(jobs)) {
        if let Finding::Failed(said) = finding {
            panic!("{job}: {said}\n{}", job.reproduction());
        }
    }
}

#[test]
fn every_ending_in_every_order_is_what_the_order_says() {
    let jobs = Job::endings();
    assert_eq!(jobs.len(), 120 * Scenario::all().len());
    assert_kept(&jobs);
}

#[test]
fn every_law_holds_in_the_recommended_order_and_in_a_few_others() {
    let orders: Vec<Order> = Order::all().into_iter().step_by(29).collect();
    let is_of_these = |job: &Job| matches!(job, Job::Law(_, _, order) if orders.contains(order));
    assert_kept(&Job::laws().into_iter().filter(is_of_these).collect::<Vec<_>>());
}

#[test]
fn what_happens_at_random_is_what_the_model_says() {
    assert_kept(&Job::random(1, 300));
}

#[test]
fn the_line_of_a_case_finds_it_again() {
    let jobs: Vec<Job> = Job::laws().into_iter().chain(Job::endings()).collect();
    let names: HashSet<String> = jobs.iter().map(Job::to_string).collect();
    assert_eq!(names.len(), jobs.len());
    assert!(names.iter().all(|name| !name.contains('\'')), "names stand in quotes");
    for job in jobs.iter().step_by(997).chain(&Job::random(7, 3)) {
        let line = job.reproduction();
        let name = line.split('\'').nth(1).unwrap();
        let seed = line.split("--seed ").nth(1).map_or(0, |seed| seed.parse().unwrap());
        let found = Job::named(name, seed).unwrap();
        assert_eq!((found.to_string(), found.reproduction()), (job.to_string(), line));
    }
    assert_eq!(random::case(7, 3), random::case(7, 3));
    assert_ne!(random::case(7, 3), random::case(8, 3));
    assert!(Job::named("panic_releases in cache>cache", 0).is_err());
}

/// A layer between stack and provider that gets something wrong, and the ending that tells.
#[derive(Clone, Copy)]
struct Flawed {
    layer: fn(Edge) -> BoxLlmService,
    noticed_in: Ending,
    said: &'static str,
}

const FLAWED: [Flawed; 4] = [
    Flawed { layer: goes_on_in_a_task, noticed_in: Ending::Abandoned, said: "the attempts of call 1 ended otherwise" },
    Flawed { layer: swallows_failures, noticed_in: Ending::Cut, said: "did not end once" },
    Flawed { layer: calls_an_unready_one, noticed_in: Ending::Success, said: "a provider that was not ready" },
    Flawed { layer: calls_twice, noticed_in: Ending::EarlyFailure, said: "reached the provider otherwise" },
];

fn around<R>(edge: Edge, call: fn(Edge, LlmRequest) -> R) -> BoxLlmService
where
    R: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    BoxLlmService::new(service_fn(move |request| call(edge.clone(), request)))
}

fn goes_on_in_a_task(edge: Edge) -> BoxLlmService {
    around(edge, |edge, request| async move { tokio::spawn(edge.oneshot(request)).await.unwrap() })
}

fn swallows_failures(edge: Edge) -> BoxLlmService {
    around(edge, |edge, request| async move {
        let good = |body: Body| Body::stream(body.take_while(|frame| std::future::ready(frame.is_ok())));
        Ok(edge.oneshot(request).await?.map(good))
    })
}

fn calls_an_unready_one(edge: Edge) -> BoxLlmService {
    around(edge, |mut edge, request| edge.call(request))
}

fn calls_twice(edge: Edge) -> BoxLlmService {
    around(edge, |edge, request| async move {
        match edge.clone().oneshot(request.clone()).await {
            Ok(response) => Ok(response),
            Err(_) => edge.oneshot(request).await,
        }
    })
}

#[test]
fn a_layer_that_gets_something_wrong_is_noticed_in_every_order() {
    for order in Order::all() {
        for Flawed { layer, noticed_in, said } in FLAWED {
            let is_meant = |scenario: &Scenario| scenario.ending == noticed_in && scenario.streamed;
            let scenarios = Scenario::all().into_iter().filter(is_meant);
            let sentences: Vec<_> =
                scenarios.filter_map(|it| broken(|| run_above(&it.in_order(order), layer))).collect();
            assert!(sentences.iter().any(|own| own.contains(said)), "{order}, {noticed_in}: {sentences:?}");
        }
    }
}

/// What a case says that does not hold.
fn broken(case: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(case)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}
