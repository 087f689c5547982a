//! Rule 6: what goes in reaches the inner service, and its failures come out as they are.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use llm_core::{CacheDirective, Caller, Detail, Dialect, Error, ErrorKind, Sensitivity, Target, Usage};
use tokio::time::Instant;

use super::{
    Ruling,
    stage::{Stage, TEXT, WHOLE_AND_STREAMED, call},
};
use crate::{Answer, Probe, Subject};

/// A failure of the inner service keeps its kind and all it knows.
///
/// A layer that calls again is given a failure that no further attempt could mend.
pub async fn inner_error_passes_unchanged(subject: &dyn Fn() -> Subject) -> Ruling {
    let kinds: &[ErrorKind] = match subject().calls_again {
        Some(_) => &[ErrorKind::InvalidRequest, ErrorKind::ContentPolicy],
        None => &[ErrorKind::InvalidRequest, ErrorKind::ContentPolicy, ErrorKind::RateLimited, ErrorKind::Server],
    };
    for kind in kinds {
        for streamed in WHOLE_AND_STREAMED {
            fails_with(subject, *kind, streamed).await;
        }
    }
    Ruling::Kept
}

async fn fails_with(subject: &dyn Fn() -> Subject, kind: ErrorKind, streamed: bool) {
    let mut stage = Stage::new(subject, Probe::new());
    let mut request = stage.subject.request(0, streamed);
    request.context_mut().set_target(Target::new("provider", "model").with_key("second"));
    let detail = Detail { kind: Some("a_type".into()), code: Some("a_code".into()), param: Some("a_field".into()) };
    let error = Error::new(kind, "the scripted failure")
        .with_source(std::io::Error::other("the cause"))
        .with_status(418)
        .with_retry_after(Duration::from_secs(7))
        .with_should_retry(false)
        .with_target(Target::new("provider", "model").with_key("second"))
        .with_usage(Usage::reported(11, 0))
        .with_trail(request.context().trail())
        .with_detail(detail);
    stage.service = stage.subject.wrap(super::stage::boxed(Probe::answering(Answer::fail(error.clone()))));
    let seen = match call(&mut stage.service, request).await {
        Ok(_) => panic!("a failure of the inner service came out of the layer as an answer"),
        Err(seen) => seen,
    };
    assert_eq!(seen.kind(), error.kind(), "a failure of the inner service came out as one of another kind");
    assert_eq!(seen.message(), error.message(), "a failure of the inner service lost its message");
    assert_eq!(seen.status(), error.status(), "a failure of the inner service lost its status");
    assert_eq!(seen.retry_after(), error.retry_after(), "a failure of the inner service lost its advice when to retry");
    assert_eq!(seen.should_retry(), error.should_retry(), "a failure of the inner service lost its word on retrying");
    assert_eq!(seen.target(), error.target(), "a failure of the inner service lost its target");
    assert_eq!(seen.usage(), error.usage(), "a failure of the inner service lost its usage");
    assert_eq!(seen.detail(), error.detail(), "a failure of the inner service lost the provider's own words");
    assert!(seen.trail().is_some(), "a failure of the inner service lost its trail");
    assert!(seen.source().is_some(), "a failure of the inner service lost its source");
}

#[derive(Clone, Debug, PartialEq)]
struct Token(u64);

/// Payload, bytes, context and extensions of a request reach the inner service.
///
/// A layer may shorten the deadline, and choose the target, the output ceiling and the attempt: those it is free to
/// set. The requests are marked sensitive, so a subject that refuses such calls elsewhere needs a target marked local.
pub async fn context_reaches_inner(subject: &dyn Fn() -> Subject) -> Ruling {
    for streamed in WHOLE_AND_STREAMED {
        let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT)));
        for number in 0..2 {
            let caller = Caller { user: Some(format!("user-{number}").into()), ..Caller::tenant("tenant") };
            let directive = CacheDirective { no_store: true, no_cache: true, ..CacheDirective::default() };
            let deadline = Instant::now() + Duration::from_secs(3_600);
            let mut request = stage.subject.request(number, streamed);
            request = request.with_wire(Dialect::OpenAi, Bytes::from_static(b"{\"odd\": 1e0}"));
            request.extensions_mut().insert(Token(number));
            let context = request.context_mut();
            // A subject may need a caller of its own to be let through.
            if context.caller() == &Caller::default() {
                context.set_caller(caller);
            }
            context.set_cache(directive);
            context.set_deadline(deadline);
            context.set_read_timeout(Duration::from_secs(1_800));
            context.set_intent("explanation");
            context.raise_sensitivity(Sensitivity::Sensitive);
            let sent = request.clone();
            let _ = call(&mut stage.service, request).await;
            let requests = stage.log.requests();
            let seen = requests.last().expect("a request did not reach the inner service");
            assert_eq!(seen.payload(), sent.payload(), "the inner service was asked something else");
            assert_eq!(seen.model(), sent.model(), "the inner service was asked for another model");
            assert_eq!(seen.wire(), sent.wire(), "the caller's own bytes did not reach the inner service");
            assert_eq!(
                seen.extensions().get::<Token>(),
                Some(&Token(number)),
                "the extensions of the request did not reach the inner service"
            );
            let (seen, sent) = (seen.context(), sent.context());
            assert_eq!(seen.id(), sent.id(), "the inner call was not part of the caller's call");
            assert_eq!(seen.caller(), sent.caller(), "the inner service was not told who calls");
            assert_eq!(seen.cache(), sent.cache(), "the inner service was not told how to cache");
            assert_eq!(seen.intent(), sent.intent(), "the inner service was not told the intent");
            assert_eq!(
                seen.sensitivity(),
                sent.sensitivity(),
                "the inner service was not told that the call is sensitive"
            );
            assert_eq!(
                seen.read_timeout(),
                sent.read_timeout(),
                "the inner service was not told the caller's read timeout"
            );
            assert!(
                seen.deadline().is_some_and(|seen| seen <= deadline),
                "the inner service was told no deadline, or a later one"
            );
        }
    }
    Ruling::Kept
}
