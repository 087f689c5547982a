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

    /// How much a failure of this kind says about the provider; `None` for those that are not counted.
    ///
    /// A provider that accepts no connection or begins no answer is down more surely than one that answers with a
    /// failure, which under load may be one of its many machines. The figures are those with which the default rule
    /// was simulated (see Sources in the [crate docs](crate)).
    pub const fn of(kind: ErrorKind) -> Option<Self> {
        match Blame::of(kind) {
            Blame::Failure(weight) => Some(weight),
            Blame::Nobody | Blame::Throttled | Blame::Target | Blame::Key => None,
        }
    }
}

/// Whose fault a failure is, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Not the provider's: it is not counted.
    Nobody,
    /// The provider's, and the trip rule counts it.
    Failure(Weight),
    /// The provider wants to be left alone for a while.
    Throttled,
    /// The target does not work until somebody acts: its circuit opens at once.
    Target,
    /// The provider's key does not work until somebody acts: the key's circuit opens at once.
    Key,
}

impl Blame {
    pub(crate) const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Connect | ErrorKind::Timeout(Phase::Connect | Phase::FirstContent) => {
                Self::Failure(Weight::ONE_AND_A_HALF)
            }
            ErrorKind::Overloaded
            | ErrorKind::Server
            | ErrorKind::Interrupted
            | ErrorKind::Undecodable
            | ErrorKind::Timeout(Phase::Head | Phase::Idle | Phase::Total) => Self::Failure(Weight::ONE),
            ErrorKind::RateLimited => Self::Throttled,
            ErrorKind::ModelNotFound => Self::Target,
            ErrorKind::ProviderCredentials | ErrorKind::QuotaExhausted => Self::Key,
            ErrorKind::InvalidRequest
            | ErrorKind::Untranslatable
            | ErrorKind::TooLarge
            | ErrorKind::UnknownModel
            | ErrorKind::ContextLength
            | ErrorKind::ContentPolicy
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::DeadlineExceeded
            | ErrorKind::CircuitOpen
            | ErrorKind::BudgetExceeded
            | ErrorKind::LimitExceeded
            | ErrorKind::NoRoute
            | ErrorKind::Cancelled
            | ErrorKind::Internal => Self::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_core::Breaker;

    use super::*;

    #[test]
    fn the_table_is_a_finer_one_of_the_errors_classes() {
        for kind in ErrorKind::ALL {
            let class = match Blame::of(kind) {
                Blame::Nobody => Breaker::Ignore,
                Blame::Failure(_) => Breaker::Failure,
                Blame::Throttled => Breaker::Cool,
                Blame::Target | Blame::Key => Breaker::OpenAtOnce,
            };
            assert_eq!(class, kind.class().breaker, "{kind}");
        }
    }
}
