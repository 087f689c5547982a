//! How much memory answers take up.

use llm_core::{
    ChatOutput, Choice, ChoiceEvent, EmbedOutput, Event, Extra, File, Frame, Head, Image, Other, Output, Part,
    PartContent, Reasoning, ReasoningDelta, Source, ToolCall, ToolCallDelta, ToolResult, Vector,
};

/// What a block of memory takes up besides what was asked for, on the average: its header, and what it is rounded up by.
pub(crate) const BLOCK: usize = 16;

/// A frame with all that it holds.
pub(crate) fn frame(frame: &Frame) -> usize {
    size_of::<Frame>() + events_inside(frame.events()) + frame.wire().map_or(0, |wire| wire.bytes.len())
}

/// A boxed list of events.
pub(crate) fn events(events: &[ChoiceEvent]) -> usize {
    BLOCK + size_of_val(events) + events_inside(events)
}

/// What a head holds.
pub(crate) fn head(head: &Head) -> usize {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map_or(0, |text| BLOCK + 16 + text.len());
    text(&head.id) + text(&head.model)
}

/// What an answer holds.
pub(crate) fn output(output: &Output) -> usize {
    match output {
        Output::Chat(ChatOutput { start: _, choices, usage: _, extra, dialect: _ }) => {
            BLOCK + choices.iter().map(choice).sum::<usize>() + self::extra(extra)
        }
        Output::Embed(EmbedOutput { vectors, usage: _, extra }) => {
            BLOCK + vectors.iter().map(vector).sum::<usize>() + self::extra(extra)
        }
        Output::TokenCount(_) => 0,
    }
}

/// One vector.
pub(crate) fn vector(Vector(numbers): &Vector) -> usize {
    BLOCK + size_of::<Vector>() + size_of_val(&**numbers)
}

fn choice(choice: &Choice) -> usize {
    let Choice { index: _, parts, finish: _, logprobs, extra } = choice;
    let parts: usize = parts.iter().map(part).sum();
    size_of::<Choice>() + BLOCK + parts + logprobs.as_ref().map_or(0, |json| text(json.get())) + self::extra(extra)
}

fn part(part: &Part) -> usize {
    let Part { content, cache: _, extra } = part;
    let content = match content {
        PartContent::Text(text) | PartContent::Refusal(text) => self::text(text),
        PartContent::Reasoning(Reasoning { text, signature, redacted }) => {
            self::text(text) + optional(signature) + optional(redacted)
        }
        PartContent::Image(Image { source, detail }) => self::source(source) + optional(detail),
        PartContent::Audio(audio) => text(&audio.data) + text(&audio.format),
        PartContent::File(File { source, filename }) => self::source(source) + optional(filename),
        PartContent::ToolCall(ToolCall { id, name, arguments, kind: _ }) => text(id) + text(name) + text(arguments),
        PartContent::ToolResult(ToolResult { call_id, content, is_error: _ }) => {
            text(call_id) + content.iter().map(self::part).sum::<usize>()
        }
        PartContent::Other(other) => self::other(other),
    };
    size_of::<Part>() + content + self::extra(extra)
}

fn source(source: &Source) -> usize {
    match source {
        Source::Url(text) | Source::File(text) => self::text(text),
        Source::Data { media_type, data } => text(media_type) + text(data),
    }
}

fn events_inside(events: &[ChoiceEvent]) -> usize {
    events.iter().map(|item| event(&item.event)).sum()
}

fn event(event: &Event) -> usize {
    match event {
        Event::Text(text) | Event::Refusal(text) => self::text(text),
        Event::Reasoning(ReasoningDelta { text, signature, redacted }) => {
            self::text(text) + optional(signature) + optional(redacted)
        }
        Event::ToolCall(ToolCallDelta { index: _, id, name, arguments, kind: _ }) => {
            optional(id) + optional(name) + text(arguments)
        }
        Event::Logprobs(json) => text(json.get()),
        Event::Other(other) => self::other(other),
        Event::Start(start) => [&start.id, &start.model].into_iter().flatten().map(|name| BLOCK + name.len()).sum(),
        Event::Usage(_) | Event::Finish(_) => 0,
    }
}

fn other(other: &Other) -> usize {
    text(&other.kind) + text(other.json.get())
}

fn extra(extra: &Extra) -> usize {
    extra.iter().map(|(name, json)| 2 * BLOCK + size_of::<(Box<str>, usize)>() + name.len() + json.get().len()).sum()
}

fn optional(text: &Option<String>) -> usize {
    text.as_deref().map_or(0, self::text)
}

fn text(text: &str) -> usize {
    if text.is_empty() { 0 } else { BLOCK + text.len() }
}
