//! What a trip rule is told of a call.

use llm_core::{ErrorKind, Phase};

/// How one call went, for a [trip rule](crate::TripRule). Calls that say nothing about the provider are no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The answer was whole.
    Success,
    /// The provider failed, this badly.
    Failure(Weight),
}

/// How much a failure says about a provider, where 1 is an ordinary one. Kept in units of 1/1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// As much as half a failure: an answer that is only slow may still be a good one.
    pub const HALF: Self = Self(512);
    /// An ordinary failure.
    pub const ONE: Self = Self(1024);
    /// As much as one and a half: nobody is there, or nobody is working.
    pub const ONE_AND_A_HALF: Self = Self(1536);

    /// In units of 1/1024: 1024 for an ordinary failure.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// How much a failure of this kind says about the provider; `None` for those it is not counted for, which are
    /// those whose class is anything but a failure.
    ///
    /// A provider that accepts no connection or begins no answer is down more surely than one that answers with a
    /// failure, which under load may be one of its many machines. The figures are those with which the default rule
    /// was simulated (see Sources in the [crate docs](crate)).
    pub const fn of(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::Connect | ErrorKind::Timeout(Phase::Connect | Phase::FirstContent) => Some(Self::ONE_AND_A_HALF),
            ErrorKind::Overloaded
            | ErrorKind::Server
            | ErrorKind::Interrupted
            | ErrorKind::Undecodable
            | ErrorKind::Timeout(Phase::Head | Phase::Idle | Phase::Total) => Some(Self::ONE),
            ErrorKind::InvalidRequest
            | ErrorKind::TooLarge
            | ErrorKind::UnknownModel
            | ErrorKind::ModelNotFound
            | ErrorKind::ContextLength
            | ErrorKind::ContentPolicy
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::ProviderCredentials
            | ErrorKind::QuotaExhausted
            | ErrorKind::RateLimited
            | ErrorKind::DeadlineExceeded
            | ErrorKind::CircuitOpen
            | ErrorKind::BudgetExceeded
            | ErrorKind::LimitExceeded
            | ErrorKind::NoRoute
            | ErrorKind::Cancelled
            | ErrorKind::Internal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_core::Breaker;

    use super::*;

    #[test]
    fn exactly_what_the_class_calls_a_failure_has_a_weight() {
        for kind in ErrorKind::ALL {
            assert_eq!(Weight::of(kind).is_some(), kind.class().breaker == Breaker::Failure, "{kind}");
        }
    }
}
