//! Which calls a cache has to do with, and which answers are kept.

use llm_core::{CacheStatus, Event, FinishReason, Frame, Head, LlmRequest, Output, PartContent, Payload, Served};
use smallvec::SmallVec;

use crate::Use;

/// Why an answer was not kept, or a call passed the cache by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// A rule says that the cache is not for such calls.
    Excluded,
    /// The call may be answered differently each time: its temperature is not zero.
    NotDeterministic,
    /// It is a kind of call that is not kept: a count of tokens.
    Kind,
    /// It is sensitive, and the store is not marked local.
    Sensitive,
    /// The caller said so.
    NoStore,
    /// The call failed.
    Failed,
    /// Nobody waited for the end of the answer.
    Abandoned,
    /// The limit on tokens cut the answer short.
    Truncated,
    /// The provider held something back, or the model refused.
    Filtered,
    /// The answer has no reason to be finished, or one that nobody knows.
    Unfinished,
    /// The answer says nothing.
    Empty,
    /// Another target stood in for the first choice.
    Substitute,
    /// A fallback answered.
    Degraded,
    /// Another cache answered, which keeps it already.
    Cached,
    /// It is larger than an entry may be.
    TooLarge,
    /// Something was invalidated while it was under way.
    Invalidated,
}

impl Refused {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 16] = [
        Self::Excluded,
        Self::NotDeterministic,
        Self::Kind,
        Self::Sensitive,
        Self::NoStore,
        Self::Failed,
        Self::Abandoned,
        Self::Truncated,
        Self::Filtered,
        Self::Unfinished,
        Self::Empty,
        Self::Substitute,
        Self::Degraded,
        Self::Cached,
        Self::TooLarge,
        Self::Invalidated,
    ];

    /// The reason in snake case. These words are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::NotDeterministic => "not_deterministic",
            Self::Kind => "kind",
            Self::Sensitive => "sensitive",
            Self::NoStore => "no_store",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Truncated => "truncated",
            Self::Filtered => "filtered",
            Self::Unfinished => "unfinished",
            Self::Empty => "empty",
            Self::Substitute => "substitute",
            Self::Degraded => "degraded",
            Self::Cached => "cached",
            Self::TooLarge => "too_large",
            Self::Invalidated => "invalidated",
        }
    }
}

/// Whether a cache has anything to do with a call.
pub(crate) fn of_call(request: &LlmRequest, use_for: Use, store_is_local: bool) -> Result<(), Refused> {
    let context = request.context();
    let is_deterministic = match request.payload() {
        Payload::Chat(chat) => chat.sampling.temperature == Some(0.0),
        Payload::Embed(_) => true,
        Payload::CountTokens(_) => return Err(Refused::Kind),
    };
    if context.sensitivity().is_sensitive() && !store_is_local {
        return Err(Refused::Sensitive);
    }
    match use_for {
        Use::Never => Err(Refused::Excluded),
        Use::Deterministic if !is_deterministic && !context.cache().force => Err(Refused::NotDeterministic),
        Use::Deterministic | Use::All => Ok(()),
    }
}

/// Whether what is known before an answer's body lets it be kept.
pub(crate) fn of_head(head: &Head) -> Result<(), Refused> {
    match head.served {
        Served::FirstChoice => {}
        Served::Substitute => return Err(Refused::Substitute),
        Served::Degraded => return Err(Refused::Degraded),
    }
    match head.cache {
        CacheStatus::None | CacheStatus::Miss => Ok(()),
        CacheStatus::Hit { .. } | CacheStatus::Joined | CacheStatus::Stale { .. } => Err(Refused::Cached),
    }
}

/// Whether a whole answer may be kept.
pub(crate) fn of_output(output: &Output) -> Result<(), Refused> {
    let chat = match output {
        Output::Chat(chat) => chat,
        Output::Embed(embed) if embed.vectors.iter().any(|vector| vector.0.is_empty()) => return Err(Refused::Empty),
        Output::Embed(_) => return Ok(()),
        Output::TokenCount(_) => return Err(Refused::Kind),
    };
    let mut seen = Seen::default();
    for choice in &chat.choices {
        let own = seen.choice(choice.index);
        own.finish = choice.finish.clone();
        for part in &choice.parts {
            match &part.content {
                PartContent::Text(text) => own.says |= !text.is_empty(),
                PartContent::Refusal(_) => own.refuses = true,
                PartContent::Reasoning(_) => {}
                PartContent::ToolCall(_)
                | PartContent::Image(_)
                | PartContent::Audio(_)
                | PartContent::File(_)
                | PartContent::ToolResult(_)
                | PartContent::Other(_) => own.says = true,
            }
        }
    }
    seen.verdict()
}

/// Whether a stream that came to its end may be kept.
pub(crate) fn of_frames<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Result<(), Refused> {
    let mut seen = Seen::default();
    for item in frames.into_iter().flat_map(Frame::events) {
        match &item.event {
            Event::Text(text) => seen.choice(item.choice).says |= !text.is_empty(),
            Event::ToolCall(_) => seen.choice(item.choice).says = true,
            Event::Refusal(_) => seen.choice(item.choice).refuses = true,
            Event::Finish(reason) => seen.choice(item.choice).finish = Some(reason.clone()),
            // A choice that was only thought about has begun.
            Event::Reasoning(_) => _ = seen.choice(item.choice),
            Event::Start(_) | Event::Logprobs(_) | Event::Usage(_) | Event::Other(_) => {}
        }
    }
    seen.verdict()
}

/// What the choices of an answer came to.
#[derive(Debug, Default)]
struct Seen(SmallVec<[(u32, ChoiceSeen); 1]>);

#[derive(Debug, Default)]
struct ChoiceSeen {
    says: bool,
    refuses: bool,
    finish: Option<FinishReason>,
}

impl Seen {
    fn choice(&mut self, index: u32) -> &mut ChoiceSeen {
        let at = self.0.iter().position(|(known, _)| *known == index).unwrap_or_else(|| {
            self.0.push((index, ChoiceSeen::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    fn verdict(&self) -> Result<(), Refused> {
        if self.0.is_empty() {
            return Err(Refused::Empty);
        }
        self.0.iter().try_for_each(|(_, choice)| choice.verdict())
    }
}

impl ChoiceSeen {
    fn verdict(&self) -> Result<(), Refused> {
        match &self.finish {
            Some(FinishReason::Stop | FinishReason::ToolCalls) => {}
            Some(FinishReason::Length) => return Err(Refused::Truncated),
            Some(FinishReason::ContentFilter) => return Err(Refused::Filtered),
            Some(FinishReason::Error) => return Err(Refused::Failed),
            Some(FinishReason::Other(_)) | None => return Err(Refused::Unfinished),
        }
        if self.refuses {
            return Err(Refused::Filtered);
        }
        if self.says { Ok(()) } else { Err(Refused::Empty) }
    }
}
