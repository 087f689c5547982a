//! The circuit breaker, the retry layer, the router and the cache of tower-resilience, what chooses among services in tower, and what
//! others count requests and money with, as they are by default where they have defaults.

mod cache;
mod ledger;
mod pick;

use std::time::Duration;

use futures_util::FutureExt;
use llm_core::{Error, LlmRequest, LlmResponse};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, FailureModel, SlidingWindowType};
use tower_resilience_retry::RetryLayer;
use xtask_bench::{
    layers::{
        BARE,
        calls::calls,
        echo::{Answer, Echo},
        own::over,
    },
    rounds::Case,
};

pub use cache::cases as cache_cases;
pub use ledger::{cases as ledger_cases, fills as ledger_fills};
pub use pick::picks;

/// An hour: longer than anything is measured.
const LONG: Duration = Duration::from_secs(3600);

/// What is measured in this program, for each answer the bare echo first.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for answer in Answer::ALL {
        cases.push(calls(BARE, answer, Echo));
        match answer {
            Answer::Whole | Answer::Stream => {
                cases.push(over("tower-resilience retry", answer, retry()));
                cases.push(over("tower-resilience breaker, count window", answer, breaker().build().expect(DEFAULTS)));
                let windowed = breaker()
                    .sliding_window_type(SlidingWindowType::TimeBased)
                    .sliding_window_duration(Duration::from_secs(60))
                    .minimum_number_of_calls(20);
                cases.push(over("tower-resilience breaker, 60 s window", answer, windowed.build().expect(DEFAULTS)));
                let consecutive = breaker().failure_model(FailureModel::ConsecutiveFailures { k: 5 });
                cases.push(over("tower-resilience breaker, consecutive", answer, consecutive.build().expect(DEFAULTS)));
            }
            Answer::Refusal => cases.push(open()),
        }
    }
    cases
}

const DEFAULTS: &str = "these settings are allowed";

fn retry() -> RetryLayer<LlmRequest, LlmResponse, Error> {
    RetryLayer::builder().max_attempts(3).build()
}

fn breaker() -> tower_resilience_circuitbreaker::CircuitBreakerConfigBuilder {
    CircuitBreakerLayer::builder().wait_duration_in_open(LONG)
}

/// An open circuit: every call is refused.
fn open() -> Case {
    let (layer, handle) = breaker().build_with_handle().expect(DEFAULTS);
    handle.force_open().now_or_never().expect("nobody else holds the circuit");
    over("tower-resilience breaker, open", Answer::Refusal, layer)
}
