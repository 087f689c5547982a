//! The layers of a stack, and their order.

use std::sync::Arc;

use llm_breaker::{BreakerConfig, BreakerLayer};
use llm_core::{BoxLlmService, ConfigError, Target, catalog::Catalog};
use llm_retry::{HedgeConfig, HedgeLayer, RetryConfig, RetryLayer};
use llm_router::Dispatch;
use llm_timeout::{TimeoutConfig, TimeoutLayer};
use tower::ServiceBuilder;

use crate::{Handles, Switch, targets::Targets};

/// The layers that are not left out.
#[derive(Debug)]
pub(crate) struct Layers {
    hedge: Option<HedgeLayer>,
    retry: Option<RetryLayer>,
    breaker: Option<BreakerLayer>,
    timeout: Option<TimeoutLayer>,
}

impl Layers {
    pub(crate) fn new(
        hedge: Switch<HedgeConfig>,
        retry: Switch<RetryConfig>,
        breaker: Switch<BreakerConfig>,
        timeout: Switch<TimeoutConfig>,
        catalog: &Arc<Catalog>,
    ) -> Result<Self, ConfigError> {
        let timeout: Option<TimeoutLayer> = build("timeout", timeout)?;
        Ok(Self {
            hedge: build("hedge", hedge)?,
            retry: build("retry", retry)?,
            breaker: build("breaker", breaker)?,
            timeout: timeout.map(|timeout| timeout.catalog(Arc::clone(catalog))),
        })
    }

    /// Tells the layers what they can know of each other, of the targets, and from those before them. Their handles are taken
    /// afterwards.
    pub(crate) fn introduced(self, targets: &Arc<Targets>, previous: Option<&Handles>) -> Self {
        let breaker = self.breaker.map(|breaker| breaker.sharing(Arc::clone(targets)));
        let breaker = match previous.and_then(|handles| handles.breaker.as_ref()) {
            Some(previous) => breaker.map(|breaker| breaker.resuming(previous)),
            None => breaker,
        };
        let known = Arc::clone(targets);
        let hedge = self.hedge.map(|hedge| hedge.alternatives(move |target: &Target| known.alternative(target)));
        let hedge = match &breaker {
            Some(breaker) => hedge.map(|hedge| hedge.health(Arc::new(breaker.handle()))),
            None => hedge,
        };
        Self { hedge, breaker, ..self }
    }

    /// The layers around `dispatch`, outermost first.
    pub(crate) fn around(self, dispatch: Dispatch, targets: &Arc<Targets>) -> BoxLlmService {
        let Self { hedge, retry, breaker, timeout } = self;
        let giving = Arc::clone(targets);
        BoxLlmService::new(
            ServiceBuilder::new()
                .map_request(move |request| giving.give(request))
                .option_layer(hedge)
                .option_layer(retry)
                .option_layer(breaker)
                .option_layer(timeout)
                .service(dispatch),
        )
    }

    pub(crate) fn handles(&self) -> Handles {
        Handles {
            hedge: self.hedge.as_ref().map(HedgeLayer::handle),
            retry: self.retry.as_ref().map(RetryLayer::handle),
            breaker: self.breaker.as_ref().map(BreakerLayer::handle),
            timeout: self.timeout.as_ref().map(TimeoutLayer::handle),
        }
    }
}

fn build<C, L: TryFrom<C, Error = ConfigError>>(name: &str, switch: Switch<C>) -> Result<Option<L>, ConfigError> {
    switch.into_option().map(L::try_from).transpose().map_err(|error| error.within(name))
}
