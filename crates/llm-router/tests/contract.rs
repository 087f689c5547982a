//! Dispatch and router keep the laws of all layers.

mod dispatch {
    //! With the inner service as its only provider.

    use llm_core::BoxLlmService;
    use llm_router::Dispatch;
    use llm_test::{Subject, contract};
    use tower::layer::layer_fn;

    fn dispatch() -> Subject {
        // The name that the laws give the provider of their targets.
        // They call it with sensitive requests too.
        let over = |models: &'static [&str]| {
            move |inner| Dispatch::new().provider("provider", inner, models).local("provider")
        };
        let serves_nothing = move || layer_fn(over(&[]));
        Subject::stack("Dispatch", move |inner| BoxLlmService::new(over(&["*"])(inner)))
            .always_ready()
            .rejecting(serves_nothing)
            .shows("an empty dispatch", Dispatch::new())
    }

    contract!(dispatch);
}

mod router {
    //! Over targets that all are the inner service.

    use std::{sync::Arc, time::Duration};

    use llm_core::{Error, ErrorKind, Health, HealthState, LlmRequest, Target};
    use llm_router::{Plan, ProviderEntry, Route, RouterHandle, RouterLayer, Targets};
    use llm_test::{Answer, Subject, contract};

    /// The names that the laws give the model of their requests, and the provider of their targets. They call it with
    /// sensitive requests too.
    pub(super) fn targets() -> Targets {
        let provider = ProviderEntry::new("provider").models(["model", "probe", "m-*"]).keys(["first", "second"]);
        Targets::new(Arc::default())
            .provider(provider.local())
            .provider(ProviderEntry::new("other").models(["probe"]).local())
    }

    pub(super) fn in_flight(handle: &RouterHandle) -> u64 {
        handle.targets().iter().map(|status| status.in_flight as u64).sum()
    }

    fn busy() -> Answer {
        Answer::fail(Error::new(ErrorKind::Overloaded, "busy"))
    }

    /// Nothing is fit to be called.
    pub(super) struct Cooling;

    impl Health for Cooling {
        fn of(&self, _: &Target) -> HealthState {
            HealthState::Cooling { remaining: Duration::from_secs(7) }
        }
    }

    fn refused(names: &'static [&'static str]) -> impl Fn() -> Result<Route, String> {
        || targets().route(names.iter().copied()).map_err(|error| error.to_string())
    }

    fn subject() -> Subject {
        let layer = RouterLayer::new(targets());
        let (held, counted, kept) = (layer.handle(), layer.handle(), layer.handle());
        let known = kept.targets().len();
        Subject::new("Router", layer.clone())
            .always_ready()
            .calls_again(busy())
            .rejecting(|| RouterLayer::new(targets()).health(Arc::new(Cooling)))
            .quiet("its notices come only when several targets are open at once, which a test in `behaviour.rs` shows")
            .holds("calls in flight", move || in_flight(&held))
            .counts(busy(), move || counted.counts().failed_over)
            .takes(Duration::from_secs(3), [busy().after(Duration::from_secs(3)), Answer::text("at last")])
            .keyed(
                known,
                |number| LlmRequest::chat(format!("m-{number}")).user("Why?").build(),
                move || kept.targets().len(),
            )
            .refuses("a route of nothing", refused(&[]))
            .refuses("a target that nobody serves", refused(&["probe", "mystery"]))
            .refuses("a key that is not there", refused(&["provider/probe#third"]))
            .refuses("a pattern", refused(&["provider/m-*"]))
            .refuses("a weight below zero", || targets().route([("probe", -1.0)]).map_err(|error| error.to_string()))
            .shows("its handle", layer.handle())
            .shows("the targets", targets())
            .shows("its plan", Plan::new(targets()))
    }

    contract!(subject);
}

mod router_after_failover {
    //! Over one target that always fails and one that is the inner service.

    use std::task::{Context, Poll};

    use futures_util::future::BoxFuture;
    use llm_core::{BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Target};
    use llm_router::{Plan, ProviderEntry, RouterLayer};
    use llm_test::{Subject, contract};
    use tower::{Layer, Service, ServiceExt};

    use super::router::{Cooling, in_flight, targets};

    /// The inner service, but for one provider that is down.
    #[derive(Clone)]
    struct OneIsDown(BoxLlmService);

    impl Service<LlmRequest> for OneIsDown {
        type Response = LlmResponse;
        type Error = Error;
        type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: LlmRequest) -> Self::Future {
            if request.context().target().map(Target::provider) == Some("down") {
                return Box::pin(async { Err(Error::new(ErrorKind::Server, "down")) });
            }
            Box::pin(self.0.clone().oneshot(request))
        }
    }

    fn layer() -> RouterLayer {
        let targets = targets().provider(ProviderEntry::new("down").models(["probe"]).local());
        let route = targets.route(["down/probe", "other/probe"]).expect("both are there");
        RouterLayer::new(Plan::new(targets).route("probe", route))
    }

    fn subject() -> Subject {
        let layer = layer();
        let (held, counted) = (layer.handle(), layer.handle());
        Subject::stack("Router, after failover", move |inner| BoxLlmService::new(layer.layer(OneIsDown(inner))))
            .always_ready()
            .holds_back()
            .rejecting(|| self::layer().health(std::sync::Arc::new(Cooling)))
            .quiet("its notices come only when several targets are open at once, which a test in `behaviour.rs` shows")
            .holds("calls in flight", move || in_flight(&held))
            .counts(llm_test::Answer::text("Blue."), move || counted.counts().failed_over)
    }

    contract!(subject);
}
