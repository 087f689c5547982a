//! How a call ended, and how far it came.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    ChoiceEvent, Error, Event, FinishReason, Frame, LlmRequest, Output, PartContent, Payload, Provenance, TextCount,
    TokenEstimate, TokenFamily, Usage, estimate_prompt,
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
    choices: Choices,
    reported: Option<Usage>,
    // The provider had nothing more to add when it reported.
    report_is_final: bool,
    // Before the end it is the usage so far that is asked for.
    billed: Billed,
    told: Option<Usage>,
    text: TextCount,
    is_unpaid: bool,
    prompt: Option<Prompt>,
}

/// Which choices have begun, and whether they have finished. Nearly always there is one.
#[derive(Clone, Debug, Default)]
struct Choices(SmallVec<[(u32, bool); 2]>);

impl Choices {
    fn see(&mut self, index: u32, finishes: bool) {
        match self.0.iter_mut().find(|(known, _)| *known == index) {
            Some((_, finished)) => *finished |= finishes,
            None => self.0.push((index, finishes)),
        }
    }

    fn are_finished(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, finished)| *finished)
    }
}

/// What was asked, for the case that nobody reports what it used.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    payload: Arc<Payload>,
    family: TokenFamily,
    // All answers together. The provider is told, so it makes no more, whatever a text seems to come to.
    most_output: u64,
    // Counted when it is first needed, and then never again.
    tokens: OnceLock<u64>,
}

impl Prompt {
    pub(crate) fn new(request: &LlmRequest, model: &str) -> Self {
        let payload = request.shared_payload();
        let answers = match &*payload {
            Payload::Chat(chat) => chat.n.map_or(1, |n| u64::from(n.get())),
            Payload::Embed(_) | Payload::CountTokens(_) => 1,
        };
        let most_output = request.max_output_tokens().map_or(u64::MAX, |most| most.saturating_mul(answers));
        Self { payload, family: TokenFamily::of(model), most_output, tokens: OnceLock::new() }
    }

    fn tokens(&self) -> u64 {
        *self.tokens.get_or_init(|| match &*self.payload {
            Payload::Chat(_) | Payload::Embed(_) => estimate_prompt(&self.payload, self.family).likely,
            // Counting is free.
            Payload::CountTokens(_) => 0,
        })
    }
}

/// How a call ended, as far as that decides what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Billed {
    /// For the whole answer: what was reported holds.
    Whole,
    /// For what came until it ended, or has come so far.
    #[default]
    SoFar,
    /// Not at all, unless something came: no provider took the call on.
    Nothing,
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

    /// True when no provider was paid for the answer: it came out of a cache, or a fallback made it up. Its
    /// [`usage`](Self::usage) then says what it would have been.
    pub fn is_unpaid(&self) -> bool {
        self.is_unpaid
    }

    /// The tokens used: what the provider reported, or else an estimate from what was sent and received.
    ///
    /// A report of no output for an answer that had some is no report, and one from the middle of an answer that was
    /// then cut or abandoned does not count for less than what came after it. An estimate is never above the most output that
    /// was asked for. A call that no provider took on used
    /// nothing. Before the end this is the usage so far.
    pub fn usage(&self) -> Usage {
        // Worked out when somebody asks: most who watch a call only want to know how it ended.
        self.told.unwrap_or_else(|| self.work_out_usage(self.billed))
    }

    /// The output tokens so far: what was reported, or what came where that is more. Worked out without a look at the
    /// prompt, so that it may be asked for with every frame.
    pub fn output(&self) -> TokenEstimate {
        let family = self.prompt.as_ref().map(|prompt| prompt.family).unwrap_or_default();
        let reported = self.reported.map_or(0, |usage| usage.output);
        let TokenEstimate { likely, bound } = self.text.estimate(family);
        TokenEstimate { likely: likely.max(reported), bound: bound.max(reported) }
    }

    fn work_out_usage(&self, billed: Billed) -> Usage {
        let reported = self.reported.unwrap_or_default();
        if billed == Billed::Whole && reported.output > 0 {
            return reported;
        }
        if billed == Billed::Nothing && self.content_events == 0 && reported.is_zero() {
            return Usage::estimated(0, 0);
        }
        let family = self.prompt.as_ref().map(|prompt| prompt.family).unwrap_or_default();
        let most = self.prompt.as_ref().map_or(u64::MAX, |prompt| prompt.most_output);
        let estimated = self.text.likely(family).min(most);
        let is_believable = !reported.is_zero() && (reported.output > 0 || estimated == 0);
        let is_final = billed == Billed::Whole || self.report_is_final;
        if is_believable && (is_final || estimated <= reported.output) {
            return reported;
        }
        let mut usage = reported;
        if usage.input == 0 {
            usage.input = self.prompt.as_ref().map_or(0, Prompt::tokens);
        }
        usage.output = usage.output.max(estimated);
        usage.provenance = Provenance::Estimated;
        usage
    }

    pub(crate) fn of_prompt(prompt: Option<Prompt>) -> Self {
        Self { prompt, ..Self::default() }
    }

    /// The progress of another stream of the same answer, at its beginning.
    pub(crate) fn beginning(&self) -> Self {
        Self { prompt: self.prompt.clone(), is_unpaid: self.is_unpaid, ..Self::default() }
    }

    pub(crate) fn set_prompt(&mut self, prompt: Prompt) {
        self.prompt = Some(prompt);
    }

    pub(crate) fn set_unpaid(&mut self) {
        self.is_unpaid = true;
    }

    /// Whether the answer can no longer be taken back: content or a finish reason has come.
    pub(crate) fn is_committed(&self) -> bool {
        self.first_content.is_some() || self.finish.is_some()
    }

    /// Whether every choice that has begun has finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.choices.are_finished()
    }

    pub(crate) fn end_at(&mut self, now: Instant, billed: Billed) {
        self.ended = Some(now);
        self.billed = billed;
    }

    /// What the error says was used counts, where it does; what a provider refused, nobody pays for.
    pub(crate) fn fail_at(&mut self, now: Instant, error: &Error) {
        let billed = if error.kind().may_be_billed() { Billed::SoFar } else { Billed::Nothing };
        self.end_at(now, billed);
        if let Some(told) = error.usage() {
            self.told = Some(*told);
        }
    }

    /// Takes note of a frame; true if it brought the first content.
    pub(crate) fn see_frame(&mut self, frame: &Frame) -> bool {
        self.frames += 1;
        let had_content = self.content_events > 0;
        let mut has_report = false;
        for ChoiceEvent { choice, event } in frame.events() {
            has_report |= matches!(event, Event::Usage(_));
            self.see_event(*choice, event);
        }
        if has_report {
            self.report_is_final = self.is_finished();
        }
        let is_first = !had_content && self.content_events > 0;
        if is_first {
            self.first_content = Some(Instant::now());
        }
        is_first
    }

    fn see_event(&mut self, choice: u32, event: &Event) {
        if event.is_content() {
            self.content_events += 1;
            self.choices.see(choice, false);
        }
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
            Event::Finish(reason) => {
                self.choices.see(choice, true);
                self.finish = Some(reason.clone());
            }
            Event::Start(_) | Event::Logprobs(_) | Event::Other(_) => {}
        }
    }

    /// The progress of an answer that was whole when it came.
    pub(crate) fn see_output(&mut self, output: &Output, at: Instant) {
        self.frames = 1;
        self.reported = output.usage().copied();
        // A report of the output of a whole answer holds, so nobody needs to count it.
        let is_counted = self.reported.is_none_or(|usage| usage.output == 0);
        match output {
            Output::Chat(chat) => {
                for choice in &chat.choices {
                    self.finish = choice.finish.clone().or(self.finish.take());
                    for part in &choice.parts {
                        self.see_part(&part.content);
                        if is_counted {
                            self.count_part(&part.content);
                        }
                    }
                }
            }
            Output::Embed(embed) => self.content_events = embed.vectors.len() as u64,
            Output::TokenCount(_) => self.content_events = 1,
        }
        if self.content_events > 0 {
            self.first_content = Some(at);
        }
        self.end_at(at, Billed::Whole);
    }

    fn see_part(&mut self, content: &PartContent) {
        let has_content = match content {
            PartContent::Text(text) | PartContent::Refusal(text) => !text.is_empty(),
            PartContent::Reasoning(reasoning) => !reasoning.text.is_empty() || reasoning.redacted.is_some(),
            PartContent::ToolCall(_)
            | PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => true,
        };
        self.content_events += u64::from(has_content);
    }

    fn count_part(&mut self, content: &PartContent) {
        match content {
            PartContent::Text(text) | PartContent::Refusal(text) => self.text.add(text),
            PartContent::Reasoning(reasoning) => self.text.add(&reasoning.text),
            PartContent::ToolCall(call) => {
                self.text.add(&call.name);
                self.text.add(&call.arguments);
            }
            PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => {}
        }
    }
}
