//! The one error of the workspace.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use tower::BoxError;

use crate::{Class, ErrorKind, Phase, Target, Trail, Usage};

/// Why a call failed.
///
/// Opaque, one pointer wide and cheap to clone, so that one failure can reach many callers. Data comes by accessor;
/// nothing in the workspace ever matches on the text. `Display` prints this level only, [`source`] goes deeper, and
/// neither shows prompts, answers, keys or header values.
///
/// Any boxed error becomes one: an `Error` anywhere in the chain of sources is found and returned as it is (also
/// behind tower's `Buffer`), tower's own `Elapsed`, `Overloaded` and `Closed` get the kind they mean, and everything
/// else is [`ErrorKind::Internal`].
///
/// [`source`]: std::error::Error::source
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    target: Option<Target>,
    stage: Stage,
    usage: Option<Usage>,
    trail: Option<Trail>,
    detail: Option<Detail>,
}

/// Whether the caller had seen content when the call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing of the answer had been handed on.
    #[default]
    BeforeContent,
    /// Content had been handed on: the failure goes to the caller within the stream.
    AfterContent,
}

/// A provider's own words for a failure: what the error object of its dialect says besides the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The `type` field.
    pub kind: Option<String>,
    /// The `code` field.
    pub code: Option<String>,
    /// The name of the field at fault.
    pub param: Option<String>,
}

impl Error {
    /// An error of `kind` with a message for the caller: lowercase, no full stop, no content.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
            status: None,
            retry_after: None,
            should_retry: None,
            target: None,
            stage: Stage::BeforeContent,
            usage: None,
            trail: None,
            detail: None,
        }))
    }

    /// A request that cannot be understood or served as it is.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// A fault of ours.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Replaces the message for the caller.
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner_mut().message = message.into();
        self
    }

    /// Tells what went wrong more precisely.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.inner_mut().kind = kind;
        self
    }

    /// Keeps what caused this error.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner_mut().source = Some(Arc::from(source.into()));
        self
    }

    /// Keeps the http status that a provider answered.
    pub fn with_status(mut self, status: u16) -> Self {
        self.inner_mut().status = Some(status);
        self
    }

    /// Keeps how long to wait before another attempt.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.inner_mut().retry_after = Some(wait);
        self
    }

    /// Keeps the other side's own word on whether to try again.
    pub fn with_should_retry(mut self, should_retry: bool) -> Self {
        self.inner_mut().should_retry = Some(should_retry);
        self
    }

    /// Keeps which target failed.
    pub fn with_target(mut self, target: Target) -> Self {
        self.inner_mut().target = Some(target);
        self
    }

    /// Keeps whether content had been handed on.
    pub fn with_stage(mut self, stage: Stage) -> Self {
        self.inner_mut().stage = stage;
        self
    }

    /// Keeps what the failed call used.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.inner_mut().usage = Some(usage);
        self
    }

    /// Keeps the record of the call's attempts.
    pub fn with_trail(mut self, trail: Trail) -> Self {
        self.inner_mut().trail = Some(trail);
        self
    }

    /// Keeps the provider's own type, code and field.
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.inner_mut().detail = Some(detail);
        self
    }

    /// What two failures of one call come to: this one, unless only the other one came from a provider, with the shorter
    /// of the waits that they ask for.
    pub fn rather_than(self, other: Self) -> Self {
        let wait = [self.retry_after(), other.retry_after()].into_iter().flatten().min();
        let error = if self.class().is_own && !other.class().is_own { other } else { self };
        match wait {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What follows from the kind.
    pub fn class(&self) -> Class {
        self.0.kind.class()
    }

    /// Whether the same request may be sent to the same target again, and may succeed. The other side's own word
    /// decides where it gave one; once content has been handed on, it never may.
    pub fn is_retryable(&self) -> bool {
        self.0.stage == Stage::BeforeContent && self.0.should_retry.unwrap_or(self.class().retry.is_allowed())
    }

    /// Whether the provider is at fault, and a circuit breaker should count it.
    pub fn is_provider_fault(&self) -> bool {
        self.class().breaker.is_fault()
    }

    /// How long the other side asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The other side's own word on whether to try again.
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// The http status that the provider answered, where there was one. What the *caller* gets is in [`Class`].
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Which target failed.
    pub fn target(&self) -> Option<&Target> {
        self.0.target.as_ref()
    }

    /// Whether content had been handed on.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// What the failed call used, where it is known.
    pub fn usage(&self) -> Option<&Usage> {
        self.0.usage.as_ref()
    }

    /// The call's attempts.
    pub fn trail(&self) -> Option<&Trail> {
        self.0.trail.as_ref()
    }

    /// The provider's own type, code and field.
    pub fn detail(&self) -> Option<&Detail> {
        self.0.detail.as_ref()
    }

    /// Finds an `Error` in the chain of `error` and its sources.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }

    /// What any error means, without taking it: the `Error` in its chain, or one of the kind that it would become,
    /// then without a source. For those who only decide what to do about a failure.
    pub fn classify(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(found) = Self::find(error) {
            return found.clone();
        }
        let (kind, message) =
            chain(error).find_map(of_tower).unwrap_or((ErrorKind::Internal, "an inner service failed"));
        Self::new(kind, message)
    }

    /// The message for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message).field("stage", &self.0.stage);
        if let Some(status) = self.0.status {
            out.field("status", &status);
        }
        if let Some(target) = &self.0.target {
            out.field("target", target);
        }
        if let Some(wait) = self.0.retry_after {
            out.field("retry_after", &wait);
        }
        out.finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        let means = Self::classify(&*error);
        if Self::find(&*error).is_some() { means } else { means.with_source(error) }
    }
}

/// An error and its sources.
fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// What tower's own errors mean.
fn of_tower(error: &(dyn std::error::Error + 'static)) -> Option<(ErrorKind, &'static str)> {
    if error.is::<tower::timeout::error::Elapsed>() {
        Some((ErrorKind::Timeout(Phase::Head), "no response head within the time limit"))
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        Some((ErrorKind::LimitExceeded, "too many calls at once"))
    } else if error.is::<tower::buffer::error::Closed>() {
        Some((ErrorKind::Internal, "the service behind the buffer is gone"))
    } else {
        None
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    /// An error of somebody else's around another.
    #[derive(Debug)]
    struct Wrapper<E>(E);

    impl<E> fmt::Display for Wrapper<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl<E: std::error::Error + 'static> std::error::Error for Wrapper<E> {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_in_the_middle_of_a_chain_is_found() {
        let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(3));
        let found = Error::from(Box::new(Wrapper(error)) as BoxError);
        assert_eq!(found.kind(), ErrorKind::RateLimited);
        assert_eq!(found.retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn towers_own_errors_get_the_kind_they_mean() {
        let elapsed = Error::from(Box::new(tower::timeout::error::Elapsed::new()) as BoxError);
        assert_eq!(elapsed.kind(), ErrorKind::Timeout(crate::Phase::Head));
        let wrapped = Error::from(Box::new(Wrapper(tower::timeout::error::Elapsed::new())) as BoxError);
        assert_eq!(wrapped.kind(), ErrorKind::Timeout(crate::Phase::Head), "also in the middle of a chain");
        let shed = Error::from(Box::new(tower::load_shed::error::Overloaded::new()) as BoxError);
        assert_eq!(shed.kind(), ErrorKind::LimitExceeded);
        let other = Error::from(BoxError::from("text"));
        assert_eq!(other.kind(), ErrorKind::Internal);
    }

    #[test]
    fn an_error_that_is_only_looked_at_means_what_it_would_become() {
        let throttled = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(3));
        assert_eq!(Error::classify(&Wrapper(throttled)).retry_after(), Some(Duration::from_secs(3)));
        let elapsed = Wrapper(tower::timeout::error::Elapsed::new());
        assert_eq!(Error::classify(&elapsed).kind(), ErrorKind::Timeout(crate::Phase::Head));
        assert_eq!(Error::classify(&fmt::Error).kind(), ErrorKind::Internal);
    }

    #[test]
    fn of_two_failures_a_providers_is_told_with_the_shorter_wait() {
        let failure = |kind, seconds| Error::new(kind, "no").with_retry_after(Duration::from_secs(seconds));
        let (open, server) = (|| failure(ErrorKind::CircuitOpen, 2), || failure(ErrorKind::Server, 5));
        for (one, other, kind) in [
            (open(), server(), ErrorKind::Server),
            (server(), open(), ErrorKind::Server),
            (open(), failure(ErrorKind::NoRoute, 9), ErrorKind::CircuitOpen),
            (failure(ErrorKind::Overloaded, 2), server(), ErrorKind::Overloaded),
        ] {
            let told = one.rather_than(other);
            assert_eq!((told.kind(), told.retry_after()), (kind, Some(Duration::from_secs(2))));
        }
        assert_eq!(Error::internal("no").rather_than(Error::internal("no")).retry_after(), None);
    }

    #[test]
    fn the_other_sides_word_beats_the_class() {
        let error = Error::new(ErrorKind::Overloaded, "busy");
        assert!(error.is_retryable());
        assert!(!error.clone().with_should_retry(false).is_retryable());
        assert!(error.is_retryable(), "a clone is changed alone");
        assert!(!error.with_should_retry(true).with_stage(Stage::AfterContent).is_retryable());
    }
}
