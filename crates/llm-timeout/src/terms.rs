//! The instants by which one call must have come to something. Pure: the time is passed in.

use std::{borrow::Cow, time::Duration};

use llm_core::{
    ErrorKind, LlmRequest, Payload, Phase, ReasoningEffort, Thinking,
    catalog::{Capability, Catalog},
};
use tokio::time::Instant;

use crate::{Limit, Limits};

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
            Self::Patience(limit) => ("nothing to send to the caller, whose client waits no longer,", limit),
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

/// What one call is held to, worked out when it is made.
///
/// Of two that run out at the same instant the caller's own is told, and then the narrower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// By when the head must be there.
    pub(crate) head: Option<Due>,
    /// By when the first content must be there.
    pub(crate) first_content: Option<Due>,
    /// How long the wait for more content may be, and what runs out then.
    pub(crate) idle: Option<(Duration, Expiry)>,
    /// By when all of it must be there.
    pub(crate) end: Option<Due>,
}

impl Terms {
    pub(crate) fn of(request: &LlmRequest, limits: &Limits, catalog: &Catalog, now: Instant) -> Self {
        let context = request.context();
        let output_tokens = [max_output_tokens(request), context.output_ceiling()].into_iter().flatten().min();
        let time_of = |limit: Limit| limit.of(output_tokens);
        let deadline = context.deadline().map(|at| Due { at, expiry: Expiry::Deadline });
        let patience = context.read_timeout();
        let after = |limit: Option<Duration>, expiry: fn(Duration) -> Expiry| {
            limit.and_then(|limit| Some(Due { at: now.checked_add(limit)?, expiry: expiry(limit) }))
        };
        let head_patience = after(patience, Expiry::Patience);

        if !request.is_stream() {
            let total = after(time_of(limits.whole_answer), Expiry::WholeAnswer);
            let end = first([deadline, total]);
            return Self { head: first([deadline, head_patience, total]), first_content: end, idle: None, end };
        }

        let head = after(time_of(limits.head), Expiry::Head);
        let first_content = after(time_of(first_content_limit(request, limits, catalog)), Expiry::FirstContent);
        let total = after(time_of(limits.total), Expiry::Total);
        let idle = time_of(limits.idle);
        Self {
            head: first([deadline, head_patience, head, first_content, total]),
            first_content: first([deadline, first_content, total]),
            idle: match patience {
                Some(patience) if idle.is_none_or(|idle| patience <= idle) => {
                    Some((patience, Expiry::Patience(patience)))
                }
                Some(_) | None => idle.map(|idle| (idle, Expiry::Idle(idle))),
            },
            end: first([deadline, total]),
        }
    }

    /// What runs out first in a wait for more content, if that may go on until `at`.
    pub(crate) fn while_idle(&self, at: Option<Instant>) -> Option<Due> {
        let idle = self.idle.and_then(|(_, expiry)| Some(Due { at: at?, expiry }));
        match self.end {
            Some(Due { expiry: Expiry::Deadline, .. }) => first([self.end, idle]),
            Some(_) | None => first([idle, self.end]),
        }
    }
}

/// The earliest; of equals the first one.
fn first<const N: usize>(dues: [Option<Due>; N]) -> Option<Due> {
    dues.into_iter().flatten().min_by_key(|due| due.at)
}

fn max_output_tokens(request: &LlmRequest) -> Option<u64> {
    match request.payload() {
        Payload::Chat(chat) => chat.max_output_tokens,
        Payload::Embed(_) | Payload::CountTokens(_) => None,
    }
}

fn first_content_limit(request: &LlmRequest, limits: &Limits, catalog: &Catalog) -> Limit {
    // The catalogue is not asked where its answer would change nothing.
    if limits.first_content == limits.first_content_reasoning || !reasons(request, catalog) {
        limits.first_content
    } else {
        limits.first_content_reasoning
    }
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
