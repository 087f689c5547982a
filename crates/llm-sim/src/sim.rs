//! The simulated provider as a service.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use llm_core::{
    Body, ConfigError, Dialect, Error, ErrorKind, Frame, Head, LlmRequest, LlmResponse, Payload, Provenance,
    RateLimits, Target, TokenCount, Trail, catalog::Catalog, watch,
};
use tokio::{
    net::{TcpListener, ToSocketAddrs},
    time::Instant,
};
use tower_service::Service;

use crate::{
    FaultScript, ModelConfig, Received, SimConfig, SimServer, admit, answer,
    log::{Arrival, Log},
    observe::CallObserver,
    plan::{Act, Asked, Happening, Plan, Step, Told},
    player::{self, Player},
    prompt_cache::PromptCache,
    quota::Quotas,
    refusal::Refusal,
    seed::Seed,
};

/// A simulated provider: a service, and on request an http server.
///
/// See the [crate docs](crate). Clones share the models' call counters, their rate limits and the log.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
}

struct Shared {
    config: SimConfig,
    catalog: Catalog,
    models: Vec<ModelState>,
    log: Arc<Log>,
}

#[derive(Debug)]
struct ModelState {
    calls: AtomicU64,
    quotas: Quotas,
    prompt_cache: PromptCache,
}

/// Who asks for what.
pub(crate) struct Call<'a> {
    pub(crate) model: &'a str,
    pub(crate) asked: Asked<'a>,
    pub(crate) key: Option<&'a str>,
    pub(crate) script: Option<FaultScript>,
}

/// What will happen in a call, and what its answer's headers say.
pub(crate) struct Begun {
    pub(crate) plan: Plan,
    pub(crate) limits: RateLimits,
    /// Names the exchange, as `x-request-id`.
    pub(crate) request_id: String,
    /// Whether what happens is scripted, if it is not a whole answer.
    pub(crate) is_faulted: bool,
}

impl TryFrom<SimConfig> for Sim {
    type Error = ConfigError;

    fn try_from(config: SimConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let model = |model| ModelState {
            calls: AtomicU64::new(0),
            quotas: Quotas::of(model),
            prompt_cache: PromptCache::default(),
        };
        let models = config.models.iter().map(model).collect();
        let (catalog, log) = (config.catalog()?, Log::new(&config));
        Ok(Self { shared: Arc::new(Shared { config, catalog, models, log }) })
    }
}

impl Sim {
    /// What is simulated.
    pub fn config(&self) -> &SimConfig {
        &self.shared.config
    }

    /// Facts of the models, prices among them.
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// The calls of the service, the newest last, without bodies: nothing of a prompt is kept. Calls over http are in
    /// the log of their [`SimServer`].
    pub fn log(&self) -> Vec<Received> {
        self.shared.log.all()
    }

    /// How many calls the service got, also those that the log has forgotten.
    pub fn requests(&self) -> u64 {
        self.shared.log.count()
    }

    /// Waits until the service's log is as wanted, and returns it.
    pub async fn until(&self, holds: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        self.shared.log.until(holds).await
    }

    /// Serves http at `addr`; port 0 takes a free one. Every server has a log of its own.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn serve(&self, addr: impl ToSocketAddrs) -> io::Result<SimServer> {
        self.serve_on(TcpListener::bind(addr).await?)
    }

    /// Serves http on a listener. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the listener does not know its address.
    pub fn serve_on(&self, listener: TcpListener) -> io::Result<SimServer> {
        SimServer::start(self.clone(), listener)
    }

    /// Counts a call and works out what will happen in it.
    pub(crate) fn begin(&self, call: Call<'_>) -> Begun {
        let Shared { config, models, .. } = &*self.shared;
        let Some(at) = config.models.iter().position(|model| model.name == call.model) else {
            return Begun::refused(Refusal::unknown_model(call.model), "req_unknown_model".into());
        };
        let (model, state) = (&config.models[at], &models[at]);
        let number = state.calls.fetch_add(1, Relaxed) + 1;
        let seed = Seed::new(config.seed);
        let request_id = format!("req_{:016x}", seed.with("id").with(&model.name).with_number(number).number());
        let now = Instant::now();
        let admission = state.quotas.admit(answer::prompt_tokens(model, &call.asked), now);
        let script = call.script.or_else(|| scripted(model, number, call.key, &seed));
        let refused = match admission.wait {
            Some(wait) => Err(Refusal::rate_limited(wait)),
            None => admit::check(model, &call.asked),
        };
        let plan = match refused {
            Err(refusal) => Plan::refuse(refusal),
            Ok(()) => {
                let telling = Telling { model, prompt_cache: &state.prompt_cache, seed: &seed, number, now };
                telling.plan(&call.asked, &script.clone().unwrap_or_default())
            }
        };
        Begun { plan, limits: admission.limits, request_id, is_faulted: script.is_some() }
    }
}

impl Begun {
    fn refused(refusal: Refusal, request_id: String) -> Self {
        Self { plan: Plan::refuse(refusal), limits: RateLimits::default(), request_id, is_faulted: false }
    }
}

fn scripted(model: &ModelConfig, call: u64, key: Option<&str>, seed: &Seed) -> Option<FaultScript> {
    let seed = seed.with("fault").with(&model.name);
    let mut rules = (0..).zip(&model.faults);
    let rule = rules.find(|(index, rule)| rule.applies(call, key, &seed.with_number(*index)));
    rule.map(|(_, rule)| rule.fault.clone())
}

/// One call of a model, from which its course follows.
struct Telling<'a> {
    model: &'a ModelConfig,
    prompt_cache: &'a PromptCache,
    seed: &'a Seed,
    number: u64,
    now: Instant,
}

impl Telling<'_> {
    fn plan(self, asked: &Asked<'_>, script: &FaultScript) -> Plan {
        let Self { model, prompt_cache, seed, number, now } = self;
        match asked.payload {
            Payload::Embed(embed) => {
                let output = answer::to_embed(model, embed, asked, seed).into();
                Plan::new(model, Told::Whole { output, tokens: 0, rounds: 0 }, script)
            }
            Payload::CountTokens(_) => {
                let count =
                    TokenCount { input_tokens: answer::prompt_tokens(model, asked), provenance: Provenance::Reported };
                Plan::new(model, Told::Whole { output: count.into(), tokens: 0, rounds: 0 }, script)
            }
            Payload::Chat(chat) => {
                let caching = prompt_cache.look(&model.name, chat, now);
                let answer = answer::to_chat(model, chat, asked, &caching, seed, number);
                let told = if chat.stream {
                    Told::Stream(&answer)
                } else {
                    Told::Whole { output: answer.whole(), tokens: answer.tokens(), rounds: answer.rounds() }
                };
                let plan = Plan::new(model, told, script);
                if plan.is_answer() {
                    prompt_cache.keep(caching, now);
                }
                plan
            }
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("config", self.config()).field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// The future of a call: boxed, because what happens in it is a story, not a wrapper.
type ResponseFuture = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

impl Service<LlmRequest> for Sim {
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> ResponseFuture {
        let context = request.context();
        let target = context.target().cloned().unwrap_or_else(|| Target::new("sim", request.model()));
        let begun = self.begin(Call {
            model: target.model(),
            asked: Asked { payload: request.payload(), output_ceiling: context.output_ceiling() },
            key: target.key(),
            script: request.extensions().get::<FaultScript>().cloned(),
        });
        let entry = self.shared.log.begin(Arrival {
            model: Some(target.model()),
            key: target.key().map(Arc::from),
            ..Arrival::default()
        });
        entry.answers(begun.plan.usage());
        let price = self.shared.catalog.get(None, target.model()).and_then(|model| model.price.clone());
        let observer = CallObserver::begin(&request, &target, price, entry, begun.is_faulted);
        Box::pin(watch(&request.clone(), respond(request, target, begun), observer))
    }
}

async fn respond(request: LlmRequest, target: Target, begun: Begun) -> Result<LlmResponse, Error> {
    let error = |error: Error| error.with_target(target.clone()).with_trail(request.context().trail());
    let mut head = Head {
        target: Some(target.clone()),
        rate_limits: Some(begun.limits).filter(|limits| !limits.is_empty()).map(Box::new),
        request_id: Some(Arc::from(begun.request_id)),
        ..Head::default()
    };
    player::wait(begun.plan.wait).await;
    match begun.plan.act {
        Act::Hang => std::future::pending().await,
        Act::Cut | Act::Reset => Err(error(broken())),
        Act::Refuse(refusal) => Err(error(refusal.to_error())),
        Act::Whole { output, steps } => {
            read_whole(steps).await.map_err(error)?;
            if let llm_core::Output::Chat(chat) = &*output {
                set_start(&mut head, &chat.start);
            }
            Ok(LlmResponse::new(head, Body::full(*output).answering(&request, target.model())))
        }
        Act::Stream { start, usage: _, steps } => {
            set_start(&mut head, &start);
            let frames =
                Frames { player: Player::new(steps), target: target.clone(), trail: request.context().trail() };
            Ok(LlmResponse::new(head, Body::stream(frames).answering(&request, target.model())))
        }
    }
}

fn set_start(head: &mut Head, start: &llm_core::Start) {
    head.id = start.id.clone();
    head.model = start.model.clone();
    head.created = start.created;
}

/// Goes through a whole answer as a client would that reads it to its end.
async fn read_whole(steps: Vec<Step>) -> Result<(), Error> {
    let mut player = Player::new(steps);
    let (mut is_whole, mut is_garbled) = (false, false);
    while let Some(happening) = std::future::poll_fn(|cx| player.poll_next(cx)).await {
        match happening {
            Happening::UpTo { tokens, of } => is_whole = tokens == of,
            Happening::Garbage | Happening::Error(_) => is_garbled = true,
            Happening::Cut | Happening::Reset => return Err(broken()),
            Happening::Frame(_) | Happening::Ping => {}
        }
    }
    if is_whole && !is_garbled { Ok(()) } else { Err(Error::new(ErrorKind::Undecodable, "the answer is not JSON")) }
}

fn broken() -> Error {
    Error::new(ErrorKind::Interrupted, "the connection broke off")
}

/// The frames of a streamed answer.
struct Frames {
    player: Player,
    target: Target,
    trail: Trail,
}

impl futures_core::Stream for Frames {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let error = match ready!(self.player.poll_next(cx)) {
            None => return Poll::Ready(None),
            Some(Happening::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
            Some(Happening::Ping | Happening::UpTo { .. }) => return Poll::Ready(Some(Ok(Frame::default()))),
            Some(Happening::Cut | Happening::Reset) => broken(),
            Some(Happening::Garbage) => Error::new(ErrorKind::Undecodable, "a frame is not JSON"),
            Some(Happening::Error(trouble)) => llm_wire::error::decode_in_band(&trouble.object(Dialect::OpenAi, ""))
                .unwrap_or_else(|| Error::new(ErrorKind::Server, "the provider failed while answering")),
        };
        Poll::Ready(Some(Err(error.with_target(self.target.clone()).with_trail(self.trail.clone()))))
    }
}
