//! The scripted inner service, which watches how it is used.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use llm_core::{Error, LlmRequest, LlmResponse, watch};
use tower_service::Service;

use crate::{
    Answer,
    log::{EndNote, Permit, ProbeLog},
};

/// An inner service for tests: it answers from a script and writes down how it is used.
///
/// It is as strict as a service may be: each instance must be ready before it is called, each readiness is good for
/// one call, and a clone is never ready. Whoever calls an instance that is not ready makes it panic.
///
/// # Clone
/// Clones share the script, the permits and the log.
///
/// # Example
/// ```
/// use llm_core::{Error, LlmRequest};
/// use llm_test::{Answer, Probe};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let probe = Probe::answering(Answer::text("blue")).permits(1);
/// let log = probe.log();
///
/// let response = probe.oneshot(LlmRequest::chat("m").user("Which colour?").stream().build()).await?;
/// assert_eq!((log.calls(), log.in_flight()), (1, 1));
/// drop(response);
/// assert_eq!((log.in_flight(), log.bodies_dropped()), (0, 1));
/// # Ok(())
/// # }
/// ```
pub struct Probe {
    script: Arc<Mutex<VecDeque<Answer>>>,
    otherwise: Answer,
    rules: Rules,
    log: ProbeLog,
    readiness: Readiness,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    ready_after: u32,
    is_never_ready: bool,
    permits: usize,
    is_forgiving: bool,
}

#[derive(Debug)]
enum Readiness {
    Unready { polls: u32 },
    Ready(Permit),
}

impl Probe {
    /// Answers each call with the same short text, and is always ready.
    pub fn new() -> Self {
        Self::answering(Answer::text("Blue, for the most part."))
    }

    /// Gives this answer to each call.
    pub fn answering(answer: Answer) -> Self {
        Self {
            script: Arc::default(),
            otherwise: answer,
            rules: Rules { ready_after: 0, is_never_ready: false, permits: usize::MAX, is_forgiving: false },
            log: ProbeLog::default(),
            readiness: Readiness::Unready { polls: 0 },
        }
    }

    /// Gives these answers to the next calls, one each; then goes back to the answer it has for every call.
    pub fn script(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
        self
    }

    /// Is never ready.
    pub fn never_ready(mut self) -> Self {
        self.rules.is_never_ready = true;
        self
    }

    /// Each instance is ready when it is asked for the time after `polls`. Defaults to 0: the first time.
    pub fn ready_after(mut self, polls: u32) -> Self {
        self.rules.ready_after = polls;
        self
    }

    /// At most this many permits are out at a time, for instances that are ready and for calls under way; at the
    /// limit nobody gets ready until one comes back. Defaults to no limit.
    pub fn permits(mut self, permits: usize) -> Self {
        self.rules.permits = permits;
        self
    }

    /// Does not panic when it is called without being ready, but answers and counts it, see [`ProbeLog::misuses`].
    pub fn forgiving(mut self) -> Self {
        self.rules.is_forgiving = true;
        self
    }

    /// What this probe and its clones see, from the beginning.
    pub fn log(&self) -> ProbeLog {
        self.log.clone()
    }

    fn next_answer(&self) -> Answer {
        let scripted = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        scripted.unwrap_or_else(|| self.otherwise.clone())
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Probe {
    /// The clone is not ready.
    fn clone(&self) -> Self {
        self.log.note_clone();
        Self {
            script: Arc::clone(&self.script),
            otherwise: self.otherwise.clone(),
            rules: self.rules,
            log: self.log.clone(),
            readiness: Readiness::Unready { polls: 0 },
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("rules", &self.rules)
            .field("readiness", &self.readiness)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Service<LlmRequest> for Probe {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.log.note_ready_poll();
        let Readiness::Unready { polls } = &mut self.readiness else { return Poll::Ready(Ok(())) };
        if self.rules.is_never_ready {
            return Poll::Pending;
        }
        if *polls < self.rules.ready_after {
            *polls += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let permit = ready!(self.log.grant(self.rules.permits, cx.waker()).map_or(Poll::Pending, Poll::Ready));
        self.readiness = Readiness::Ready(permit);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let permit = match std::mem::replace(&mut self.readiness, Readiness::Unready { polls: 0 }) {
            Readiness::Ready(permit) => Some(permit),
            Readiness::Unready { .. } => {
                self.log.note_misuse();
                assert!(self.rules.is_forgiving, "the inner service was called on an instance that was not ready");
                None
            }
        };
        let answer = self.next_answer();
        let flight = self.log.begin(&request, permit);
        assert!(!answer.panics_in_call(), "the probe panics in call, as its script says");
        let noted = EndNote(self.log.clone());
        Box::pin(watch(&request.clone(), answer.play(request, self.log.bodies(), flight), noted))
    }
}
