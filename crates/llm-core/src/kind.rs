//! What can go wrong, and what follows from it.

use std::fmt;

/// What went wrong with a call.
///
/// The list is closed on purpose: a new kind has to be thought about wherever kinds are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be understood or served as it is.
    InvalidRequest,
    /// The request says something that the target's dialect has no words for, and that matters to the answer. Nothing
    /// was sent.
    Untranslatable,
    /// The request is larger than can be taken.
    TooLarge,
    /// Our door knows no such model.
    UnknownModel,
    /// The provider knows no such model, or not with this key.
    ModelNotFound,
    /// The prompt does not fit the model's context window.
    ContextLength,
    /// A content policy refused the request or held back the answer.
    ContentPolicy,
    /// The caller's key is missing or wrong.
    Unauthenticated,
    /// The caller's key does not permit this.
    Forbidden,
    /// The provider refuses *our* key.
    ProviderCredentials,
    /// Our account at the provider has no money or quota left.
    QuotaExhausted,
    /// The provider throttles us.
    RateLimited,
    /// The provider has no capacity.
    Overloaded,
    /// The provider failed.
    Server,
    /// No connection to the provider could be made.
    Connect,
    /// The connection or the stream broke off before the answer was complete.
    Interrupted,
    /// A time limit of ours ran out.
    Timeout(Phase),
    /// The caller's own deadline passed.
    DeadlineExceeded,
    /// The provider's answer makes no sense.
    Undecodable,
    /// A circuit breaker is open.
    CircuitOpen,
    /// A budget is spent.
    BudgetExceeded,
    /// A rate or concurrency limit of ours is reached.
    LimitExceeded,
    /// No target can serve the request.
    NoRoute,
    /// The caller went away.
    Cancelled,
    /// A fault of ours.
    Internal,
}

/// What a time limit was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A connection.
    Connect,
    /// The response head.
    Head,
    /// The first content.
    FirstContent,
    /// More content.
    Idle,
    /// The end of the call.
    Total,
}

/// What follows from an [`ErrorKind`]: who may try again where, what a breaker makes of it, what the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// Whether the same target may be tried again.
    pub retry: Retry,
    /// Whether another target may be tried.
    pub elsewhere: Elsewhere,
    /// What a circuit breaker makes of it.
    pub breaker: Breaker,
    /// The http status for the caller.
    pub status: u16,
    /// True when one of our own layers refused the call, and no provider was reached for it.
    pub is_own: bool,
}

/// Whether the same target may be tried again, as long as no content was handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It would fail in the same way.
    No,
    /// It may succeed after a backoff.
    Yes,
    /// It may succeed after the time the provider advised.
    AfterAdvice,
}

impl Retry {
    /// True unless a retry is pointless.
    pub const fn is_allowed(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// Whether, and which, other target may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elsewhere {
    /// None: it is the request that is at fault.
    No,
    /// None, unless the operator configured it.
    IfConfigured,
    /// Any.
    Yes,
    /// Another key of the same provider first, then another target.
    OtherKeyFirst,
    /// One with a larger context window.
    LargerContext,
    /// A cheaper one.
    Cheaper,
}

/// What a circuit breaker makes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// Nothing: the provider is not at fault.
    Ignore,
    /// The provider failed.
    Failure,
    /// The provider throttles: new calls wait for the advised time, no fault is counted.
    Cool,
    /// This key or target is useless until somebody acts: open at once.
    OpenAtOnce,
}

impl Breaker {
    /// True when the provider is at fault.
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Failure | Self::OpenAtOnce)
    }
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 29] = [
        Self::InvalidRequest,
        Self::Untranslatable,
        Self::TooLarge,
        Self::UnknownModel,
        Self::ModelNotFound,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::ProviderCredentials,
        Self::QuotaExhausted,
        Self::RateLimited,
        Self::Overloaded,
        Self::Server,
        Self::Connect,
        Self::Interrupted,
        Self::Timeout(Phase::Connect),
        Self::Timeout(Phase::Head),
        Self::Timeout(Phase::FirstContent),
        Self::Timeout(Phase::Idle),
        Self::Timeout(Phase::Total),
        Self::DeadlineExceeded,
        Self::Undecodable,
        Self::CircuitOpen,
        Self::BudgetExceeded,
        Self::LimitExceeded,
        Self::NoRoute,
        Self::Cancelled,
        Self::Internal,
    ];

    /// What follows from the kind.
    pub const fn class(self) -> Class {
        use Breaker as B;
        use Elsewhere as E;
        use Retry as R;
        let (retry, elsewhere, breaker, status, is_own) = match self {
            Self::InvalidRequest => (R::No, E::No, B::Ignore, 400, false),
            Self::Untranslatable => (R::No, E::Yes, B::Ignore, 400, true),
            Self::TooLarge => (R::No, E::No, B::Ignore, 413, false),
            Self::UnknownModel => (R::No, E::No, B::Ignore, 404, false),
            Self::ModelNotFound => (R::No, E::Yes, B::OpenAtOnce, 404, false),
            Self::ContextLength => (R::No, E::LargerContext, B::Ignore, 400, false),
            Self::ContentPolicy => (R::No, E::IfConfigured, B::Ignore, 400, false),
            Self::Unauthenticated => (R::No, E::No, B::Ignore, 401, false),
            Self::Forbidden => (R::No, E::No, B::Ignore, 403, false),
            Self::ProviderCredentials => (R::No, E::OtherKeyFirst, B::OpenAtOnce, 502, false),
            Self::QuotaExhausted => (R::No, E::OtherKeyFirst, B::OpenAtOnce, 429, false),
            Self::RateLimited => (R::AfterAdvice, E::Yes, B::Cool, 429, false),
            Self::Overloaded => (R::Yes, E::Yes, B::Failure, 503, false),
            Self::Server | Self::Connect | Self::Interrupted | Self::Undecodable => {
                (R::Yes, E::Yes, B::Failure, 502, false)
            }
            Self::Timeout(Phase::Connect | Phase::Head | Phase::FirstContent | Phase::Idle | Phase::Total) => {
                (R::Yes, E::Yes, B::Failure, 504, false)
            }
            Self::DeadlineExceeded => (R::No, E::No, B::Ignore, 504, false),
            Self::CircuitOpen => (R::No, E::Yes, B::Ignore, 503, true),
            Self::BudgetExceeded => (R::No, E::Cheaper, B::Ignore, 402, true),
            Self::LimitExceeded => (R::No, E::No, B::Ignore, 429, true),
            Self::NoRoute => (R::No, E::No, B::Ignore, 503, true),
            Self::Cancelled => (R::No, E::No, B::Ignore, 499, false),
            Self::Internal => (R::No, E::No, B::Ignore, 500, false),
        };
        Class { retry, elsewhere, breaker, status, is_own }
    }

    /// Whether the provider may have worked, and may bill, although nothing of an answer came back: it was cut off or
    /// given up. What a provider refuses it does not bill, and what never reached one it cannot.
    pub const fn may_be_billed(self) -> bool {
        match self {
            Self::Interrupted
            | Self::Undecodable
            | Self::DeadlineExceeded
            | Self::Cancelled
            | Self::Timeout(Phase::Head | Phase::FirstContent | Phase::Idle | Phase::Total) => true,
            Self::InvalidRequest
            | Self::Untranslatable
            | Self::TooLarge
            | Self::UnknownModel
            | Self::ModelNotFound
            | Self::ContextLength
            | Self::ContentPolicy
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::ProviderCredentials
            | Self::QuotaExhausted
            | Self::RateLimited
            | Self::Overloaded
            | Self::Server
            | Self::Connect
            | Self::Timeout(Phase::Connect)
            | Self::CircuitOpen
            | Self::BudgetExceeded
            | Self::LimitExceeded
            | Self::NoRoute
            | Self::Internal => false,
        }
    }

    /// The kind in snake case, for logs, metrics and error bodies. These names are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Untranslatable => "untranslatable",
            Self::TooLarge => "too_large",
            Self::UnknownModel => "unknown_model",
            Self::ModelNotFound => "model_not_found",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::ProviderCredentials => "provider_credentials",
            Self::QuotaExhausted => "quota_exhausted",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Connect => "connect",
            Self::Interrupted => "interrupted",
            Self::Timeout(Phase::Connect) => "timeout_connect",
            Self::Timeout(Phase::Head) => "timeout_head",
            Self::Timeout(Phase::FirstContent) => "timeout_first_content",
            Self::Timeout(Phase::Idle) => "timeout_idle",
            Self::Timeout(Phase::Total) => "timeout_total",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Undecodable => "undecodable",
            Self::CircuitOpen => "circuit_open",
            Self::BudgetExceeded => "budget_exceeded",
            Self::LimitExceeded => "limit_exceeded",
            Self::NoRoute => "no_route",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_status_that_is_an_error() {
        let names: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert!(ErrorKind::ALL.iter().all(|kind| (400..600).contains(&kind.class().status)));
    }

    #[test]
    fn a_refusal_of_ours_is_never_a_fault_of_the_provider() {
        for kind in ErrorKind::ALL {
            assert!(!(kind.class().is_own && kind.class().breaker != Breaker::Ignore), "{kind}");
        }
    }

    #[test]
    fn what_may_be_tried_here_may_be_tried_elsewhere() {
        for kind in ErrorKind::ALL {
            let class = kind.class();
            assert!(!class.retry.is_allowed() || class.elsewhere == Elsewhere::Yes, "{kind}");
        }
    }
}
