//! What a model answers: invented once, then told whole or in pieces.

mod choice;
mod prose;
mod tools;
mod vectors;

use std::sync::Arc;

use llm_core::{
    Accumulator, Chat, ChoiceEvent, Dialect, Embed, EmbedOutput, Event, FinishReason, Frame, Json, Other, Output,
    Start, TokenFamily, Usage, estimate_prompt,
};

use self::choice::Spoken;
use crate::{ModelConfig, plan::Asked, prompt_cache::Caching, seed::Seed};

/// The time that simulated answers were made: fixed, because the same seed gives the same bytes. Answers of one model
/// are a second apart.
pub(crate) const CREATED: u64 = 1_750_000_000;

/// An answer to a chat, token by token.
pub(crate) struct Answer {
    start: Start,
    choices: Vec<Spoken>,
    usage: Usage,
}

/// Invents the answer to a chat. `call` is the number of the call: it makes the answer's id, nothing else.
pub(crate) fn to_chat(
    model: &ModelConfig,
    chat: &Chat,
    asked: &Asked<'_>,
    caching: &Caching,
    seed: &Seed,
    call: u64,
) -> Answer {
    let seed = seed.with("answer").with(&model.name).with_payload(asked.payload);
    let limit = match (chat.max_output_tokens, asked.output_ceiling) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let count = u64::from(chat.n.map_or(1, |n| n.get()));
    let choices: Vec<_> = (0..count).map(|choice| Spoken::new(model, chat, limit, &seed.with_number(choice))).collect();
    let usage = caching.told_in(Usage {
        reasoning: choices.iter().map(Spoken::reasoning_tokens).sum(),
        ..Usage::reported(prompt_tokens(model, asked), choices.iter().map(Spoken::tokens).sum())
    });
    let prefix = if is_anthropic(chat) { "msg_" } else { "chatcmpl-" };
    let start = Start {
        id: Some(Arc::from(format!("{prefix}{:016x}", seed.with_number(call).number()))),
        model: Some(Arc::from(model.name.as_str())),
        created: Some(CREATED + call),
    };
    Answer { start, choices, usage }
}

/// Whether the caller speaks Anthropic's dialect, in which ids look different and thinking has to be asked for.
fn is_anthropic(chat: &Chat) -> bool {
    chat.dialect == Some(Dialect::Anthropic)
}

/// The tokens of a prompt, as the simulated provider counts and charges them.
pub(crate) fn prompt_tokens(model: &ModelConfig, asked: &Asked<'_>) -> u64 {
    estimate_prompt(asked.payload, TokenFamily::of(&model.name)).likely
}

/// Makes the vectors that are asked for.
pub(crate) fn to_embed(model: &ModelConfig, embed: &Embed, asked: &Asked<'_>, seed: &Seed) -> EmbedOutput {
    let dimensions = embed.dimensions.or(model.dimensions).unwrap_or(1);
    let seed = seed.with("embedding").with(&model.name);
    EmbedOutput {
        vectors: embed.input.iter().map(|input| vectors::vector(input, dimensions as usize, &seed)).collect(),
        usage: Some(Usage::reported(prompt_tokens(model, asked), 0)),
        ..EmbedOutput::default()
    }
}

impl Answer {
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// All tokens of all choices.
    pub(crate) fn tokens(&self) -> u64 {
        self.choices.iter().map(Spoken::tokens).sum()
    }

    /// How long the longest choice is: all are made at the same time.
    pub(crate) fn rounds(&self) -> u64 {
        self.choices.iter().map(Spoken::tokens).max().unwrap_or(0)
    }

    /// The frames of each round: one token of each choice that has one left.
    pub(crate) fn content(&self) -> impl Iterator<Item = Vec<Frame>> {
        (0..self.rounds() as usize).map(|round| {
            let pieces =
                (0..).zip(&self.choices).filter_map(|(index, spoken)| Some((index, spoken.pieces.get(round)?)));
            pieces.map(|(choice, event)| frame(choice, event.clone())).collect()
        })
    }

    /// What follows the content: why each choice ended, the usage, and the terminal frame.
    pub(crate) fn ending(&self) -> impl Iterator<Item = Frame> {
        let reason = |(choice, spoken): (u32, &Spoken)| {
            let met = spoken.met.as_ref().and_then(|stop| Json::from_value(stop).ok());
            let met = met.map(|json| Event::Other(Other { kind: "stop_sequence".into(), json }));
            let events = met.into_iter().chain([Event::Finish(spoken.finish.clone())]);
            Frame::new(events.map(|event| ChoiceEvent { choice, event }))
        };
        let ending = [Frame::event(Event::Usage(self.usage)), Frame::default().last()];
        (0..).zip(&self.choices).map(reason).chain(ending)
    }

    /// The same told at once.
    pub(crate) fn whole(&self) -> Output {
        let mut whole = Accumulator::new();
        whole.push(Frame::event(Event::Start(self.start.clone())));
        for frame in self.content().flatten().chain(self.ending()) {
            whole.push(frame);
        }
        Output::Chat(whole.finish())
    }
}

fn frame(choice: u32, event: Event) -> Frame {
    Frame::new([ChoiceEvent { choice, event }])
}

/// Why a choice ends that was cut to `limit`.
fn finish_within(pieces: &mut Vec<Event>, limit: Option<u64>, otherwise: FinishReason) -> FinishReason {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if pieces.len() <= limit {
        return otherwise;
    }
    pieces.truncate(limit);
    FinishReason::Length
}
