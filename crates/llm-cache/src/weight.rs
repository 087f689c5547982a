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

#[cfg(test)]
mod tests {
    use llm_core::{Audio, Dialect, Json, ToolCallKind};

    use super::*;

    /// As long as nothing else in what holds it.
    const LONG: usize = 10_000;

    fn long() -> String {
        "x".repeat(LONG)
    }

    fn json() -> Json {
        Json::from_text(format!("\"{}\"", long())).unwrap()
    }

    /// Of each kind one, with so many long texts in it.
    fn contents() -> Vec<(PartContent, usize)> {
        let data = || Source::Data { media_type: long(), data: long() };
        let call = ToolCall { id: long(), name: long(), arguments: long(), kind: ToolCallKind::Function };
        let inner = vec![PartContent::Text(long()).into(), PartContent::Text(long()).into()];
        vec![
            (PartContent::Text(long()), 1),
            (PartContent::Refusal(long()), 1),
            (PartContent::Reasoning(Reasoning { text: long(), signature: Some(long()), redacted: Some(long()) }), 3),
            (PartContent::Image(Image { source: data(), detail: Some(long()) }), 3),
            (PartContent::Image(Image { source: Source::Url(long()), detail: None }), 1),
            (PartContent::Audio(Audio { data: long(), format: long() }), 2),
            (PartContent::File(File { source: Source::File(long()), filename: Some(long()) }), 2),
            (PartContent::ToolCall(call), 3),
            (PartContent::ToolResult(ToolResult { call_id: long(), content: inner, is_error: false }), 3),
            (PartContent::Other(Other { kind: long(), json: json() }), 2),
        ]
    }

    fn is_about(weight: usize, texts: usize, what: &str) {
        assert!((texts * LONG..texts * LONG + LONG / 2).contains(&weight), "{what}: {weight} for {texts} long texts");
    }

    #[test]
    fn whatever_an_answer_holds_is_weighed() {
        for (content, texts) in contents() {
            let what = format!("{content:?}");
            let mut part = Part::from(content);
            part.extra.insert("more", json());
            let mut choice = Choice { parts: vec![part], logprobs: Some(json()), ..Choice::default() };
            choice.extra.insert("more", json());
            let mut chat = ChatOutput { choices: vec![choice], ..ChatOutput::default() };
            chat.extra.insert("more", json());
            is_about(output(&Output::Chat(chat)), texts + 4, &what);
        }
        let numbers = Vector(vec![0.5; LONG / 4]);
        let embedded = EmbedOutput { vectors: vec![numbers.clone(), numbers], ..EmbedOutput::default() };
        is_about(output(&Output::Embed(embedded)), 2, "two vectors");
    }

    #[test]
    fn whatever_a_frame_holds_is_weighed() {
        let reasoning = ReasoningDelta { text: long(), signature: Some(long()), redacted: Some(long()) };
        let call = ToolCallDelta {
            index: 0,
            id: Some(long()),
            name: Some(long()),
            arguments: long(),
            kind: ToolCallKind::Function,
        };
        let events = [
            (Event::Text(long()), 1),
            (Event::Refusal(long()), 1),
            (Event::Reasoning(reasoning), 3),
            (Event::ToolCall(call), 3),
            (Event::Logprobs(json()), 1),
            (Event::Other(Other { kind: long(), json: json() }), 2),
        ];
        for (event, texts) in events {
            let what = format!("{event:?}");
            is_about(frame(&Frame::event(event.clone())), texts, &what);
            let wired = Frame::event(event).with_wire(Dialect::OpenAi, long().into_bytes().into());
            is_about(frame(&wired), texts + 1, &what);
        }
    }
}
