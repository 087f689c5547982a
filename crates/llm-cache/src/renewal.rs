//! Renewing an answer that has expired, while it still serves.

use std::{future::poll_fn, sync::atomic::Ordering::Relaxed};

use llm_core::{Error, LlmRequest, LlmResponse, Striped};
use tokio::runtime::Handle;
use tower::Service;

use crate::{
    boarding::board,
    flight::{Boarded, Reader},
    plan::Flying,
    recorder::Asked,
    shared::Shared,
};

/// Makes the call again in a task of its own, unless it is under way, or too many are renewed already.
///
/// It is a call of its own, for nobody's trail; the accounts are those of the caller who noticed.
pub(crate) fn renew<S>(shared: &Striped<Shared>, inner: &S, request: &LlmRequest, flying: Flying)
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    let (Ok(runtime), Some(place)) = (Handle::try_current(), Place::take(shared)) else { return };
    let mut request = request.clone();
    let context = request.context().of_new_call();
    request = request.with_context(context);
    let asked = Asked::Chat(flying.key);
    let find = || shared.find(&flying.key).fresh();
    if let Boarded::Started(flight) = board(shared, inner, &request, &flying, &asked, find) {
        runtime.spawn(read_to_the_end(Reader::new(flight, false, None), place));
    }
}

async fn read_to_the_end(mut reader: Reader, _place: Place) {
    if poll_fn(|cx| reader.poll_beginning(cx)).await.is_ok() {
        while let Some(Ok(_)) = poll_fn(|cx| reader.poll_frame(cx)).await {}
    }
}

/// One of the places for answers that are renewed at the same time. Given back when dropped.
#[derive(Debug)]
struct Place(Striped<Shared>);

impl Place {
    fn take(shared: &Striped<Shared>) -> Option<Self> {
        let most = shared.settings.renewals;
        let take = |taken| (taken < most).then_some(taken + 1);
        shared.renewing.fetch_update(Relaxed, Relaxed, take).ok()?;
        Some(Self(shared.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.renewing.fetch_sub(1, Relaxed);
    }
}
