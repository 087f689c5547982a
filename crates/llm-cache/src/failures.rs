//! What follows for a cache from how a call failed.

use llm_core::{Error, ErrorKind};

/// Whether what has expired is a better answer than this failure.
pub(crate) fn serves_stale(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::QuotaExhausted
        | ErrorKind::ProviderCredentials
        | ErrorKind::ModelNotFound
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Timeout(_)
        | ErrorKind::Undecodable
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Internal => true,
        // The caller's own, or what the caller may not have.
        ErrorKind::InvalidRequest
        | ErrorKind::Untranslatable
        | ErrorKind::TooLarge
        | ErrorKind::UnknownModel
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::DeadlineExceeded
        | ErrorKind::Cancelled => false,
    }
}

/// Whether somebody else who asks the same may fare better than the one whose call failed so.
pub(crate) fn may_fare_better(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::ProviderCredentials
        | ErrorKind::QuotaExhausted
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Timeout(_)
        | ErrorKind::Undecodable
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Cancelled
        | ErrorKind::Internal => true,
        // The same request is at fault, or its own caller waits no longer.
        ErrorKind::InvalidRequest
        | ErrorKind::Untranslatable
        | ErrorKind::TooLarge
        | ErrorKind::UnknownModel
        | ErrorKind::ModelNotFound
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy
        | ErrorKind::DeadlineExceeded => false,
    }
}

/// The failure as it may be told to those who ask the same later; none if they may fare better.
pub(crate) fn to_keep(error: &Error) -> Option<Error> {
    if may_fare_better(error.kind()) || error.kind() == ErrorKind::DeadlineExceeded {
        return None;
    }
    // Without the trail, which is another call's.
    let mut kept = Error::new(error.kind(), error.message().to_owned());
    if let Some(status) = error.status() {
        kept = kept.with_status(status);
    }
    if let Some(target) = error.target() {
        kept = kept.with_target(target.clone());
    }
    if let Some(should_retry) = error.should_retry() {
        kept = kept.with_should_retry(should_retry);
    }
    if let Some(detail) = error.detail() {
        kept = kept.with_detail(detail.clone());
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_failure_is_what_the_next_one_would_be_told_and_no_trail() {
        let context = llm_core::Context::default();
        let error = Error::new(ErrorKind::ContextLength, "too long").with_status(400).with_trail(context.trail());
        let kept = to_keep(&error).unwrap();
        assert_eq!((kept.kind(), kept.message(), kept.status()), (ErrorKind::ContextLength, "too long", Some(400)));
        assert!(kept.trail().is_none());
    }

    #[test]
    fn what_may_pass_is_not_kept() {
        for kind in ErrorKind::ALL {
            assert!(
                to_keep(&Error::new(kind, "no")).is_none() || !serves_stale(kind) || kind == ErrorKind::ModelNotFound
            );
        }
        assert!(to_keep(&Error::new(ErrorKind::Server, "no")).is_none());
        assert!(to_keep(&Error::new(ErrorKind::BudgetExceeded, "no")).is_none());
        assert!(to_keep(&Error::new(ErrorKind::DeadlineExceeded, "no")).is_none());
    }
}
