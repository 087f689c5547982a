//! What callers are told is left of what they may use.

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_core::{LlmRequest, NanoUsd, RateLimits, clock};
use llm_wire::headers::write_rate_limits;

use crate::{dialect::CallerDialect, told::printable};

const BUDGET: HeaderName = HeaderName::from_static("x-llm-budget");

/// The most budgets that are told: whoever has more asks the operator.
const MOST_TOLD: usize = 8;

/// What is left of what a caller may use, see [`Door::remaining`](crate::Door::remaining).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Of limits on requests and tokens, told under the names that clients of the dialect know. What is absent is not told.
    pub rate_limits: RateLimits,
    /// Of budgets.
    pub budgets: Vec<RemainingBudget>,
}

/// What is left of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingBudget {
    /// What it is called, to the caller too.
    pub name: Arc<str>,
    /// What may be spent within its window.
    pub cap: NanoUsd,
    /// What is left of that.
    pub left: NanoUsd,
    /// How long until all of it is there again, if nothing more is spent; absent where it never is.
    pub resets_in: Option<Duration>,
}

/// Who knows what is left.
#[derive(Clone)]
pub(crate) struct Teller(Arc<dyn Fn(&LlmRequest) -> Remaining + Send + Sync>);

impl Teller {
    pub(crate) fn new(tell: impl Fn(&LlmRequest) -> Remaining + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Writes what is left to whoever sent `request`, at this moment.
    pub(crate) fn write(&self, request: &LlmRequest, dialect: CallerDialect, headers: &mut HeaderMap) {
        let Remaining { rate_limits, budgets } = (self.0)(request);
        if !rate_limits.is_empty() {
            write_rate_limits(headers, &rate_limits, dialect.wire(), clock::wall());
        }
        if !budgets.is_empty() {
            headers.insert(BUDGET, list(&budgets));
        }
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// The budgets as a list of structured fields (RFC 9651). Amounts are strings, as a decimal of theirs has three places only.
fn list(budgets: &[RemainingBudget]) -> HeaderValue {
    let mut list = String::new();
    for RemainingBudget { name, cap, left, resets_in } in budgets.iter().take(MOST_TOLD) {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push('"');
        list.extend(name.chars().map(printable));
        write!(list, "\";left=\"{}\";cap=\"{}\"", left.decimal(), cap.decimal()).expect("a string takes everything");
        if let Some(reset) = resets_in {
            let seconds = reset.as_nanos().div_ceil(1_000_000_000);
            write!(list, ";reset={seconds}").expect("a string takes everything");
        }
    }
    HeaderValue::try_from(list).expect("names are made printable, and the rest is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_a_list_of_structured_fields_whatever_they_are_called() {
        let budget = |name: &str, resets_in| RemainingBudget {
            name: name.into(),
            cap: NanoUsd(2_000_000_000),
            left: NanoUsd(1_940_030_000),
            resets_in,
        };
        let told = list(&[budget("per-tenant", Some(Duration::from_millis(3_599_001))), budget("ü\"\\\n", None)]);
        assert_eq!(
            told,
            "\"per-tenant\";left=\"1.94003\";cap=\"2.00\";reset=3600, \"????\";left=\"1.94003\";cap=\"2.00\""
        );
        let many: Vec<_> = (0..100).map(|at| budget(&at.to_string(), None)).collect();
        assert_eq!(list(&many).to_str().unwrap().matches("cap=").count(), MOST_TOLD);
    }
}
