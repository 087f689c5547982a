//! Stream frames, read.

use std::{borrow::Cow, sync::Arc};

use llm_core::{
    ChoiceEvent, Dialect, Error, ErrorKind, Event, FinishReason, Frame, Json, Other, PartContent, ReasoningDelta,
    Start, ToolCallDelta, ToolCallKind,
};
use serde_json::value::RawValue;

use super::{
    answer::{decode_answer_content, finish_error},
    chunk::{Bounded, Choices, Chunk, ChunkChoice, Delta, Detail, Groq, MAX_ITEMS, ToolFragment},
    finish::decode_finish,
    tool::decode_id,
    tool_join::{Fragment, ToolCalls},
    usage::decode_usage,
};
use crate::{
    error::decode_in_band,
    json::{document, said, text, without_lone_surrogates},
    sse,
    stream_error::{error_event, frame_error, undecodable},
};

/// The most events of one frame, so that many choices of many fragments each are bounded too.
const MAX_EVENTS: usize = 8 * MAX_ITEMS;

/// Reads the frames of one stream, in order.
///
/// Fields that have no event are passed over; every frame carries its own bytes, so that a caller of this dialect
/// gets them all the same. Half a character, where a model's text was cut within one, is U+FFFD in the events.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    has_started: bool,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    is_finished: bool,
    // Whether the text of reasoning comes in a field of its own, so that `reasoning_details` only repeat it.
    has_plain_reasoning: bool,
    tool_calls: ToolCalls,
    /// Whether something has come in pieces.
    has_delta: bool,
}

impl StreamDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a frame. Comments and frames that mean nothing here have no events; `[DONE]` is the
    /// [last](Frame::is_last).
    ///
    /// # Errors
    /// The provider's own error where the frame holds one (an `error` object, an `error` event, a choice that finished
    /// with an error); [`ErrorKind::Undecodable`] for a frame that is no chunk of this dialect. Nothing that comes
    /// after it is part of an answer.
    pub fn decode(&mut self, frame: sse::Frame) -> Result<Frame, Error> {
        let sse::Frame { bytes, event, data } = frame;
        let data = data.as_deref().unwrap_or_default().trim_ascii();
        let mut events = Frame::default();
        match event.as_deref() {
            Some(b"error") => return Err(error_event(data)),
            _ if data.is_empty() => {}
            _ if data.starts_with(b"[DONE]") => events = events.last(),
            event => self.decode_data(data, event, &mut events)?,
        }
        Ok(events.with_wire(Dialect::OpenAi, bytes))
    }

    fn decode_data(&mut self, data: &[u8], event: Option<&[u8]>, events: &mut Frame) -> Result<(), Error> {
        // Checked once as a whole, and not string by string.
        let text = std::str::from_utf8(data).ok();
        let Some(chunk) = text.and_then(|text| serde_json::from_str::<Chunk<'_>>(text).ok()) else {
            return match without_lone_surrogates(data) {
                Some(mended) => self.decode_data(&mended, event, events),
                None => Err(frame_error(data)),
            };
        };
        let groq = chunk.x_groq.and_then(|raw| serde_json::from_str::<Groq<'_>>(raw.get()).ok()).unwrap_or_default();
        // `error: null` and `error: ""` are none.
        if (chunk.error.is_some() || chunk.choices.is_none())
            && let Some(error) = decode_in_band(data)
        {
            return Err(error);
        }
        if let Some(error) = groq.error.and_then(|raw| decode_in_band(format!(r#"{{"error":{raw}}}"#).as_bytes())) {
            return Err(error);
        }
        let is_other_event = event.is_some_and(|name| name != b"message");
        // Once an answer has begun, a chunk that says nothing is a sign of life.
        if chunk.choices.is_none() && chunk.usage.is_none() && !is_other_event && !self.has_started {
            return Err(undecodable());
        }
        self.start(&chunk, events);
        if let Some(Choices { first: Some(first), others }) = chunk.choices {
            self.decode_choice(0, first, events)?;
            for (place, raw) in (1..).zip(others) {
                let choice = serde_json::from_str(raw.get()).map_err(|_| undecodable())?;
                self.decode_choice(place, choice, events)?;
                if events.events().len() > MAX_EVENTS {
                    return Err(undecodable());
                }
            }
        }
        let usage = chunk.usage.or(groq.usage);
        if let Some(usage) = usage.and_then(|raw| decode_usage(raw.get())) {
            events.events_mut().push(ChoiceEvent { choice: 0, event: Event::Usage(usage) });
        }
        Ok(())
    }

    /// Azure opens its streams with a chunk that says nothing of the answer: the start is the first one that does.
    fn start(&mut self, chunk: &Chunk<'_>, events: &mut Frame) {
        if self.has_started {
            return;
        }
        let start = Start {
            id: said(chunk.id).map(Arc::from),
            model: said(chunk.model).map(Arc::from),
            created: chunk.created.and_then(|raw| raw.get().parse().ok()),
        };
        let has_choices = chunk.choices.as_ref().is_some_and(|choices| choices.first.is_some());
        if has_choices || start.id.is_some() {
            self.has_started = true;
            events.events_mut().push(ChoiceEvent { choice: 0, event: Event::Start(start) });
        }
    }

    fn decode_choice(&mut self, place: usize, choice: ChunkChoice<'_>, events: &mut Frame) -> Result<(), Error> {
        let index = choice.index.unwrap_or(place as u32);
        let state = self.state(index)?;
        let mut say = |event| events.events_mut().push(ChoiceEvent { choice: index, event });

        let is_whole = choice.delta.is_none();
        // Some servers end a stream with the whole of what they said in pieces.
        let is_repeated = is_whole && state.has_delta;
        state.has_delta |= !is_whole;
        let delta = match (choice.delta, choice.message) {
            (Some(delta), _) => delta,
            (None, Some(message)) if !is_repeated => serde_json::from_str(message.get()).map_err(|_| undecodable())?,
            (None, _) => Delta::default(),
        };
        let details = decode_details(delta.reasoning_details);
        // Some servers send both spellings with the same text. In a whole answer the details say which piece of it is
        // signed, in a stream they follow the piece.
        let plain = said(delta.reasoning_content).or_else(|| said(delta.reasoning));
        if let Some(text) = plain.filter(|_| !(is_whole && details.iter().any(is_kept))) {
            state.has_plain_reasoning = true;
            say(Event::Reasoning(ReasoningDelta::from(text.into_owned())));
        }
        for mut detail in details {
            if state.has_plain_reasoning {
                detail.text.clear();
            }
            if is_kept(&detail) || !detail.text.is_empty() {
                say(Event::Reasoning(detail));
            }
        }
        if let Some(content) = delta.content {
            decode_content(content, &mut say)?;
        }
        if let Some(text) = said(delta.refusal) {
            say(Event::Refusal(text.into_owned()));
        }
        for fragment in delta.tool_calls.into_iter().flat_map(|list| list.0) {
            say(Event::ToolCall(state.decode_tool(fragment)?));
        }
        if let Some(called) = delta.function_call {
            let fragment = ToolFragment { index: Some(0), id: None, function: Some(called), custom: None };
            say(Event::ToolCall(state.decode_tool(fragment)?));
        }
        if let Some(logprobs) = choice.logprobs {
            say(Event::Logprobs(Json::from(logprobs)));
        }
        // No reason, and a reason repeated beside the usage report, are no end.
        let name = choice.finish_reason.map(decode_text).transpose()?.unwrap_or_default();
        let finish = if name.is_empty() { None } else { decode_finish(&name, !state.tool_calls.is_empty()) };
        match finish {
            Some(FinishReason::Error) => return Err(finish_error(&name, choice.error.map(RawValue::get))),
            Some(reason) if !state.is_finished => {
                state.is_finished = true;
                say(Event::Finish(reason));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn state(&mut self, index: u32) -> Result<&mut ChoiceState, Error> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() == MAX_ITEMS => return Err(undecodable()),
            None => {
                self.choices.push(ChoiceState { index, ..ChoiceState::default() });
                self.choices.len() - 1
            }
        };
        Ok(&mut self.choices[at])
    }
}

impl ChoiceState {
    fn decode_tool(&mut self, fragment: ToolFragment<'_>) -> Result<ToolCallDelta, Error> {
        let kind = if fragment.custom.is_some() { ToolCallKind::Custom } else { ToolCallKind::Function };
        let called = fragment.custom.or(fragment.function).unwrap_or_default();
        let id = fragment.id.and_then(call_id);
        let id = id.as_deref().and_then(decode_id);
        let name = said(called.name);
        let found = Fragment { number: fragment.index, id, name: name.as_deref() };
        let index = self.tool_calls.find(found)?;
        let arguments = match (called.arguments, called.input) {
            (Some(raw), _) => decode_arguments(raw)?,
            (None, input) => said(input).map(Cow::into_owned).unwrap_or_default(),
        };
        let name = name.map(Cow::into_owned);
        Ok(ToolCallDelta { index, id: id.map(str::to_owned), name, arguments, kind })
    }
}

/// Whether a provider has to recognise it when it comes back.
fn is_kept(delta: &ReasoningDelta) -> bool {
    delta.signature.is_some() || delta.redacted.is_some()
}

/// Reads `reasoning_details`; what is no list of them is passed over.
fn decode_details(raw: Option<&RawValue>) -> Vec<ReasoningDelta> {
    let list = raw.and_then(|raw| serde_json::from_str::<Bounded<Detail<'_>>>(raw.get()).ok());
    let details = list.into_iter().flat_map(|list| list.0).map(|detail| ReasoningDelta {
        text: said(detail.text).or_else(|| said(detail.summary)).unwrap_or_default().into_owned(),
        signature: said(detail.signature).map(Cow::into_owned),
        redacted: said(detail.data).map(Cow::into_owned),
    });
    details.collect()
}

fn decode_content(raw: &RawValue, say: &mut impl FnMut(Event)) -> Result<(), Error> {
    if raw.get().starts_with('"') {
        let text = decode_text(raw)?;
        if !text.is_empty() {
            say(Event::Text(text));
        }
        return Ok(());
    }
    for part in decode_answer_content(&document(raw.get().as_bytes(), ErrorKind::Undecodable)?.value()?)? {
        match part.content {
            PartContent::Text(text) => say(Event::Text(text)),
            PartContent::Refusal(text) => say(Event::Refusal(text)),
            PartContent::Reasoning(reasoning) => say(Event::Reasoning(ReasoningDelta::from(reasoning.text))),
            PartContent::Other(Other { kind, json }) => say(Event::Other(Other { kind, json })),
            PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolCall(_)
            | PartContent::ToolResult(_) => {}
        }
    }
    Ok(())
}

fn decode_arguments(raw: &RawValue) -> Result<String, Error> {
    if raw.get().starts_with('"') { decode_text(raw) } else { Ok(raw.get().to_owned()) }
}

/// The id of a tool call, which some servers send as a number.
fn call_id(raw: &RawValue) -> Option<Cow<'_, str>> {
    let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number { Some(raw.get().into()) } else { said(Some(raw)) }
}

fn decode_text(raw: &RawValue) -> Result<String, Error> {
    text(raw).map(Cow::into_owned).ok_or_else(undecodable)
}
