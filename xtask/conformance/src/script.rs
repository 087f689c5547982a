//! What a case does: who asks what, what the provider does, and when the caller leaves.

use std::time::Duration;

use llm_core::{Error, ErrorKind, LlmRequest};
use llm_test::{Answer, Frames};

use crate::{
    order::Order,
    stack::{MODEL, Settings},
};

/// Calls that are made one after the other through one stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The order of the layers.
    pub order: Order,
    /// Their settings.
    pub settings: Settings,
    /// The calls.
    pub asks: Vec<Ask>,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Which question. Of two equal ones the second may be answered by what the first was.
    pub question: u64,
    /// Whether a stream is asked for.
    pub streamed: bool,
    /// How many further calls are allowed.
    pub allowance: u32,
    /// Whether the provider is ever ready.
    pub ready: bool,
    /// What the provider does when it is called, one for each call; then it answers.
    pub plays: Vec<Play>,
    /// How long the caller waits for the head.
    pub leaves: Option<Duration>,
    /// How many pieces of content the caller reads of a stream before it leaves.
    pub reads: Option<usize>,
}

/// What the provider does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Play {
    /// How long that takes to begin.
    pub after: Duration,
    /// How far apart the frames of a stream are.
    pub spacing: Duration,
    /// What it is.
    pub act: Act,
}

/// How a call of the provider goes. Of a whole answer nothing comes before all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It answers.
    Answer,
    /// It fails with this.
    Fail(ErrorKind),
    /// Its stream breaks off before content.
    CutEarly,
    /// Its stream breaks off after content, or fails with this.
    Cut(Option<ErrorKind>),
    /// It never answers.
    Hang,
}

/// How many words of an answer come before it is cut.
pub const WORDS_BEFORE_CUT: usize = 2;

impl Ask {
    /// A question that is allowed two further calls, of a provider that answers, by a caller who stays.
    pub fn new(question: u64, streamed: bool) -> Self {
        Self { question, streamed, allowance: 2, ready: true, plays: Vec::new(), leaves: None, reads: None }
    }

    /// With this before the provider answers.
    pub fn plays(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        let at_once = |act| Play { after: Duration::ZERO, spacing: Duration::ZERO, act };
        self.plays = acts.into_iter().map(at_once).collect();
        self
    }

    /// By a caller who waits so many milliseconds for the head.
    pub fn leaves(mut self, millis: u64) -> Self {
        self.leaves = Some(Duration::from_millis(millis));
        self
    }

    /// By a caller who reads so much.
    pub fn reads(mut self, pieces: usize) -> Self {
        self.reads = Some(pieces);
        self
    }

    /// Of a provider that never gets ready.
    pub fn never_ready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// What the provider does at its call of this number.
    pub fn play(&self, number: usize) -> Play {
        let answers = Play { after: Duration::ZERO, spacing: Duration::ZERO, act: Act::Answer };
        self.plays.get(number).copied().unwrap_or(answers)
    }

    /// What the provider says at its call of this number. No two calls of a question say the same.
    pub fn text(&self, number: usize) -> String {
        format!("call {number} says why so")
    }

    /// The request.
    pub fn request(&self) -> LlmRequest {
        let text = format!("Question {}: why is it so?", self.question);
        let chat = LlmRequest::chat(MODEL).user(text).temperature(0.0).max_output_tokens(1_000);
        let request = if self.streamed { chat.stream().build() } else { chat.build() };
        request.context().set_allowance(self.allowance);
        request
    }

    /// What the probe does at its calls.
    pub fn answers(&self) -> impl Iterator<Item = Answer> {
        // As many as the largest allowance, and one more, which must never be seen.
        let calls = 0..self.plays.len().max(self.allowance as usize + 2);
        calls.map(|number| self.play(number).answer(self.streamed, &self.text(number)))
    }
}

impl Play {
    fn answer(&self, streamed: bool, text: &str) -> Answer {
        let fail = |kind| Answer::fail(Error::new(kind, "the scripted failure"));
        let stream = |frames: Frames| Answer::stream(frames);
        let cut = || Frames::cut(&words(text, WORDS_BEFORE_CUT)).spaced(self.spacing);
        let answer = match (self.act, streamed) {
            (Act::Answer, true) => stream(Frames::answer(text).spaced(self.spacing)),
            (Act::Answer, false) => Answer::text(text),
            (Act::Fail(kind) | Act::Cut(Some(kind)), false) | (Act::Fail(kind), true) => fail(kind),
            (Act::CutEarly, true) => stream(Frames::new().start().spaced(self.spacing)),
            (Act::CutEarly | Act::Cut(None), false) => fail(ErrorKind::Interrupted),
            (Act::Cut(None), true) => stream(cut()),
            (Act::Cut(Some(kind)), true) => stream(cut().fail(Error::new(kind, "the scripted failure"))),
            (Act::Hang, _) => Answer::hang(),
        };
        answer.after(self.after)
    }
}

/// The first words of a text.
pub fn words(text: &str, count: usize) -> String {
    text.split_inclusive(' ').take(count).collect()
}
