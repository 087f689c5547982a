//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use llm_core::{
    Chat, Error, Extra, LlmRequest, LlmResponse, NanoUsd, Observer, Outcome, PartContent, Payload, Striped, ToolKind,
    Usage, Watch, catalog::Model, rough_prompt, watch_end,
};
use tower::Service;

use super::{PromptCacheCounts, layer::Shared};

/// How Anthropic's marks are called, where they stand in a place that has no type.
const MARK: &str = "cache_control";

/// A service whose prompts are kept by their provider. See the [module's docs](crate::prompt).
#[derive(Clone, Debug)]
pub struct PromptCache<S> {
    inner: S,
    shared: Striped<Shared>,
}

impl<S> PromptCache<S> {
    pub(super) fn new(inner: S, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S> Service<LlmRequest> for PromptCache<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = Watch<S::Future, Reporter>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: LlmRequest) -> Self::Future {
        let settings = &self.shared.settings;
        let names = request.target_or_model();
        let provider = Some(names.provider).filter(|provider| !provider.is_empty());
        let facts = settings.catalog().get_shared(provider, names.model).cloned();
        let least = *settings.least_tokens.of_names(provider, names.model);
        if may_be_marked(request.payload()) && rough_prompt(request.payload()) >= least {
            request.context_mut().set_prompt_cache(settings.keep_for);
            self.shared.counts.note(PromptCacheCounts { asked: 1, ..PromptCacheCounts::default() });
        }
        watch_end(self.inner.call(request), Reporter { shared: self.shared.clone(), facts })
    }
}

/// Takes note of what a call read from and wrote to its provider's prompt cache.
#[derive(Debug)]
pub struct Reporter {
    shared: Striped<Shared>,
    facts: Option<Arc<Model>>,
}

impl Observer for Reporter {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let progress = outcome.progress();
        let usage = progress.usage();
        if progress.is_unpaid() || (usage.cache_read, usage.cache_write) == (0, 0) {
            return;
        }
        let (saved, extra) = self.money(&usage);
        let counts = PromptCacheCounts {
            asked: 0,
            read_tokens: usage.cache_read,
            written_tokens: usage.cache_write,
            saved,
            extra,
        };
        self.shared.counts.note(counts);
    }
}

impl Reporter {
    /// What reading saved and what writing cost more.
    fn money(&self, usage: &Usage) -> (NanoUsd, NanoUsd) {
        let Some(price) = self.facts.as_ref().and_then(|facts| facts.price.as_ref()) else {
            return (NanoUsd::ZERO, NanoUsd::ZERO);
        };
        let rates = price.rates(usage.input);
        let cost = rates.cost(usage);
        let saved = rates.input.cost(usage.cache_read).saturating_sub(cost.cache_read);
        let extra = cost.cache_write.saturating_sub(rates.input.cost(usage.cache_write));
        (saved, extra)
    }
}

/// Whether it is a chat whose caller has set no mark.
fn may_be_marked(payload: &Payload) -> bool {
    let Payload::Chat(chat) = payload else { return false };
    !has_mark(chat)
}

fn has_mark(chat: &Chat) -> bool {
    let has = |extra: &Extra| extra.get(MARK).is_some();
    let in_tools = chat.tools.iter().any(|tool| {
        let in_other = matches!(&tool.kind, ToolKind::Other(other) if other.json.get().contains(MARK));
        tool.cache.is_some() || in_other || has(&tool.extra)
    });
    let mut parts = chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts);
    in_tools
        || has(&chat.extra)
        || parts.any(|part| {
            let in_other = matches!(&part.content, PartContent::Other(other) if other.json.get().contains(MARK));
            part.cache.is_some() || in_other || has(&part.extra)
        })
}
