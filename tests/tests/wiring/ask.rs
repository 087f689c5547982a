//! A call, and what is told of it.

use std::{fmt::Write as _, time::Duration};

use futures_util::StreamExt as _;
use llm_core::{
    BoxLlmService, CacheDirective, CacheStatus, CacheTtl, Caller, Dialect, Error, Event, Head, Json, LlmRequest,
    LlmResponse, Sensitivity, Served, Tool, Trail, clock,
};
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::entry::Way;

/// What is told of a call, besides whether it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// How long it took to its end.
    Took,
    /// After how long there was a head.
    Head,
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
    is_marked: bool,
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
        is_marked: false,
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

    /// With the caller's own mark for the provider's prompt cache.
    pub(crate) fn marked(self) -> Self {
        Self { is_marked: true, ..self }
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
            if self.is_marked {
                chat.messages[0].parts[0].cache = Some(CacheTtl::FiveMinutes);
            }
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

pub(crate) async fn called(service: &BoxLlmService, ask: &Ask, tells: &[Tell], way: Way) -> String {
    tokio::time::sleep(ask.begins_after).await;
    let request = ask.request(way);
    let (trail, begun) = (request.context().trail(), Instant::now());
    let mut answer = Answer::default();
    let reading = read(service, request, &mut answer);
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
    response: Option<(Head, Instant)>,
    text: String,
    output: u64,
}

async fn read(service: &BoxLlmService, request: LlmRequest, answer: &mut Answer) -> Result<(), Error> {
    let LlmResponse { head, mut body } = service.clone().oneshot(request).await?;
    answer.response = Some((head, Instant::now()));
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
    let head = answer.response.as_ref().map(|(head, _)| head);
    match tell {
        Tell::Took => time(begun.elapsed()),
        Tell::Head => answer
            .response
            .as_ref()
            .map_or_else(|| "no head".to_owned(), |(_, at)| format!("head {}", time(*at - begun))),
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

/// In seconds, to the millisecond.
fn time(time: Duration) -> String {
    format!("{}s", time.as_millis() as f64 / 1_000.0)
}

pub(crate) fn span(time: &str) -> Duration {
    #[derive(serde::Deserialize)]
    struct Span {
        #[serde(with = "llm_core::duration")]
        time: Duration,
    }
    toml::from_str::<Span>(&format!("time = '{time}'")).unwrap().time
}
