//! Frames folded into a whole answer, and a whole answer unfolded into a frame.

use std::collections::BTreeMap;

use crate::{
    ChatOutput, Choice, ChoiceEvent, Event, Frame, Json, Output, Part, PartContent, Reasoning, ReasoningDelta,
    ToolCall, ToolCallDelta,
};

/// Folds the frames of a stream into the whole answer.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    output: ChatOutput,
    // For each tool call, by its choice and its index in the stream: its place among the choice's parts.
    tool_calls: BTreeMap<(u32, u32), usize>,
    // Of each choice. They come as objects of lists, `{"content": [..], "refusal": [..]}`, and each piece goes on where
    // the last one ended.
    logprobs: BTreeMap<u32, BTreeMap<String, Option<Vec<Json>>>>,
}

impl Accumulator {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a frame says.
    pub fn push(&mut self, frame: Frame) {
        for ChoiceEvent { choice, event } in frame.into_events() {
            self.push_event(choice, event);
        }
    }

    /// The answer, its choices in the order of their indices.
    pub fn finish(mut self) -> ChatOutput {
        for (choice, lists) in std::mem::take(&mut self.logprobs) {
            self.choice(choice).logprobs = Json::from_value(&lists).ok();
        }
        self.output.choices.sort_by_key(|choice| choice.index);
        self.output
    }

    fn push_event(&mut self, choice: u32, event: Event) {
        match event {
            Event::Start(start) => {
                let known = &mut self.output.start;
                known.id = known.id.take().or(start.id);
                known.model = known.model.take().or(start.model);
                known.created = known.created.or(start.created);
            }
            Event::Usage(usage) => self.output.usage.get_or_insert_default().merge(&usage),
            Event::Text(text) => self.push_text(choice, text),
            Event::Refusal(text) => self.push_refusal(choice, text),
            Event::Reasoning(delta) => self.push_reasoning(choice, delta),
            Event::ToolCall(delta) => self.push_tool_call(choice, delta),
            Event::Logprobs(json) => self.push_logprobs(choice, json),
            Event::Finish(reason) => self.choice(choice).finish = Some(reason),
            Event::Other(other) => self.choice(choice).extra.insert(other.kind, other.json),
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.output.choices;
        let at = choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            choices.push(Choice { index, ..Choice::default() });
            choices.len() - 1
        });
        &mut choices[at]
    }

    fn push_text(&mut self, choice: u32, text: String) {
        let parts = &mut self.choice(choice).parts;
        match parts.last_mut().map(|part| &mut part.content) {
            Some(PartContent::Text(known)) => known.push_str(&text),
            _ => parts.push(Part::text(text)),
        }
    }

    fn push_refusal(&mut self, choice: u32, text: String) {
        let parts = &mut self.choice(choice).parts;
        match parts.last_mut().map(|part| &mut part.content) {
            Some(PartContent::Refusal(known)) => known.push_str(&text),
            _ => parts.push(PartContent::Refusal(text).into()),
        }
    }

    fn push_reasoning(&mut self, choice: u32, delta: ReasoningDelta) {
        let parts = &mut self.choice(choice).parts;
        let ReasoningDelta { text, signature, redacted } = delta;
        match parts.last_mut().map(|part| &mut part.content) {
            // A signature closes a piece of reasoning: what follows is another one.
            Some(PartContent::Reasoning(known))
                if known.signature.is_none() && known.redacted.is_none() && redacted.is_none() =>
            {
                known.text.push_str(&text);
                known.signature = signature;
            }
            _ => parts.push(PartContent::Reasoning(Reasoning { text, signature, redacted }).into()),
        }
    }

    fn push_logprobs(&mut self, choice: u32, json: Json) {
        // What is no object of lists cannot be joined: the last one stands.
        let Ok(lists) = json.parse::<BTreeMap<String, Option<Vec<Json>>>>() else {
            self.choice(choice).logprobs = Some(json);
            return;
        };
        let known = self.logprobs.entry(choice).or_default();
        for (name, list) in lists {
            let known = known.entry(name).or_default();
            match (known.as_mut(), list) {
                (Some(known), Some(list)) => known.extend(list),
                (None, list) => *known = list,
                (Some(_), None) => {}
            }
        }
    }

    fn push_tool_call(&mut self, choice: u32, delta: ToolCallDelta) {
        let known = self.tool_calls.get(&(choice, delta.index)).copied();
        let parts = &mut self.choice(choice).parts;
        if let Some(PartContent::ToolCall(call)) = known.and_then(|at| parts.get_mut(at)).map(|part| &mut part.content)
        {
            // Some servers repeat id and name on every piece.
            if call.id.is_empty() {
                call.id = delta.id.unwrap_or_default();
            }
            if call.name.is_empty() {
                call.name = delta.name.unwrap_or_default();
            }
            call.arguments.push_str(&delta.arguments);
            return;
        }
        let call = ToolCall {
            id: delta.id.unwrap_or_default(),
            name: delta.name.unwrap_or_default(),
            arguments: delta.arguments,
            kind: delta.kind,
        };
        parts.push(PartContent::ToolCall(call).into());
        let at = parts.len() - 1;
        self.tool_calls.insert((choice, delta.index), at);
    }
}

/// A whole answer as one frame that says everything and is the last. It has no bytes, because those of a whole answer
/// are one message and no frame.
///
/// What a stream has no events for is lost on the way: unknown fields of the answer and of its parts.
///
/// Vectors have no events: a request for embeddings is never streamed.
pub(crate) fn unfold(output: Output) -> Frame {
    let mut events = Vec::new();
    let mut say = |choice: u32, event: Event| events.push(ChoiceEvent { choice, event });
    match output {
        // A number has no events either.
        Output::TokenCount(_) => {}
        Output::Embed(embed) => {
            if let Some(usage) = embed.usage {
                say(0, Event::Usage(usage));
            }
        }
        Output::Chat(chat) => {
            say(0, Event::Start(chat.start));
            for choice in chat.choices {
                unfold_choice(choice, &mut say);
            }
            if let Some(usage) = chat.usage {
                say(0, Event::Usage(usage));
            }
        }
    }
    Frame::new(events).last()
}

fn unfold_choice(choice: Choice, say: &mut impl FnMut(u32, Event)) {
    let index = choice.index;
    let mut tool_calls = 0;
    for part in choice.parts {
        match part.content {
            PartContent::Text(text) => say(index, Event::Text(text)),
            PartContent::Refusal(text) => say(index, Event::Refusal(text)),
            PartContent::Reasoning(Reasoning { text, signature, redacted }) => {
                say(index, Event::Reasoning(ReasoningDelta { text, signature, redacted }));
            }
            PartContent::ToolCall(ToolCall { id, name, arguments, kind }) => {
                let delta = ToolCallDelta { index: tool_calls, id: Some(id), name: Some(name), arguments, kind };
                say(index, Event::ToolCall(delta));
                tool_calls += 1;
            }
            PartContent::Other(other) => say(index, Event::Other(other)),
            // Models do not answer in these: they are kinds of input.
            PartContent::Image(_) | PartContent::Audio(_) | PartContent::File(_) | PartContent::ToolResult(_) => {}
        }
    }
    for (name, json) in choice.extra.iter() {
        say(index, Event::Other(crate::Other { kind: name.to_owned(), json: json.clone() }));
    }
    if let Some(json) = choice.logprobs {
        say(index, Event::Logprobs(json));
    }
    if let Some(reason) = choice.finish {
        say(index, Event::Finish(reason));
    }
}
