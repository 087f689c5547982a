//! The service, and the one function that makes a call.

use std::{
    cell::LazyCell,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use llm_core::{
    Again, Attempt, Elsewhere, Error, ErrorKind, HealthState, LlmRequest, LlmResponse, Served, Striped, Target,
    watch_end,
};
use tokio::time::Instant;
use tower::Service;
use tracing::debug;

use crate::{
    Asked, Facts, RouterHandle, Rule,
    attempts::{Attempts, Failure, Picked},
    filter::Filter,
    handle,
    rank::Size,
    routing::Meaning,
    shared::{Counts, Current, Shared},
    verdict::{Failures, Verdict},
};

/// A service whose calls go to the target that suits them best. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Router<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Router<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to watch and control it with.
    pub fn handle(&self) -> RouterHandle {
        RouterHandle::new(self.shared.clone())
    }
}

impl<S> Service<LlmRequest> for Router<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Error> + Send,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        // It is the clone that is readied and called, once the future is polled.
        routed(self.inner.clone(), self.shared.current(), request)
    }
}

// As an `async fn` its arguments would be in the future twice, and that would be too large for the allocator's fast path.
fn routed<S>(mut inner: S, current: Current, request: LlmRequest) -> BoxFuture<'static, Result<LlmResponse, Error>>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send> + Send + 'static,
    S::Error: Into<Error> + Send,
{
    Box::pin(async move {
        let call = Call { current: &current, request: &request, chosen: request.context().target() };
        let mut now = Instant::now();
        let meaning;
        let mut attempts;
        let mut picked = {
            let mut facts = Facts::of(&request);
            let meant = call.meant(&mut facts).map_err(|error| call.refused(error))?;
            meaning = meant.meaning;
            let (name, tags) = (meant.name, meant.required_tags);
            attempts = call.attempts(&meaning);
            call.filter(&meaning, tags, &mut facts, &mut attempts).map_err(|error| call.refused(error))?;
            match call.next(&mut attempts, now, None) {
                Some(picked) => picked,
                None => call.panic(name, &meaning, &attempts, now).map_err(|error| call.refused(error))?,
            }
        };
        let mut is_first = true;
        let mut failures = Failures::default();
        loop {
            // A service that does not get ready is dead, whoever is to be called through it.
            let mut has_waited = false;
            let ready = poll_fn(|cx| {
                let ready = inner.poll_ready(cx);
                has_waited |= ready.is_pending();
                ready
            });
            ready.await.map_err(|error| call.failed(error.into(), &failures))?;
            if has_waited {
                // The target is not slow because somebody before it was busy.
                now = Instant::now();
            }
            let attempt;
            let answered = {
                // What goes into the answer's future is kept nowhere else, or it would be part of this one twice.
                let request = call.attempt(std::mem::take(&mut is_first), &attempts, &picked);
                attempt = request.context().attempt();
                let in_flight = picked.candidate.begin(request.is_stream(), now);
                let answer = current.common().settings.hold.until_content(inner.call(request));
                watch_end(answer, in_flight)
            }
            .await;
            let error = match answered {
                Ok(response) => return Ok(answered_by(&picked, response)),
                Err(error) => error,
            };
            call.noted(attempt, &picked, &error);
            failures.add(&error);
            now = Instant::now();
            picked = match call.elsewhere(&mut attempts, Failure { candidate: picked.candidate, error: &error }, now) {
                Ok(next) => next,
                Err(stop) => {
                    call.decided(stop, &picked, &error);
                    if error.kind() == ErrorKind::Untranslatable
                        && !failures.came_from_provider()
                        && attempts.has_unfit()
                    {
                        failures.add(&attempts.nobody_is_fit(request.model()));
                    }
                    return Err(call.failed(error, &failures));
                }
            };
            call.decided(Verdict::FailedOver, &picked, &error);
        }
    })
}

/// Where a call to `target` might have gone as well: another key, or else another provider of the same model.
pub(crate) fn beside(current: &Current, target: &Target, request: &LlmRequest) -> Option<Target> {
    // The target is that of an attempt, and was chosen here.
    let call = Call { current, request, chosen: None };
    let mut facts = Facts::of(request);
    let meant = call.meant(&mut facts).ok()?;
    let mut attempts = call.attempts(&meant.meaning);
    call.filter(&meant.meaning, meant.required_tags, &mut facts, &mut attempts).ok()?;
    attempts.beside(target).cloned()
}

/// A call under way: what it goes by, what was asked, and the target that somebody else has chosen.
#[derive(Clone, Copy)]
struct Call<'a> {
    current: &'a Current,
    request: &'a LlmRequest,
    chosen: Option<&'a Target>,
}

/// What a call may be answered by: the candidates of a name, and which of them may be asked.
struct Meant<'a> {
    name: &'a str,
    meaning: Meaning<'a>,
    required_tags: &'a [Box<str>],
}

impl<'a> Call<'a> {
    /// Who may answer the call, before it is known who can.
    fn meant(&self, facts: &mut Facts<'a>) -> Result<Meant<'a>, Error> {
        let routing = self.current.routing();
        let rule = routing.plan.rules.choose(facts);
        let required_tags = rule.map_or(&[][..], Rule::required_tags);
        if let Some(target) = self.chosen {
            return Ok(Meant { name: target.model(), meaning: routing.chosen(target), required_tags });
        }
        if let Some(sentence) = rule.and_then(Rule::refusal) {
            debug!(rule = rule.map(tracing::field::display), "a rule refuses");
            Counts::add(&self.current.common().counts.refused);
            return Err(Error::new(ErrorKind::Forbidden, sentence.to_owned()));
        }
        let name = rule.and_then(Rule::route).unwrap_or(self.request.model());
        let own = rule.and_then(|rule| routing.of_rule(rule.place()));
        if let Some(rule) = rule {
            debug!(%rule, route = name, "a rule decides");
        }
        let Some(meaning) = own.or_else(|| routing.meaning(name)) else {
            return Err(Error::new(ErrorKind::UnknownModel, format!("no provider serves the model `{name}`")));
        };
        Ok(Meant { name, meaning, required_tags })
    }

    /// The attempts at a name of this meaning, of which there are none yet.
    fn attempts<'m>(&self, meaning: &'m Meaning<'a>) -> Attempts<'m> {
        Attempts::new(meaning.ranks(&self.current.routing().rank))
    }

    /// Adds those of them who can answer it to `attempts`, which are filled in their place because they are large.
    fn filter<'m>(
        &self,
        meaning: &'m Meaning<'a>,
        required_tags: &[Box<str>],
        facts: &mut Facts<'a>,
        attempts: &mut Attempts<'m>,
    ) -> Result<(), Error> {
        let routing = self.current.routing();
        let named_like = self.chosen.is_none().then(|| routing.named_like(self.request.model(), meaning)).flatten();
        let mut filter = Filter::new(self.request, required_tags).named_like(named_like);
        meaning.choices().for_each(|(tier, choice)| {
            let is_admitted = match self.chosen {
                Some(_) => filter.admits_chosen(choice.candidate),
                None => filter.admits(choice.candidate, facts),
            };
            if is_admitted {
                attempts.push(tier, choice);
            }
        });
        if attempts.is_empty() {
            // To the caller it is what was asked for, wherever a rule has sent the call.
            return Err(filter.refusal(self.request.model()));
        }
        Ok(())
    }

    fn next<'m>(&self, attempts: &mut Attempts<'m>, now: Instant, after: Option<Failure<'_>>) -> Option<Picked<'m>> {
        let asked = Asked { request: self.request, now, random: &self.current.common().settings.random };
        attempts.next(&asked, after, |target| self.health_of(target))
    }

    fn health_of(&self, target: &Target) -> HealthState {
        // Whoever chose the target has chosen it as it is.
        match self.chosen {
            Some(_) => HealthState::Healthy,
            None => self.current.common().settings.health_of(target),
        }
    }

    /// Nobody is fit to be called. Now and then one is called even so, to find out whether that is still true.
    fn panic<'m>(
        &self,
        name: &str,
        meaning: &Meaning<'_>,
        attempts: &Attempts<'m>,
        now: Instant,
    ) -> Result<Picked<'m>, Error> {
        let common = self.current.common();
        if let Some(picked) = attempts.first_to_reopen()
            && meaning.panic_gate().pass(now)
        {
            Counts::add(&common.counts.panic_probes);
            debug!(target = %picked.candidate.target(), "nothing is healthy, probing");
            common.notices.send(handle::panic_probe(name, picked.candidate.target()));
            return Ok(picked);
        }
        Counts::add(&common.counts.no_candidate);
        Err(attempts.nobody_is_fit(self.request.model()))
    }

    /// The request of an attempt at `picked`.
    fn attempt(&self, is_first: bool, attempts: &Attempts<'_>, picked: &Picked<'_>) -> LlmRequest {
        let mut request = self.request.clone();
        let context = request.context_mut();
        context.set_target(picked.candidate.target().clone());
        if !is_first {
            context.begin_attempt(Again::Failover, Duration::ZERO);
            // Whoever marked the call meant the target that it was to go to.
            context.set_probe(false);
        }
        if picked.is_probe {
            context.set_probe(true);
        }
        // A retry that leaves them a call is of no use if they are not called.
        let untried = attempts.untried(picked.candidate, context.calls_left(), |target| self.health_of(target));
        context.set_untried_candidates(untried);
        request
    }

    /// Who is called after a failure, or why nobody is.
    fn elsewhere<'m>(
        &self,
        attempts: &mut Attempts<'m>,
        failure: Failure<'_>,
        now: Instant,
    ) -> Result<Picked<'m>, Verdict> {
        let context = self.request.context();
        match failure.error.class().elsewhere {
            Elsewhere::No => return Err(Verdict::NotElsewhere),
            Elsewhere::IfConfigured if !self.current.routing().plan.content_policy_failover => {
                return Err(Verdict::NotElsewhere);
            }
            Elsewhere::IfConfigured
            | Elsewhere::Yes
            | Elsewhere::OtherKeyFirst
            | Elsewhere::LargerContext
            | Elsewhere::Cheaper => {}
        }
        if context.deadline().is_some_and(|deadline| deadline <= now) {
            return Err(Verdict::Deadline);
        }
        let size = LazyCell::new(|| Size::of(self.request));
        attempts.narrow(failure, |candidate| size.cost(candidate));
        let next = self.next(attempts, now, Some(failure)).ok_or(Verdict::NoCandidate)?;
        if context.may_call_again(Again::Failover, Some(failure.error)) {
            Ok(next)
        } else {
            Err(Verdict::AllowanceSpent)
        }
    }

    /// Takes down that an attempt failed.
    fn noted(&self, attempt: Attempt, picked: &Picked<'_>, error: &Error) {
        self.request.context().trail().fail(attempt, Some(picked.candidate.target()), error);
    }

    /// Takes down what was made of a failure, beside the last attempt that was made.
    fn decided(&self, verdict: Verdict, next: &Picked<'_>, error: &Error) {
        let trail = self.request.context().trail();
        if let Some(last) = trail.attempts().last() {
            trail.update(last.number, |record| record.verdict = Some(verdict.as_str()));
        }
        let (counts, kind) = (&self.current.common().counts, error.kind());
        match verdict {
            Verdict::FailedOver => {
                Counts::add(&counts.failed_over);
                debug!(%kind, target = %next.candidate.target(), "failing over");
            }
            Verdict::NoCandidate => {
                Counts::add(&counts.no_candidate);
                debug!(%kind, verdict = verdict.as_str(), "not failing over");
            }
            Verdict::NotElsewhere | Verdict::AllowanceSpent | Verdict::Deadline => {
                debug!(%kind, verdict = verdict.as_str(), "not failing over");
            }
        }
    }

    /// What the call fails with once it has been made.
    fn failed(&self, last: Error, failures: &Failures) -> Error {
        // Nobody is left, and whoever calls again above need not save calls for anyone.
        self.request.context().set_untried_candidates(0);
        failures.told(last, self.request.context())
    }

    /// What it fails with when it has not been made.
    fn refused(&self, error: Error) -> Error {
        let context = self.request.context();
        let error = error.with_trail(context.trail());
        context.trail().fail(context.attempt(), context.target(), &error);
        error
    }
}

/// The answer, with who gave it where nobody below has said so.
fn answered_by(picked: &Picked<'_>, mut response: LlmResponse) -> LlmResponse {
    let head = &mut response.head;
    if head.target.is_none() {
        head.target = Some(picked.candidate.target().clone());
    }
    match head.served {
        Served::FirstChoice if picked.is_substitute => head.served = Served::Substitute,
        Served::FirstChoice | Served::Substitute | Served::Degraded => {}
    }
    response
}
