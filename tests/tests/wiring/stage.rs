//! A stack over simulated models, what is asked of it, and what is seen.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::join_all};
use llm_core::{
    CacheDirective, CacheStatus, Caller, Dialect, Error, Event, Json, LlmRequest, LlmResponse, Measures as _,
    Sensitivity, Served, Tool, Trail, clock,
};
use llm_sim::{Sim, SimServer};
use llm_stack::{Stack, StackConfig};
use tokio::time::Instant;
use toml::{Table, Value};
use tower::ServiceExt as _;

use crate::entry::{Entry, Way};

/// The models that scenarios may ask for, at a dollar a million tokens of input and ten of output.
const MODELS: [(&str, &str); 20] = [
    ("m", ""),
    ("n", "output_tokens = 5"),
    ("thinks", "capabilities = ['reasoning']\nfaults = [{ fault = 'hang after 0' }]"),
    ("fails", "faults = [{ fault = 'status 500' }]"),
    ("busy", "faults = [{ fault = 'status 503' }]"),
    ("waits", "faults = [{ fault = 'status 429 retry-after=90' }]"),
    ("refuses", "faults = [{ fault = 'status 400' }]"),
    ("hangs", "faults = [{ fault = 'hang' }]"),
    ("begins", "faults = [{ fault = 'hang after 0' }]"),
    ("stalls", "faults = [{ fault = 'hang after 3' }]"),
    ("mends", "faults = [{ calls = '1', fault = 'status 500' }]"),
    ("mends-late", "faults = [{ calls = '1', fault = 'status 500' }, { calls = '2', fault = 'hang' }]"),
    ("wears", "faults = [{ calls = '2..', fault = 'status 500' }]"),
    ("tires", "faults = [{ every = 3, fault = 'delay 0s' }, { calls = '3..', fault = 'status 500' }]"),
    ("dear", "input = 10.0\noutput = 100.0\nfirst_token = '10ms'"),
    ("forbids", r#"faults = [{ fault = 'error-body content_policy_violation' }]"#),
    ("late", "first_token = '1s'"),
    ("slow", "first_token = '8s'"),
    ("slow-once", "faults = [{ calls = '21', fault = 'delay 8s' }]"),
    ("slows", "faults = [{ calls = '5..', fault = 'delay 8s' }]"),
];

/// Something that is done, and seen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A call, to its end.
    Ask(Ask),
    /// So many of them, one after the other, of which nothing is told.
    Quietly(usize, Ask),
    /// That, until it finds a circuit open.
    UntilOpen(Ask),
    /// So many calls about different things, of which is told where they went.
    Spread(usize, Ask),
    /// The router's rules by name.
    Rules,
    /// Calls at the same time.
    Together(Vec<Ask>),
    /// Time goes by.
    Wait(Duration),
    /// The sum of the layers' figures of a name; behind a space may stand the value of a label.
    Measure(&'static str),
    /// What operators have been told, as `kind of key`.
    Notices,
    /// What has been spent of each account, by rule and name.
    Accounts,
}

impl Step {
    pub(crate) fn wait(time: &str) -> Self {
        Self::Wait(span(time))
    }

    pub(crate) fn asks(&self) -> &[Ask] {
        match self {
            Self::Ask(ask) | Self::Quietly(_, ask) | Self::UntilOpen(ask) | Self::Spread(_, ask) => {
                std::slice::from_ref(ask)
            }
            Self::Together(asks) => asks,
            Self::Wait(_) | Self::Measure(_) | Self::Rules | Self::Notices | Self::Accounts => &[],
        }
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Self::Ask(ask)
    }
}

/// What is told of a call, besides whether it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// How long it took to its end.
    Took,
    /// The models that it went to.
    Went,
    /// How many attempts there were.
    Attempts,
    /// The answer, or the message of the error.
    Text,
    /// How many tokens the answer has.
    Output,
    /// What a cache had to do with it.
    Cache,
    /// Whether the first choice answered.
    Served,
    /// In how long the caller may come again.
    Again,
    /// At what time of the day, in Coordinated Universal Time, the caller may come again.
    AgainAt,
    /// How many tokens of the prompt were written to the provider's prompt cache, and for an hour.
    Written,
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) model: String,
    text: String,
    caller: Caller,
    tags: Vec<Box<str>>,
    intent: Option<&'static str>,
    sensitivity: Sensitivity,
    temperature: Option<f64>,
    most: Option<u64>,
    field: Option<(&'static str, &'static str)>,
    cache: CacheDirective,
    has_tool: bool,
    begins_after: Duration,
    leaves_after: Option<Duration>,
}

/// A call of a model that is answered alike each time.
pub(crate) fn ask(model: &str) -> Ask {
    Ask {
        model: model.to_owned(),
        text: "Why is the sky blue?".to_owned(),
        caller: Caller::default(),
        tags: Vec::new(),
        intent: None,
        sensitivity: Sensitivity::Normal,
        temperature: Some(0.0),
        most: None,
        field: None,
        cache: CacheDirective::default(),
        has_tool: false,
        begins_after: Duration::ZERO,
        leaves_after: None,
    }
}

impl Ask {
    pub(crate) fn says(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    pub(crate) fn of(mut self, tenant: &str) -> Self {
        self.caller.tenant = Some(tenant.into());
        self
    }

    pub(crate) fn user(mut self, user: &str) -> Self {
        self.caller.user = Some(user.into());
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.caller.key = Some(key.into());
        self
    }

    pub(crate) fn workflow(mut self, workflow: &str) -> Self {
        self.caller.workflow = Some(workflow.into());
        self
    }

    pub(crate) fn job(mut self, job: &str) -> Self {
        self.caller.job = Some(job.into());
        self
    }

    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    pub(crate) fn intent(self, intent: &'static str) -> Self {
        Self { intent: Some(intent), ..self }
    }

    pub(crate) fn sensitive(self) -> Self {
        Self { sensitivity: Sensitivity::Sensitive, ..self }
    }

    /// It may be answered differently each time.
    pub(crate) fn warm(self) -> Self {
        Self { temperature: None, ..self }
    }

    /// The most tokens of the answer.
    pub(crate) fn most(self, tokens: u64) -> Self {
        Self { most: Some(tokens), ..self }
    }

    /// With a field that is not known, and its value.
    pub(crate) fn field(self, name: &'static str, value: &'static str) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    /// With a tool on offer.
    pub(crate) fn with_tool(self) -> Self {
        Self { has_tool: true, ..self }
    }

    pub(crate) fn after(self, time: &str) -> Self {
        Self { begins_after: span(time), ..self }
    }

    /// The caller leaves after so long.
    pub(crate) fn leaves_after(self, time: &str) -> Self {
        Self { leaves_after: Some(span(time)), ..self }
    }

    fn request(&self, way: Way) -> LlmRequest {
        let mut chat = LlmRequest::chat(self.model.as_str()).user(self.text.as_str());
        chat = chat.with(|chat| {
            chat.sampling.temperature = self.temperature;
            chat.max_output_tokens = self.most;
            if self.has_tool {
                chat.tools.push(Tool::function("look", "Looks it up", Json::from_text("{}").unwrap()));
            }
            if let Some((name, value)) = self.field {
                chat.dialect = Some(Dialect::OpenAi);
                chat.extra.insert(name, Json::from_text(value).unwrap());
            }
        });
        let mut request = if way == Way::Stream { chat.stream() } else { chat }.build();
        let context = request.context_mut();
        context.set_caller(self.caller.clone());
        context.set_tags(self.tags.clone());
        context.raise_sensitivity(self.sensitivity);
        context.set_cache(self.cache);
        if let Some(intent) = self.intent {
            context.set_intent(intent);
        }
        request
    }
}

/// What is seen of a scenario with this configuration.
pub(crate) fn observe(entry: &Entry, config: Table, way: Way) -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = if entry.is_over_http { runtime.enable_all() } else { runtime.enable_time().start_paused(true) };
    runtime.build().unwrap().block_on(async {
        let mut config = config_of(config);
        let _server = if entry.is_over_http { Some(served(&mut config).await) } else { None };
        let stack = match Stack::try_from(config) {
            Ok(stack) => stack,
            Err(error) => return format!("refused: {error}"),
        };
        let mut listeners = stack.handles().notices();
        let mut seen = Vec::new();
        for step in &entry.steps {
            match step {
                Step::Ask(ask) => seen.push(called(&stack, ask, &entry.tells, way).await),
                Step::Quietly(times, ask) => {
                    for _ in 0..*times {
                        called(&stack, ask, &[], way).await;
                    }
                }
                Step::UntilOpen(ask) => {
                    let mut calls = 0;
                    while calls < 40 && called(&stack, ask, &[], way).await != "circuit_open" {
                        calls += 1;
                    }
                    seen.push(if calls < 40 { format!("open after {calls}") } else { "stays closed".to_owned() });
                }
                Step::Spread(times, ask) => {
                    let mut went = BTreeSet::new();
                    for number in 0..*times {
                        went.insert(
                            called(&stack, &ask.clone().says(format!("Why {number}?")), &[Tell::Went], way).await,
                        );
                    }
                    seen.push(went.iter().map(|went| went.trim_start_matches("ok ")).collect::<Vec<_>>().join(", "));
                }
                Step::Rules => {
                    let plan = stack.handles().router.plan();
                    seen.extend(plan.stated_rules().iter().map(|rule| rule.to_string()));
                }
                Step::Together(asks) => {
                    seen.extend(join_all(asks.iter().map(|ask| called(&stack, ask, &entry.tells, way))).await);
                }
                Step::Wait(time) => tokio::time::sleep(*time).await,
                Step::Measure(name) => seen.push(measured(&stack, name)),
                Step::Notices => {
                    for listener in &mut listeners {
                        while let Some(Some(notice)) = listener.next().now_or_never() {
                            seen.push(format!("{} of {}", notice.kind, notice.key));
                        }
                    }
                }
                Step::Accounts => {
                    let accounts = stack.handles().budget.as_ref().map_or_else(Vec::new, |budget| budget.accounts());
                    seen.extend(
                        accounts.iter().map(|account| format!("{}: {}", account.key, account.balances[0].spent)),
                    );
                }
            }
        }
        seen.join(" | ")
    })
}

/// The configuration over the simulated models.
pub(crate) fn config_of(mut config: Table) -> StackConfig {
    let simulated = config.entry("simulated").or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap();
    let models = simulated.entry("models").or_insert_with(|| Value::Array(Vec::new())).as_array_mut().unwrap();
    for (name, more) in MODELS {
        let usual =
            "input = 1.0\noutput = 10.0\nfirst_token = '100ms'\ntokens_per_second = 100.0\noutput_tokens = 10\n";
        let mut model: Table = usual.parse().unwrap();
        model.insert("name".to_owned(), name.into());
        model.extend(more.parse::<Table>().unwrap());
        models.push(Value::Table(model));
    }
    config.try_into().unwrap_or_else(|error| panic!("{error}"))
}

/// A server of the simulated models, which are called there.
async fn served(config: &mut StackConfig) -> SimServer {
    let sim = Sim::try_from(config.simulated.take().unwrap()).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let text = format!(
        "name = 'anthropic'\nbase_url = '{}'\nmodels = ['m']\nkeys = [{{ name = 'k', key = 'k' }}]",
        server.base_url()
    );
    config.providers.push(toml::from_str(&text).unwrap());
    server
}

async fn called(stack: &Stack, ask: &Ask, tells: &[Tell], way: Way) -> String {
    tokio::time::sleep(ask.begins_after).await;
    let request = ask.request(way);
    let (trail, begun) = (request.context().trail(), Instant::now());
    let mut answer = Answer::default();
    let reading = read(stack, request, &mut answer);
    let result = match ask.leaves_after {
        Some(time) => tokio::time::timeout(time, reading).await.ok(),
        // Who waits for an hour waits for ever.
        None => tokio::time::timeout(Duration::from_secs(36_000), reading).await.ok(),
    };
    let mut said = match &result {
        None => "left".to_owned(),
        Some(Ok(())) => "ok".to_owned(),
        Some(Err(error)) => error.kind().to_string(),
    };
    let error = result.and_then(Result::err);
    for tell in tells {
        write!(said, " {}", told(*tell, &answer, error.as_ref(), &trail, begun)).unwrap();
    }
    said
}

/// What came of an answer.
#[derive(Default)]
struct Answer {
    response: Option<llm_core::Head>,
    text: String,
    output: u64,
}

async fn read(stack: &Stack, request: LlmRequest, answer: &mut Answer) -> Result<(), Error> {
    let LlmResponse { head, mut body } = stack.service().oneshot(request).await?;
    answer.response = Some(head);
    while let Some(frame) = body.next().await {
        let frame = frame?;
        for event in frame.into_events() {
            match event.event {
                Event::Text(text) => answer.text.push_str(&text),
                Event::Usage(usage) => answer.output = usage.output,
                _ => {}
            }
        }
    }
    Ok(())
}

fn told(tell: Tell, answer: &Answer, error: Option<&Error>, trail: &Trail, begun: Instant) -> String {
    let head = answer.response.as_ref();
    match tell {
        Tell::Took => time(begun.elapsed()),
        Tell::Attempts => format!("x{}", trail.attempts().len()),
        Tell::Went => {
            let made = trail.attempts().into_iter().filter(|attempt| attempt.was_made());
            made.map(|attempt| attempt.target.unwrap().model().to_owned()).collect::<Vec<_>>().join("+")
        }
        Tell::Text => match error {
            Some(error) => error.message().to_owned(),
            None => answer.text.clone(),
        },
        Tell::Output => answer.output.to_string(),
        Tell::Cache => match head.map(|head| head.cache) {
            None => "no head".to_owned(),
            Some(CacheStatus::None) => "uncached".to_owned(),
            Some(CacheStatus::Miss) => "miss".to_owned(),
            Some(CacheStatus::Hit { .. }) => "hit".to_owned(),
            Some(CacheStatus::Joined) => "joined".to_owned(),
            Some(CacheStatus::Stale { .. }) => "stale".to_owned(),
        },
        Tell::Served => match head.map(|head| head.served) {
            None => "no head",
            Some(Served::FirstChoice) => "first choice",
            Some(Served::Substitute) => "substitute",
            Some(Served::Degraded) => "degraded",
        }
        .to_owned(),
        Tell::Again => error
            .and_then(Error::retry_after)
            .map_or_else(|| "never again".to_owned(), |wait| format!("again in {}", time(wait))),
        Tell::AgainAt => match error.and_then(Error::retry_after) {
            None => "never again".to_owned(),
            Some(wait) => {
                let minutes = (clock::since_epoch() + wait).as_secs().div_ceil(60) % (24 * 60);
                format!("again at {:02}:{:02}", minutes / 60, minutes % 60)
            }
        },
        Tell::Written => {
            let usage = trail.attempts().iter().filter_map(|attempt| attempt.usage).next_back().unwrap_or_default();
            format!("wrote {}, {} for an hour", usage.cache_write, usage.cache_write_1h)
        }
    }
}

fn measured(stack: &Stack, wanted: &str) -> String {
    let (name, label) = wanted.split_once(' ').map_or((wanted, None), |(name, label)| (name, Some(label)));
    let mut sum = 0.0;
    stack.handles().measure(&mut |measure| {
        let is_wanted = label.is_none_or(|label| measure.labels.iter().any(|(_, value)| value == label));
        if measure.name == name && is_wanted {
            sum += measure.value;
        }
    });
    format!("{wanted} {sum}")
}

/// In seconds, to the millisecond.
fn time(time: Duration) -> String {
    format!("{}s", time.as_millis() as f64 / 1_000.0)
}

fn span(time: &str) -> Duration {
    #[derive(serde::Deserialize)]
    struct Span {
        #[serde(with = "llm_core::duration")]
        time: Duration,
    }
    toml::from_str::<Span>(&format!("time = '{time}'")).unwrap().time
}
