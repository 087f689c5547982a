//! What is made of failures.

use std::time::Duration;

use llm_core::{Context, Elsewhere, Error, ErrorKind};

/// What the router makes of a failure. The word for it is in the trail, at the attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another target is called.
    FailedOver,
    /// It would fail everywhere.
    NotElsewhere,
    /// Nobody is left, or fit to be called, that could do better.
    NoCandidate,
    /// The call may not be made again.
    AllowanceSpent,
    /// The caller has stopped waiting.
    Deadline,
}

impl Verdict {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::FailedOver => "failed_over",
            Self::NotElsewhere => "not_elsewhere",
            Self::NoCandidate => "no_candidate",
            Self::AllowanceSpent => "allowance_spent",
            Self::Deadline => "deadline",
        }
    }
}

/// What a call has failed with so far.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    // The last one that came from a provider.
    provided: Option<Error>,
    // The last one of a target that was not fit to be called.
    unfit: Option<Error>,
    soonest: Option<Duration>,
}

impl Failures {
    pub(crate) fn add(&mut self, error: &Error) {
        if !error.class().is_own {
            self.provided = Some(error.clone());
        } else if error.kind() == ErrorKind::CircuitOpen {
            self.unfit = Some(error.clone());
        }
        self.soonest = [self.soonest, error.retry_after()].into_iter().flatten().min();
    }

    /// Whether one of them came from a provider.
    pub(crate) fn came_from_provider(&self) -> bool {
        self.provided.is_some()
    }

    /// What the caller is told: the last failure of a provider, unless none was reached, and the shortest of the waits
    /// that anybody asked for. `last` is the failure that ended the call.
    ///
    /// That a target has no words for the request is no fault of it while another may have them and is only unwell.
    pub(crate) fn told(&self, last: Error, context: &Context) -> Error {
        let mut error = match (&self.provided, &self.unfit) {
            (Some(provided), _) if last.class().is_own => provided.clone(),
            (None, Some(unfit)) if last.kind() == ErrorKind::Untranslatable => unfit.clone(),
            (Some(_) | None, _) => last,
        };
        let soonest = self.soonest.filter(|wait| may_pass(&error) && error.retry_after() != Some(*wait));
        if let Some(wait) = soonest {
            error = error.with_retry_after(wait);
        }
        if error.trail().is_none() {
            error = error.with_trail(context.trail());
        }
        error
    }
}

/// Whether another time may be a better one. What is wrong with the request stays wrong, however long anybody waits.
fn may_pass(error: &Error) -> bool {
    let class = error.class();
    match class.elsewhere {
        Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::LargerContext => class.is_own,
        Elsewhere::Yes | Elsewhere::OtherKeyFirst | Elsewhere::Cheaper => true,
    }
}
