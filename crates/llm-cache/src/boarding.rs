//! Making one call for all who ask the same.

use std::{future::poll_fn, sync::Arc};

use llm_core::{CacheStatus, Commit, Error, Head, LlmRequest, LlmResponse, Striped};
use tower::{Service, ServiceExt};

use crate::{
    counts::Happened,
    failures,
    flight::{Boarded, Flight, Flights, Reader, Upstream, Whole},
    plan::Flying,
    recorder::{Asked, Recorder},
    shared::Shared,
};

/// How a call has begun to be answered.
#[derive(Debug)]
pub(crate) enum Arrived<T> {
    /// By what was kept in between.
    Found(T),
    /// In one piece.
    Whole { head: Head, whole: Arc<Whole>, has_joined: bool },
    /// By a stream that has begun.
    Stream { head: Head, reader: Reader },
}

/// Makes the call, or joins whoever makes it, and waits for its first content.
///
/// Who joined a call that failed may make it for themselves, once: what it failed for may be its caller's. They meet again,
/// so that one of them calls for all.
pub(crate) async fn fly_together<S, T>(
    shared: &Striped<Shared>,
    inner: S,
    request: &LlmRequest,
    flying: &Flying,
    asked: &Asked,
    find: impl Fn() -> Option<T>,
) -> Result<Arrived<T>, Error>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    let mut is_second_try = false;
    loop {
        let (flight, has_joined) = match board(shared, &inner, request, flying, asked, &find) {
            Boarded::Found(found) => return Ok(Arrived::Found(found)),
            Boarded::Joined(flight) => {
                shared.counts.note(Happened::Joined);
                (flight, true)
            }
            Boarded::Started(flight) => (flight, false),
        };
        let mut reader = Reader::new(flight, has_joined, request.context().deadline());
        let error = match poll_fn(|cx| reader.poll_beginning(cx)).await {
            Ok((head, Some(whole))) => {
                return Ok(Arrived::Whole { head: told(head, has_joined), whole, has_joined });
            }
            Ok((head, None)) => return Ok(Arrived::Stream { head: told(head, has_joined), reader }),
            Err(error) => error,
        };
        let is_settled = flying.has_last_resort && failures::serves_stale(error.kind());
        if is_second_try || is_settled || !has_joined || !failures::may_fare_better(error.kind()) {
            return Err(error);
        }
        is_second_try = true;
    }
}

/// Finds the call of this key under way, or starts it. `find` looks for what was kept since somebody last looked.
pub(crate) fn board<S, T>(
    shared: &Striped<Shared>,
    inner: &S,
    request: &LlmRequest,
    flying: &Flying,
    asked: &Asked,
    find: impl FnOnce() -> Option<T>,
) -> Boarded<Arc<Flight>, T>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    // Both are made outside of any lock, since the inner service is somebody else's.
    let (inner, mut request) = (inner.clone(), request.clone());
    let start = |flights: Option<Arc<Flights>>| {
        request.context_mut().outlive_caller();
        let recorder = Recorder::new(shared.clone(), request.clone(), asked.clone(), flying.ttl);
        let call = Commit::new(inner, shared.settings.hold_back).oneshot(request);
        let limit = shared.settings.entry_limit.get();
        Flight::new(flying.key, flights, limit, Box::pin(Upstream::new(call, recorder)))
    };
    let flights = &shared.flights;
    let boarded = match flying.is_alone {
        true => Boarded::Started(Arc::new(start(None))),
        false => flights.board(flying.key, find, || start(Some(Arc::clone(flights)))),
    };
    if let Boarded::Started(_) = boarded {
        shared.counts.note(Happened::Miss);
    }
    boarded
}

/// The head of an answer, for one of those who wait for it.
fn told(head: Head, has_joined: bool) -> Head {
    let cache = match head.cache {
        _ if has_joined => CacheStatus::Joined,
        CacheStatus::None => CacheStatus::Miss,
        // Another cache below answered, which is what the caller wants to know.
        below @ (CacheStatus::Miss | CacheStatus::Hit { .. } | CacheStatus::Joined | CacheStatus::Stale { .. }) => {
            below
        }
    };
    Head { cache, ..head }
}
