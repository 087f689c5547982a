//! What chooses among services in tower and tower-resilience.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll, Waker},
};

use tower::{
    Service, balance::p2c::Balance, discover::ServiceList, load::CompleteOnResponse, load::PendingRequests,
    steer::Steer,
};
use tower_resilience_router::{SelectionStrategy, WeightedRouter};
use xtask_bench::{operation::Operation, pick::SIZES};

/// What is measured, each with all sizes.
pub fn picks() -> Vec<Operation> {
    let weighted = |strategy: SelectionStrategy| {
        move |size: usize| {
            let router = WeightedRouter::builder().strategy(strategy);
            (0..size).fold(router, |router, _| router.route(Answers, 1)).build()
        }
    };
    let mut picks = Vec::new();
    picks.extend(
        SIZES.map(|size| {
            calls("tower Steer, the first", size, Steer::new(vec![Answers; size], |_: &(), _: &[Answers]| 0))
        }),
    );
    picks.extend(SIZES.map(|size| {
        let counted = (0..size).map(|_| PendingRequests::new(Answers, CompleteOnResponse::default()));
        calls("tower Balance, P2C in flight", size, Balance::new(ServiceList::new::<()>(counted.collect::<Vec<_>>())))
    }));
    let deterministic = weighted(SelectionStrategy::Deterministic);
    picks.extend(SIZES.map(|size| calls("tower-resilience router, in turns", size, deterministic(size))));
    let random = weighted(SelectionStrategy::Random);
    picks.extend(SIZES.map(|size| calls("tower-resilience router, random", size, random(size))));
    picks
}

/// Readies the service and calls it.
fn calls<S: Service<()> + 'static>(name: &str, size: usize, mut service: S) -> Operation {
    Operation::new(name, size, move || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "what answers at once is ready");
        drop(black_box(service.call(())));
    })
}

/// Answers at once.
#[derive(Clone, Copy, Debug)]
struct Answers;

impl Service<()> for Answers {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}
