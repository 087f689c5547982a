//! A call under way.

use llm_core::{Attempt, Error, LlmRequest, Stage, Striped, Target, Trail};
use tokio::time::Instant;

use crate::{
    state::State,
    terms::{Expiry, Terms},
};

/// What a call is held to, and what it takes to say that it was not kept.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) terms: Terms,
    trail: Trail,
    attempt: Attempt,
    target: Option<Target>,
    state: Striped<State>,
}

impl Call {
    pub(crate) fn new(request: &LlmRequest, state: Striped<State>, now: Instant) -> Self {
        let context = request.context();
        Self {
            terms: state.terms(request, now),
            trail: context.trail(),
            attempt: context.attempt(),
            target: context.target().cloned(),
            state,
        }
    }

    /// The error of a call that did not keep its terms. The inner future or stream must have been dropped already:
    /// being dropped, it tells the trail that it was abandoned, and here that is put right.
    pub(crate) fn expire(&self, expiry: Expiry, stage: Stage) -> Error {
        let error = self.error(expiry, stage);
        self.trail.fail(self.attempt, self.target.as_ref(), &error);
        error
    }

    /// The error of a call that is not even made, because the caller's deadline has passed.
    pub(crate) fn refuse(&self) -> Error {
        self.error(Expiry::Deadline, Stage::BeforeContent)
    }

    fn error(&self, expiry: Expiry, stage: Stage) -> Error {
        self.state.count(expiry);
        let error = Error::new(expiry.kind(), expiry.message()).with_stage(stage).with_trail(self.trail.clone());
        match &self.target {
            Some(target) => error.with_target(target.clone()),
            None => error,
        }
    }
}
