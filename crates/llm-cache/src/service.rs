//! The service.

use std::task::{Context, Poll};

use llm_core::{Body, CacheStatus, Error, LlmRequest, LlmResponse, Payload, Striped};
use tower::{Service, ServiceExt};

use crate::{
    CacheHandle, ResponseFuture, batch,
    boarding::{Arrived, fly_together},
    counts::Happened,
    plan::{Expired, Flying, Plan},
    recorder::Asked,
    renewal, replay,
    shared::Shared,
};

/// A service whose answers are kept. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Cache<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> Cache<S> {
    pub(crate) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to watch and control it with.
    pub fn handle(&self) -> CacheHandle {
        CacheHandle::new(self.shared.clone())
    }
}

impl<S> Service<LlmRequest> for Cache<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        if let Payload::Embed(_) = request.payload() {
            return batch::call(&self.shared, &self.inner, request);
        }
        let answer = |entry: &_, status| replay::answer(entry, &request, status, self.shared.settings.replay);
        match self.shared.plan(&request) {
            // It is a clone that is readied and called, once the future is polled.
            Plan::PassBy => ResponseFuture::passed_by(self.inner.clone().oneshot(request)),
            Plan::Refuse(error) => ResponseFuture::known(Err(error)),
            Plan::Answer(entry, status) => ResponseFuture::known(answer(&entry, status)),
            Plan::Renew(entry, status, flying) => {
                let answered = answer(&entry, status);
                renewal::renew(&self.shared, &self.inner, &request, flying);
                ResponseFuture::known(answered)
            }
            Plan::Fly(flying, last_resort) => {
                let (shared, inner) = (self.shared.clone(), self.inner.clone());
                ResponseFuture::under_way(Box::pin(fly(shared, inner, request, flying, last_resort)))
            }
        }
    }
}

/// The answer to a chat: that of the call, or what is kept if it came in between or if the call fails.
async fn fly<S>(
    shared: Striped<Shared>,
    inner: S,
    request: LlmRequest,
    flying: Flying,
    last_resort: Option<Expired>,
) -> Result<LlmResponse, Error>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    let asked = Asked::Chat(flying.key);
    let replay = shared.settings.replay;
    match fly_together(&shared, inner, &request, &flying, &asked, || shared.find_for(&flying.key, &request).fresh())
        .await
    {
        Ok(Arrived::Found((entry, age))) => {
            shared.note_unmade(Happened::Hit, &entry);
            replay::answer(&entry, &request, CacheStatus::Hit { age }, replay)
        }
        Ok(Arrived::Whole { head, whole, has_joined }) => {
            Ok(replay::live(&request, head, replay::full(whole), has_joined))
        }
        Ok(Arrived::Stream { head, reader }) => {
            let has_joined = reader.has_joined();
            Ok(replay::live(&request, head, Body::stream(reader), has_joined))
        }
        Err(error) => {
            let Some((entry, age)) = shared.instead_of(&error, last_resort) else { return Err(error) };
            shared.note_unmade(Happened::Stale, &entry);
            replay::answer(&entry, &request, CacheStatus::Stale { age }, replay)
        }
    }
}
