//! Retry, breaker, router, budget and cache.

use llm_breaker::CircuitState;
use llm_core::{ErrorKind, NanoUsd};
use tokio::time::sleep;
use tower::{Layer, ServiceBuilder};

use crate::stage::*;

#[tokio::test(start_paused = true)]
async fn cache_and_router() {
    // A hit chooses nobody, and who asks for a name is given what the route's first choice said.
    let stage = Stage::new().a([text(), server(), server()]);
    let service = ServiceBuilder::new().layer(cache()).layer(router()).service(stage.dispatch());
    for _ in 0..2 {
        call(&service, ask()).await.unwrap();
    }
    assert_eq!(stage.calls(), [1, 0]);
    // A substitute's answer is kept for nobody.
    for calls in [[2, 1], [3, 2]] {
        call(&service, asking("Why?")).await.unwrap();
        assert_eq!(stage.calls(), calls);
    }

    // Below a router each target keeps what it has said, so a substitute's answer is one of its own,
    let stage = Stage::new().a([server(), server()]);
    let service = ServiceBuilder::new().layer(router()).layer(cache()).service(stage.dispatch());
    for calls in [[1, 1], [2, 1]] {
        call(&service, ask()).await.unwrap();
        assert_eq!(stage.calls(), calls, "`b` has answered that before");
    }
    // and says nothing of how fast the target is.
    let stage = Stage::new().a(vec![text().after(secs(3)); 20]);
    let routes = router();
    let handle = routes.handle();
    let service = ServiceBuilder::new().layer(routes).layer(cache()).service(stage.dispatch());
    for _asked in 0..2 {
        for number in 0..20 {
            call(&service, asking(&format!("{number}?"))).await.unwrap();
        }
        let status = handle.targets().into_iter().find(|status| status.target == a()).unwrap();
        assert_eq!((stage.calls(), status.first_content, status.in_flight), ([20, 0], Some(secs(3)), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn cache_and_retry() {
    // One call under way is tried again for all who wait for it.
    let stage = Stage::new().a([server(), text()]);
    let service = ServiceBuilder::new().layer(cache()).layer(retry()).service(stage.dispatch());
    let (first, second) = tokio::join!(call(&service, ask()), call(&service, ask()));
    assert_eq!((first.unwrap(), second.unwrap()), (TEXT.to_owned(), TEXT.to_owned()));
    assert_eq!(stage.calls(), [2, 0]);

    // Above a cache each who waits tries again by himself, and an answer that has expired is one before anybody does.
    let stage = Stage::new().a([text(), server()]);
    let again = retry();
    let handle = again.handle();
    let service = ServiceBuilder::new().layer(again).layer(cache().ttl(secs(60))).service(stage.dispatch());
    call(&service, ask()).await.unwrap();
    sleep(secs(3_000)).await;
    assert_eq!(call(&service, ask()).await, Ok(TEXT.to_owned()));
    assert_eq!((stage.calls(), handle.retries()), ([2, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn cache_and_budget() {
    // What was kept is given to those who have nothing left.
    let stage = Stage::new();
    let money = budget(1);
    let handle = money.handle();
    let service = ServiceBuilder::new().layer(cache()).layer(money).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(outcome(&service, asking("Why?")).await, Some(ErrorKind::BudgetExceeded));
    assert_eq!(call(&service, ask_a()).await, Ok(TEXT.to_owned()));
    assert_eq!(spent(&handle), COST);

    // Above a cache money is set aside for a hit as well, which costs nothing in the end.
    let stage = Stage::new();
    let money = budget(1);
    let handle = money.handle();
    let full = budget(2);
    let (service, richer) = (
        ServiceBuilder::new().layer(money).layer(cache()).service(stage.dispatch()),
        ServiceBuilder::new().layer(full.clone()).layer(cache()).service(stage.dispatch()),
    );
    call(&service, ask_a()).await.unwrap();
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::BudgetExceeded), "though it is kept");
    assert_eq!(spent(&handle), COST);
    for _ in 0..2 {
        call(&richer, ask_a()).await.unwrap();
        assert_eq!(spent(&full.handle()), COST);
    }
}

#[tokio::test(start_paused = true)]
async fn cache_and_breaker() {
    // What was kept is given while the circuit is open,
    let stage = Stage::new().a([text(), server(), server(), server()]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(cache()).layer(circuits).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    for number in 0..3 {
        let question = asking(&format!("{number}?"));
        let mut question = question;
        question.context_mut().set_target(a());
        assert_eq!(outcome(&service, question).await, Some(ErrorKind::Server));
    }
    assert!(is_open(&handle));
    assert_eq!(call(&service, ask_a()).await, Ok(TEXT.to_owned()));

    // and above a cache an open circuit keeps it from everybody.
    let stage = Stage::new().a([text(), server(), server(), server()]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(circuits).layer(cache()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    for number in 0..3 {
        let mut question = asking(&format!("{number}?"));
        question.context_mut().set_target(a());
        assert_eq!(outcome(&service, question).await, Some(ErrorKind::Server));
    }
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::CircuitOpen));
    // What was kept is no sign that the target is well again: it takes no part in closing.
    sleep(secs(10)).await;
    assert_eq!(call(&service, ask_a()).await, Ok(TEXT.to_owned()));
    assert_eq!(state(&handle), CircuitState::HalfOpen { probes: 0, successes: 0 });
    let mut question = asking("And now?");
    question.context_mut().set_target(a());
    call(&service, question).await.unwrap();
    assert_eq!(state(&handle), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn router_and_retry() {
    let failing = || Stage::new().a([server(), server(), server()]);
    // The same target is tried again as long as one call is left for each of the others.
    let stage = failing();
    let service = ServiceBuilder::new().layer(router()).layer(retry()).service(stage.dispatch());
    call(&service, ask()).await.unwrap();
    assert_eq!(stage.calls(), [2, 1]);
    // All targets are tried, and then all of them again.
    let stage = failing().b([server(), server()]);
    let service = ServiceBuilder::new().layer(retry()).layer(router()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::Server));
    assert_eq!(stage.calls(), [2, 1], "three attempts in all, in either order");
}

#[tokio::test(start_paused = true)]
async fn router_and_budget() {
    // What is set aside is the target's price, and what is refused goes to a cheaper one.
    let stage = Stage::new();
    let money = budget(1);
    let handle = money.handle();
    let service = ServiceBuilder::new().layer(router()).layer(money).service(stage.dispatch());
    call(&service, ask()).await.unwrap();
    call(&service, ask()).await.unwrap();
    assert_eq!((stage.calls(), spent(&handle)), ([1, 1], NanoUsd(COST.0 + COST.0 / 2)));
    // It is the price of the model that was asked for, what is refused goes nowhere, and what was paid is what `b` charges.
    let (providers, b) = simulated();
    let money = budget(1);
    let handle = money.handle();
    let service = ServiceBuilder::new().layer(money).layer(router()).service(providers);
    call(&service, ask()).await.unwrap();
    assert_eq!(spent(&handle), NanoUsd(COST.0 / 2));
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::BudgetExceeded), "though `b` would cost a half");
    assert_eq!(b.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn router_and_breaker() {
    let failing = || Stage::new().a(vec![server(); 9]);
    // Each target has a circuit, and one that is open is passed over.
    let stage = failing();
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(router()).layer(circuits).service(stage.dispatch());
    for _ in 0..5 {
        call(&service, ask()).await.unwrap();
    }
    assert_eq!(stage.calls(), [3, 5]);
    assert!(is_open(&handle));
    // One circuit for the name that is asked for sees what is left when all targets have failed.
    let stage = failing().b(vec![server(); 3]);
    let circuits = breaker();
    let service = ServiceBuilder::new().layer(circuits).layer(router()).service(stage.dispatch());
    for _ in 0..3 {
        assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::Server));
    }
    assert_eq!(outcome(&service, ask()).await, Some(ErrorKind::CircuitOpen), "for a name of which `b` would be well");
    assert_eq!(stage.calls(), [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn retry_and_budget() {
    // A stream that breaks off before content and one that does not: each attempt is paid for by itself.
    let stage = Stage::new().a([server(), text()]);
    let money = budget(1);
    let handle = money.handle();
    let service = ServiceBuilder::new().layer(retry()).layer(money).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!(spent(&handle), COST);
    // The retry is refused when there is no money for it, and the caller hears what the provider had failed with.
    let mut poor = ask_a();
    poor.context_mut().set_target(a());
    let nobody = budget(1);
    let stage = Stage::new().a([server(), text()]);
    let handle = nobody.handle();
    let service = ServiceBuilder::new().layer(retry()).layer(nobody).service(stage.dispatch());
    let (first, other) = (call(&service, ask_a()), async {
        // While the first one waits for its second attempt another one takes the money.
        sleep(std::time::Duration::from_millis(1)).await;
        call(&service, asking("Why?")).await
    });
    let (first, other) = tokio::join!(first, other);
    assert_eq!((first, other), (Err(ErrorKind::Server), Ok(TEXT.to_owned())));
    assert_eq!(spent(&handle), COST);

    // One reservation for all attempts of a call.
    let stage = Stage::new().a([server(), server(), text()]);
    let money = budget(1);
    let handle = money.handle();
    let service = ServiceBuilder::new().layer(money).layer(retry()).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!((stage.calls(), spent(&handle)), ([3, 0], COST));
}

#[tokio::test(start_paused = true)]
async fn retry_and_breaker() {
    // Every attempt counts, so the third failure opens the circuit, be they of one call.
    let stage = Stage::new().a(vec![server(); 9]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(retry()).layer(circuits).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::Server));
    assert!(is_open(&handle));
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::CircuitOpen));
    assert_eq!(stage.calls(), [3, 0]);

    // What a retry has mended is a success, and a provider is called three times as often before its circuit opens.
    let stage = Stage::new().a(vec![server(); 9]);
    let circuits = breaker();
    let handle = circuits.handle();
    let service = ServiceBuilder::new().layer(circuits).layer(retry()).service(stage.dispatch());
    for _ in 0..3 {
        assert!(!is_open(&handle));
        assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::Server));
    }
    assert!(is_open(&handle));
    assert_eq!(stage.calls(), [9, 0]);
}

#[tokio::test(start_paused = true)]
async fn budget_and_breaker() {
    // Who has no money takes up no place of a probe, and what a circuit refuses costs nothing.
    let open = || Stage::new().a(vec![server(); 3]);
    let stage = open();
    let (circuits, poor) = (breaker(), budget(0));
    let handle = circuits.handle();
    let bare = circuits.layer(stage.dispatch());
    for _ in 0..3 {
        outcome(&bare, ask_a()).await.unwrap();
    }
    let service = ServiceBuilder::new().layer(budget(1)).layer(circuits.clone()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::CircuitOpen));
    sleep(secs(10)).await;
    let service = ServiceBuilder::new().layer(poor.clone()).layer(circuits.clone()).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::BudgetExceeded));
    assert!(is_open(&handle), "the circuit was not asked");

    // Below a breaker the refusal takes the place of a probe, gives it back, and tells nothing.
    let service = ServiceBuilder::new().layer(circuits.clone()).layer(poor).service(stage.dispatch());
    assert_eq!(outcome(&service, ask_a()).await, Some(ErrorKind::BudgetExceeded));
    assert_eq!(state(&handle), CircuitState::HalfOpen { probes: 0, successes: 0 });
    let money = budget(1);
    let spending = money.handle();
    let service = ServiceBuilder::new().layer(circuits).layer(money).service(stage.dispatch());
    call(&service, ask_a()).await.unwrap();
    assert_eq!((state(&handle), spent(&spending)), (CircuitState::Closed, COST));
}
