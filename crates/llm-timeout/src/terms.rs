//! The instants by which one call must have come to something. Pure: the time is passed in.

use std::{borrow::Cow, time::Duration};

use llm_core::{
    ErrorKind, LlmRequest, Payload, Phase, ReasoningEffort, Thinking,
    catalog::{Capability, Catalog},
};
use tokio::time::Instant;

use crate::Limits;

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The limit on the response head.
    Head(Duration),
    /// The limit on the first content.
    FirstContent(Duration),
    /// The limit on the wait for more content.
    Idle(Duration),
    /// The limit on a whole stream.
    Total(Duration),
    /// The limit on an answer that is not streamed.
    WholeAnswer(Duration),
    /// The caller's deadline.
    Deadline,
    /// The time for which the caller's client waits for the next piece.
    Patience(Duration),
}

impl Expiry {
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::Head(_) => ErrorKind::Timeout(Phase::Head),
            Self::FirstContent(_) => ErrorKind::Timeout(Phase::FirstContent),
            Self::Idle(_) => ErrorKind::Timeout(Phase::Idle),
            Self::Total(_) | Self::WholeAnswer(_) => ErrorKind::Timeout(Phase::Total),
            Self::Deadline | Self::Patience(_) => ErrorKind::DeadlineExceeded,
        }
    }

    pub(crate) fn message(self) -> Cow<'static, str> {
        let (what, limit) = match self {
            Self::Head(limit) => ("no response head", limit),
            Self::FirstContent(limit) => ("no first content", limit),
            Self::Idle(limit) => ("no further content", limit),
            Self::Total(limit) => ("no end of the stream", limit),
            Self::WholeAnswer(limit) => ("no whole answer", limit),
            Self::Patience(limit) => {
                return format!("nothing to send in the {limit:?} that the caller's client waits").into();
            }
            Self::Deadline => return "the caller's deadline has passed".into(),
        };
        format!("{what} within {limit:?}").into()
    }
}

/// When something runs out, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) expiry: Expiry,
}

/// What one call is held to. Taken down when it is made; what runs out when is worked out once somebody has to wait.
///
/// Of two that run out at the same instant the caller's own is told, and then the narrower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    called: Instant,
    deadline: Option<Instant>,
    patience: Option<Duration>,
    limits: Held,
}

/// The limits for what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Stream { head: Option<Duration>, first_content: Option<Duration>, idle: Option<Duration>, total: Option<Duration> },
    Whole { total: Option<Duration> },
}

/// What runs out with a limit.
type Expires = fn(Duration) -> Expiry;

impl Terms {
    pub(crate) fn of(request: &LlmRequest, limits: &Limits, catalog: &Catalog, now: Instant) -> Self {
        let context = request.context();
        let output_tokens = request.max_output_tokens();
        let limits = if request.is_stream() {
            Held::Stream {
                head: limits.head.of(output_tokens),
                first_content: first_content_limit(request, limits, catalog, output_tokens),
                idle: limits.idle.of(output_tokens),
                total: limits.total.of(output_tokens),
            }
        } else {
            Held::Whole { total: limits.whole_answer.of(output_tokens) }
        };
        Self { called: now, deadline: context.deadline(), patience: context.read_timeout(), limits }
    }

    /// Whether the caller had stopped waiting before the call was made.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.called)
    }

    /// By when the head must be there.
    pub(crate) fn head(&self) -> Option<Due> {
        match self.limits {
            Held::Stream { head, first_content, idle: _, total } => self.since_call([
                (self.patience, Expiry::Patience),
                (head, Expiry::Head),
                (first_content, Expiry::FirstContent),
                (total, Expiry::Total),
            ]),
            Held::Whole { .. } => self.end(),
        }
    }

    /// Whether there is anything to keep once the head is there.
    pub(crate) fn is_any_left(&self) -> bool {
        self.first_content().is_some() || self.idle().is_some() || self.end().is_some()
    }

    /// By when the first content must be there.
    pub(crate) fn first_content(&self) -> Option<Due> {
        match self.limits {
            Held::Stream { head: _, first_content, idle: _, total } => {
                self.since_call([(first_content, Expiry::FirstContent), (total, Expiry::Total)])
            }
            Held::Whole { .. } => self.end(),
        }
    }

    /// How long the wait for more content may be, and what runs out then.
    pub(crate) fn idle(&self) -> Option<(Duration, Expiry)> {
        let Held::Stream { head: _, first_content: _, idle, total: _ } = self.limits else { return None };
        match self.patience {
            Some(patience) if idle.is_none_or(|idle| patience <= idle) => Some((patience, Expiry::Patience(patience))),
            Some(_) | None => idle.map(|idle| (idle, Expiry::Idle(idle))),
        }
    }

    /// What runs out first in a wait for more content that may go on until `until`.
    pub(crate) fn while_idle(&self, until: Instant) -> Option<Due> {
        let idle = self.idle().map(|(_, expiry)| Due { at: until, expiry });
        match (idle, self.end()) {
            (Some(idle), Some(end)) if end.at > idle.at || (end.at == idle.at && end.expiry != Expiry::Deadline) => {
                Some(idle)
            }
            (idle, end) => end.or(idle),
        }
    }

    /// By when all of it must be there.
    pub(crate) fn end(&self) -> Option<Due> {
        match self.limits {
            Held::Stream { head: _, first_content: _, idle: _, total } => self.since_call([(total, Expiry::Total)]),
            // The caller is sent nothing before all of it is there, although it may come here piece by piece.
            Held::Whole { total } => self.since_call([(self.patience, Expiry::Patience), (total, Expiry::WholeAnswer)]),
        }
    }

    /// The first of these to run out, or the deadline. What no clock will ever show runs out never.
    fn since_call<const N: usize>(&self, limits: [(Option<Duration>, Expires); N]) -> Option<Due> {
        let mut first: Option<(Duration, Expires)> = None;
        for (limit, expiry) in limits {
            if let Some(limit) = limit
                && first.is_none_or(|(earliest, _)| limit < earliest)
            {
                first = Some((limit, expiry));
            }
        }
        let first =
            first.and_then(|(limit, expiry)| Some(Due { at: self.called.checked_add(limit)?, expiry: expiry(limit) }));
        match self.deadline {
            Some(at) if first.is_none_or(|first| at <= first.at) => Some(Due { at, expiry: Expiry::Deadline }),
            Some(_) | None => first,
        }
    }
}

fn first_content_limit(
    request: &LlmRequest,
    limits: &Limits,
    catalog: &Catalog,
    output_tokens: Option<u64>,
) -> Option<Duration> {
    let usual = limits.first_content.of(output_tokens);
    // The catalogue is not asked where its answer would change nothing.
    if limits.first_content == limits.first_content_reasoning || !reasons(request, catalog) {
        return usual;
    }
    // Who gives all models more time means those that reason too. A limit that is switched off is the longest.
    usual.zip(limits.first_content_reasoning.of(output_tokens)).map(|(usual, reasoning)| usual.max(reasoning))
}

/// Whether the model reasons before it answers: as the request says, or as the catalogue says.
fn reasons(request: &LlmRequest, catalog: &Catalog) -> bool {
    let Payload::Chat(chat) = request.payload() else { return false };
    match (chat.thinking, &chat.reasoning_effort) {
        (Some(Thinking::Disabled), _) => false,
        (Some(Thinking::Adaptive | Thinking::Budget(_)), _) => true,
        (None, Some(effort)) => match effort {
            ReasoningEffort::None => false,
            ReasoningEffort::Minimal
            | ReasoningEffort::Low
            | ReasoningEffort::Medium
            | ReasoningEffort::High
            | ReasoningEffort::XHigh
            | ReasoningEffort::Max
            | ReasoningEffort::Other(_) => true,
        },
        (None, None) => {
            let target = request.target_or_model();
            let provider = Some(target.provider).filter(|provider| !provider.is_empty());
            let model = catalog.get(provider, target.model);
            model.and_then(|model| model.supports(Capability::Reasoning)) == Some(true)
        }
    }
}
