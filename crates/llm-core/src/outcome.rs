//! How a call ended, and how far it came.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    ChoiceEvent, Error, Event, FinishReason, Frame, Output, PartContent, Payload, TextCount, TokenFamily, Usage,
    estimate_prompt,
};

/// How a call ended. Known when its stream has ended, and reported once to everyone who observes it.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The answer is whole.
    Complete(&'a Progress),
    /// The call failed, before or in the middle of the answer.
    Failed(&'a Progress, &'a Error),
    /// Nobody wanted the rest: the future or the body was dropped.
    Abandoned(&'a Progress),
}

impl<'a> Outcome<'a> {
    /// How far the call came.
    pub fn progress(&self) -> &'a Progress {
        match self {
            Self::Complete(progress) | Self::Failed(progress, _) | Self::Abandoned(progress) => progress,
        }
    }

    /// What went wrong, if something did.
    pub fn error(&self) -> Option<&'a Error> {
        match self {
            Self::Failed(_, error) => Some(error),
            Self::Complete(_) | Self::Abandoned(_) => None,
        }
    }

    /// The outcome for the record of a call's attempts.
    pub fn to_end(&self) -> crate::AttemptEnd {
        match self {
            Self::Complete(_) => crate::AttemptEnd::Complete,
            Self::Failed(_, error) => crate::AttemptEnd::Failed(error.kind()),
            Self::Abandoned(_) => crate::AttemptEnd::Abandoned,
        }
    }
}

/// Something that wants to know how a call goes, without being in its way.
///
/// Attach one with [`Body::observe`](crate::Body::observe), or with [`watch`](crate::watch) from the call's very
/// beginning. Observers run where the stream is polled or dropped, so they must not block. Those attached first (by
/// the innermost layers) run first.
pub trait Observer: Send + 'static {
    /// A frame passes.
    fn on_frame(&mut self, frame: &Frame, progress: &Progress) {
        let _ = (frame, progress);
    }

    /// The first content has come: from now on the call cannot be made again unseen.
    fn on_content(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// The call is over. Called exactly once.
    fn on_end(&mut self, outcome: &Outcome<'_>);
}

/// How far a call has come: counts, instants and usage, worked out once for all observers.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    first_content: Option<Instant>,
    ended: Option<Instant>,
    frames: u64,
    content_events: u64,
    finish: Option<FinishReason>,
    reported: Option<Usage>,
    settled: Option<Usage>,
    text: TextCount,
    from_cache: bool,
    prompt: Option<Prompt>,
}

/// What was asked, for the case that nobody reports what it used.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    pub(crate) payload: Arc<Payload>,
    pub(crate) family: TokenFamily,
}

impl Progress {
    /// When the first content came.
    pub fn first_content(&self) -> Option<Instant> {
        self.first_content
    }

    /// When the call ended; absent while it has not.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// How many frames came.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How many pieces of content came.
    pub fn content_events(&self) -> u64 {
        self.content_events
    }

    /// Why the answer ended, as the provider says; with several choices, the last one's reason.
    pub fn finish(&self) -> Option<&FinishReason> {
        self.finish.as_ref()
    }

    /// True when the answer came out of a cache, so that no provider was paid for it.
    pub fn is_from_cache(&self) -> bool {
        self.from_cache
    }

    /// The tokens used: what the provider reported, or else an estimate from what was sent and received.
    ///
    /// A report of no output for an answer that had some is no report. Before the end this is the usage so far.
    pub fn usage(&self) -> Usage {
        self.settled.unwrap_or_else(|| self.work_out_usage())
    }

    fn work_out_usage(&self) -> Usage {
        let is_believable = |usage: &Usage| usage.output > 0 || self.content_events == 0;
        match self.reported {
            Some(usage) if !usage.is_zero() && is_believable(&usage) => usage,
            reported => {
                let family = self.prompt.as_ref().map(|prompt| prompt.family).unwrap_or_default();
                let estimated_input =
                    || self.prompt.as_ref().map_or(0, |prompt| estimate_prompt(&prompt.payload, prompt.family).likely);
                let mut usage = reported.unwrap_or_default();
                if usage.input == 0 {
                    usage.input = estimated_input();
                }
                usage.output = usage.output.max(self.text.likely(family));
                usage.provenance = crate::Provenance::Estimated;
                usage
            }
        }
    }

    pub(crate) fn of_prompt(prompt: Prompt) -> Self {
        Self { prompt: Some(prompt), ..Self::default() }
    }

    pub(crate) fn set_prompt(&mut self, prompt: Prompt) {
        self.prompt = Some(prompt);
    }

    pub(crate) fn set_from_cache(&mut self) {
        self.from_cache = true;
    }

    /// Whether the answer can no longer be taken back: content or a finish reason has come.
    pub(crate) fn is_committed(&self) -> bool {
        self.first_content.is_some() || self.finish.is_some()
    }

    pub(crate) fn end_at(&mut self, now: Instant) {
        self.ended = Some(now);
        self.settled = Some(self.work_out_usage());
    }

    /// Takes note of a frame; true if it brought the first content.
    pub(crate) fn see_frame(&mut self, frame: &Frame) -> bool {
        self.frames += 1;
        let had_content = self.content_events > 0;
        for ChoiceEvent { event, .. } in frame.events() {
            self.see_event(event);
        }
        let is_first = !had_content && self.content_events > 0;
        if is_first {
            self.first_content = Some(Instant::now());
        }
        is_first
    }

    fn see_event(&mut self, event: &Event) {
        self.content_events += u64::from(event.is_content());
        match event {
            Event::Text(text) | Event::Refusal(text) => self.text.add(text),
            Event::Reasoning(delta) => self.text.add(&delta.text),
            Event::ToolCall(delta) => {
                if let Some(name) = &delta.name {
                    self.text.add(name);
                }
                self.text.add(&delta.arguments);
            }
            Event::Usage(usage) => self.reported.get_or_insert_default().merge(usage),
            Event::Finish(reason) => self.finish = Some(reason.clone()),
            Event::Start(_) | Event::Logprobs(_) | Event::Other(_) => {}
        }
    }

    /// The progress of an answer that was whole when it came.
    pub(crate) fn see_output(&mut self, output: &Output, at: Instant) {
        self.frames = 1;
        self.reported = output.usage().copied();
        match output {
            Output::Chat(chat) => {
                for choice in &chat.choices {
                    self.finish = choice.finish.clone().or(self.finish.take());
                    for part in &choice.parts {
                        self.see_part(&part.content);
                    }
                }
            }
            Output::Embed(embed) => self.content_events = embed.vectors.len() as u64,
        }
        if self.content_events > 0 {
            self.first_content = Some(at);
        }
        // An embedding has no output tokens: its report is believable as it is.
        match output {
            Output::Embed(embed) if embed.usage.is_some_and(|usage| !usage.is_zero()) => {
                self.ended = Some(at);
                self.settled = embed.usage;
            }
            _ => self.end_at(at),
        }
    }

    fn see_part(&mut self, content: &PartContent) {
        match content {
            PartContent::Text(text) | PartContent::Refusal(text) => {
                self.content_events += u64::from(!text.is_empty());
                self.text.add(text);
            }
            PartContent::Reasoning(reasoning) => {
                self.content_events += u64::from(!reasoning.text.is_empty() || reasoning.redacted.is_some());
                self.text.add(&reasoning.text);
            }
            PartContent::ToolCall(call) => {
                self.content_events += 1;
                self.text.add(&call.name);
                self.text.add(&call.arguments);
            }
            _ => self.content_events += 1,
        }
    }
}
