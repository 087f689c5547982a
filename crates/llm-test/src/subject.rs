//! The layer under test, and what its author declares about it.

use std::{
    fmt::{self, Debug, Display},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use llm_core::{BoxLlmService, Error, LlmRequest, LlmResponse, Notice, NoticeListener, Payload};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Answer, Probe};

type Wrap = Arc<dyn Fn(BoxLlmService) -> BoxLlmService + Send + Sync>;
type Show = Arc<dyn Fn() -> String + Send + Sync>;

/// A layer under test, its type forgotten, and what the laws cannot find out by themselves.
///
/// Each law builds a subject of its own, so a subject's layer starts with fresh state. What is not declared is not
/// tested: a law that finds nothing to test says so, see [`Ruling::NotApplicable`](crate::Ruling::NotApplicable).
///
/// Layer, service and future must be what every layer's are, or this does not compile:
///
/// ```compile_fail,E0277
/// #[derive(Clone)] // and not `Debug`
/// struct Silent;
/// impl<S> tower::Layer<S> for Silent {
///     type Service = S;
///     fn layer(&self, inner: S) -> S {
///         inner
///     }
/// }
/// let subject = llm_test::Subject::new("silent", Silent);
/// ```
#[derive(Clone)]
#[must_use = "a subject is tested by passing it to the laws"]
pub struct Subject {
    name: String,
    pub(crate) readiness: Readiness,
    pub(crate) holds_back: bool,
    pub(crate) calls_again: Option<Answer>,
    pub(crate) held: Vec<(String, Arc<dyn Fn() -> u64 + Send + Sync>)>,
    pub(crate) tally: Option<Arc<dyn Fn() -> Tally + Send + Sync>>,
    pub(crate) counts: Option<Counts>,
    pub(crate) takes: Vec<Takes>,
    pub(crate) keyed: Option<Keyed>,
    pub(crate) listen: Option<Arc<dyn Fn() -> BoxStream<'static, Notice> + Send + Sync>>,
    pub(crate) quiet: Option<&'static str>,
    pub(crate) refuses: Vec<Refused>,
    pub(crate) secrets: Vec<String>,
    pub(crate) shows: Vec<(String, Show)>,
    wrap: Wrap,
    rejecting: Option<Wrap>,
    ask: Arc<dyn Fn(u64) -> LlmRequest + Send + Sync>,
}

/// What a service's readiness means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Readiness {
    #[default]
    PassesThrough,
    AlwaysReady,
}

/// How a layer has counted the ends of its calls, see [`Subject::tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were complete.
    pub complete: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that nobody wanted the rest of.
    pub abandoned: u64,
}

#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) answer: Answer,
    pub(crate) read: Arc<dyn Fn() -> u64 + Send + Sync>,
}

#[derive(Clone)]
pub(crate) struct Takes {
    pub(crate) time: Duration,
    pub(crate) answers: Vec<Answer>,
}

#[derive(Clone)]
pub(crate) struct Keyed {
    pub(crate) bound: usize,
    pub(crate) request: Arc<dyn Fn(u64) -> LlmRequest + Send + Sync>,
    pub(crate) size: Arc<dyn Fn() -> usize + Send + Sync>,
}

#[derive(Clone)]
pub(crate) struct Refused {
    pub(crate) what: String,
    pub(crate) build: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Subject {
    /// A layer with fresh state. Until it is said otherwise it passes readiness through, calls at most once, hands
    /// frames on at once and never rejects.
    pub fn new<L>(name: impl Into<String>, layer: L) -> Self
    where
        L: Layer<BoxLlmService> + Clone + Debug + Send + Sync + 'static,
        L::Service: Service<LlmRequest, Response = LlmResponse> + Clone + Debug + Send + Sync + 'static,
        <L::Service as Service<LlmRequest>>::Future: Send + 'static,
        <L::Service as Service<LlmRequest>>::Error: Into<Error> + 'static,
    {
        let shown = layer.clone();
        let shown_service = layer.clone();
        let mut subject = Self::of(name.into(), Arc::new(move |inner| erase(&layer, inner)));
        subject.shows.push(("the layer".to_owned(), Arc::new(move || format!("{shown:?}"))));
        subject.shows.push((
            "the service".to_owned(),
            Arc::new(move || format!("{:?}", shown_service.layer(BoxCloneSyncService::new(Probe::new())))),
        ));
        subject
    }

    /// Any way of wrapping a service, such as a whole stack that was put together at run time.
    pub fn stack(
        name: impl Into<String>,
        wrap: impl Fn(BoxLlmService) -> BoxLlmService + Send + Sync + 'static,
    ) -> Self {
        Self::of(name.into(), Arc::new(wrap))
    }

    fn of(name: String, wrap: Wrap) -> Self {
        Self {
            name,
            readiness: Readiness::default(),
            holds_back: false,
            calls_again: None,
            held: Vec::new(),
            tally: None,
            counts: None,
            takes: Vec::new(),
            keyed: None,
            listen: None,
            quiet: None,
            refuses: Vec::new(),
            secrets: Vec::new(),
            shows: Vec::new(),
            wrap,
            rejecting: None,
            ask: Arc::new(|number| LlmRequest::chat("probe").user(format!("Question {number}: why is it so?")).build()),
        }
    }

    /// The service is always ready: it decides in `call` and readies a clone of the inner service in the future.
    pub fn always_ready(mut self) -> Self {
        self.readiness = Readiness::AlwaysReady;
        self
    }

    /// The layer may call again, and does when the inner service's first answer is this one.
    ///
    /// Such a layer also [holds back](Self::holds_back) what comes before content.
    pub fn calls_again(mut self, after: Answer) -> Self {
        self.calls_again = Some(after);
        self.holds_back()
    }

    /// The layer keeps lifecycle frames, and so the head, until content comes.
    pub fn holds_back(mut self) -> Self {
        self.holds_back = true;
        self
    }

    /// How to build a layer, of the same kind and with fresh state, that rejects every request.
    pub fn rejecting<L>(mut self, layer: impl Fn() -> L + Send + Sync + 'static) -> Self
    where
        L: Layer<BoxLlmService>,
        L::Service: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
        <L::Service as Service<LlmRequest>>::Future: Send + 'static,
        <L::Service as Service<LlmRequest>>::Error: Into<Error> + 'static,
    {
        self.rejecting = Some(Arc::new(move |inner| erase(&layer(), inner)));
        self
    }

    /// Something the layer holds for each call under way, as a number: permits, reservations, entries. The laws look
    /// that it returns to what it was before.
    pub fn holds(mut self, what: impl Into<String>, read: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.held.push((what.into(), Arc::new(read)));
        self
    }

    /// How the layer has counted the ends of its calls so far, if it does.
    pub fn tally(mut self, read: impl Fn() -> Tally + Send + Sync + 'static) -> Self {
        self.tally = Some(Arc::new(read));
        self
    }

    /// A figure of the layer's state, read from the layer value or its handle, that grows with each call under way
    /// to which the inner service gives this answer.
    pub fn counts(mut self, answer: Answer, read: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.counts = Some(Counts { answer, read: Arc::new(read) });
        self
    }

    /// With these answers of the inner service, one call from its beginning to its end takes exactly this time.
    pub fn takes(mut self, time: Duration, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.takes.push(Takes { time, answers: answers.into_iter().collect() });
        self
    }

    /// The layer keeps state for each of the keys that `request` makes from numbers, at most `bound` entries (choose
    /// a small one for the test: twice as many calls are made); `size` reads how many there are.
    pub fn keyed(
        mut self,
        bound: usize,
        request: impl Fn(u64) -> LlmRequest + Send + Sync + 'static,
        size: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        self.keyed = Some(Keyed { bound, request: Arc::new(request), size: Arc::new(size) });
        self
    }

    /// How to listen to the layer's notices. A call after the other, every second one failing, must cause some.
    pub fn notices(self, listen: impl Fn() -> NoticeListener + Send + Sync + 'static) -> Self {
        self.listeners(move || {
            futures_util::stream::unfold(listen(), |mut listener| async move {
                listener.next().await.map(|notice| (notice, listener))
            })
        })
    }

    /// The same for notices that come in another way.
    pub fn listeners<T>(mut self, listen: impl Fn() -> T + Send + Sync + 'static) -> Self
    where
        T: futures_core::Stream<Item = Notice> + Send + 'static,
    {
        self.listen = Some(Arc::new(move || listen().boxed()));
        self
    }

    /// Why calls of which every second one fails cause no notice, of a layer that has notices. A test of its own shows them.
    pub fn quiet(mut self, because: &'static str) -> Self {
        self.quiet = Some(because);
        self
    }

    /// A configuration that must be refused: `build` tries to build it.
    pub fn refuses<T, E: Display>(
        mut self,
        what: impl Into<String>,
        build: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        let build = move || build().map(drop).map_err(|error| error.to_string());
        self.refuses.push(Refused { what: what.into(), build: Arc::new(build) });
        self
    }

    /// A secret that the layer was given, such as a key. It must never be shown.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Another type of the crate that its users hold: a handle, an error, a configuration.
    pub fn shows<T: Clone + Debug + Send + Sync + 'static>(mut self, what: impl Into<String>, value: T) -> Self {
        self.shows.push((what.into(), Arc::new(move || format!("{value:?}"))));
        self
    }

    /// The requests that the laws make, from a number: different numbers are different questions. The laws choose
    /// between whole and streamed answers themselves. Defaults to a short chat.
    pub fn asking(mut self, ask: impl Fn(u64) -> LlmRequest + Send + Sync + 'static) -> Self {
        self.ask = Arc::new(ask);
        self
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layer around `inner`. All services of one subject come from one layer value.
    pub fn wrap(&self, inner: BoxLlmService) -> BoxLlmService {
        (self.wrap)(inner)
    }

    pub(crate) fn wrap_rejecting(&self, inner: BoxLlmService) -> Option<BoxLlmService> {
        self.rejecting.as_ref().map(|wrap| wrap(inner))
    }

    pub(crate) fn request(&self, number: u64, streamed: bool) -> LlmRequest {
        let mut request = (self.ask)(number);
        if request.is_stream() != streamed
            && let Payload::Chat(chat) = request.payload_mut()
        {
            chat.stream = streamed;
            chat.include_usage = streamed;
        }
        request
    }
}

fn erase<L>(layer: &L, inner: BoxLlmService) -> BoxLlmService
where
    L: Layer<BoxLlmService>,
    L::Service: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
    <L::Service as Service<LlmRequest>>::Future: Send + 'static,
    <L::Service as Service<LlmRequest>>::Error: Into<Error> + 'static,
{
    BoxCloneSyncService::new(layer.layer(inner).map_err(Into::into))
}

impl Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).field("readiness", &self.readiness).finish_non_exhaustive()
    }
}
