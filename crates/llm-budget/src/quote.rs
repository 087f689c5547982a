//! What a call may cost: pure, from its prompt, its ceiling and a price.

use std::sync::Arc;

use llm_core::{
    Audio, CacheTtl, Chat, File, NanoUsd, Part, PartContent, Payload, PicoUsd, Price, Source, TokenEstimate, Usage,
    catalog::Model,
};

/// No model that reads documents takes more at once, of those whose context window is not known: Gemini's and Claude's.
const LARGEST_WINDOW: u64 = 1_048_576;
/// Base64 of the most compressed speech that is sent, at a kilobyte a second, for which Gemini counts 32 tokens and OpenAI ten.
const SOUND_BYTES_A_TOKEN: u64 = 32;

/// What a call may cost at its model's price.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    pub(crate) facts: Arc<Model>,
    /// The prompt's tokens.
    pub(crate) input: TokenEstimate,
    /// The most output tokens of one answer.
    pub(crate) ceiling: u64,
    /// How many answers are wanted.
    pub(crate) answers: u64,
    /// Whether the prompt may be written to the provider's prompt cache for an hour, and not for a shorter time.
    writes_for_an_hour: bool,
}

impl Quote {
    /// Of a call of a model with this price, which must be there.
    pub(crate) fn new(facts: Arc<Model>, payload: &Payload, input: TokenEstimate, ceiling: u64) -> Option<Self> {
        facts.price.as_ref()?;
        let (answers, writes_for_an_hour, attached) = match payload {
            Payload::Chat(chat) => {
                (chat.n.map_or(1, |n| u64::from(n.get())), is_marked_for_an_hour(chat), attachments(chat))
            }
            Payload::Embed(_) | Payload::CountTokens(_) => (1, false, 0),
        };
        let attached = attached.min(facts.context_window.unwrap_or(LARGEST_WINDOW));
        let input = TokenEstimate { bound: input.bound.saturating_add(attached), ..input };
        Some(Self { facts, input, ceiling, answers, writes_for_an_hour })
    }

    /// The same where a layer asks the provider to keep a prompt that its caller has not marked.
    pub(crate) fn kept_for(self, ttl: Option<CacheTtl>) -> Self {
        Self { writes_for_an_hour: self.writes_for_an_hour || ttl == Some(CacheTtl::OneHour), ..self }
    }

    pub(crate) fn price(&self) -> &Price {
        self.facts.price.as_ref().expect("a quote is made of a model with a price")
    }

    /// The most output tokens of all answers.
    pub(crate) fn most_output(&self) -> u64 {
        self.ceiling.saturating_mul(self.answers)
    }

    /// The most that it may come to.
    pub(crate) fn worst(&self) -> NanoUsd {
        self.with_output(self.most_output())
    }

    /// What it comes to with this much output, at most.
    pub(crate) fn with_output(&self, output: u64) -> NanoUsd {
        let input = self.input.bound;
        let cache_write_1h = if self.writes_for_an_hour { input } else { 0 };
        let rates = self.price().rates(input);
        let cost = |usage: Usage| rates.cost(&usage).total();
        let fresh = Usage::estimated(input, output);
        // Not every provider charges more for writing to its prompt cache, and those that do may write unasked.
        cost(fresh).max(cost(Usage { cache_write: input, cache_write_1h, ..fresh }))
    }

    /// How many output tokens of each answer this amount pays for besides the prompt; `None` if not even that.
    pub(crate) fn output_for(&self, amount: NanoUsd) -> Option<u64> {
        let room = amount.0.checked_sub(self.with_output(0).0)?;
        let tokens = match self.price().rates(self.input.bound).output {
            PicoUsd::ZERO => u64::MAX,
            PicoUsd(price) => u64::try_from(u128::from(room) * 1_000 / u128::from(price)).unwrap_or(u64::MAX),
        };
        Some(tokens / self.answers)
    }
}

/// What the documents and sounds of a request may come to, which its estimate knows nothing of: a token a byte, and of what is
/// elsewhere nobody knows.
fn attachments(chat: &Chat) -> u64 {
    let of = |parts: &[Part]| parts.iter().map(|part| attachment(&part.content)).fold(0, u64::saturating_add);
    chat.system.iter().chain(&chat.messages).map(|message| of(&message.parts)).fold(0, u64::saturating_add)
}

fn attachment(content: &PartContent) -> u64 {
    match content {
        PartContent::File(File { source: Source::Data { data, .. }, .. }) => (data.len() as u64).div_ceil(4) * 3,
        PartContent::File(File { source: Source::Url(_) | Source::File(_), .. }) => u64::MAX,
        PartContent::Audio(Audio { data, .. }) => (data.len() as u64).div_ceil(SOUND_BYTES_A_TOKEN),
        PartContent::ToolResult(result) => {
            result.content.iter().map(|part| attachment(&part.content)).fold(0, u64::saturating_add)
        }
        PartContent::Text(_)
        | PartContent::Refusal(_)
        | PartContent::Reasoning(_)
        | PartContent::Image(_)
        | PartContent::ToolCall(_)
        | PartContent::Other(_) => 0,
    }
}

/// Whether a prompt, or any part of it, is marked to be kept in the provider's prompt cache for an hour.
fn is_marked_for_an_hour(chat: &Chat) -> bool {
    let parts = chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts).map(|part| part.cache);
    let mut marks = parts.chain(chat.tools.iter().map(|tool| tool.cache));
    // Anthropic's mark for all of it has no type.
    let of_all = chat.extra.get("cache_control").is_some_and(|mark| mark.get().contains("1h"));
    of_all || marks.any(|mark| mark == Some(CacheTtl::OneHour))
}

#[cfg(test)]
mod tests {
    use llm_core::{Json, LlmRequest, Message, Role, ToolResult, catalog::Catalog};

    use super::*;

    fn quote(change: impl FnOnce(&mut Chat)) -> Quote {
        let catalog = Catalog::from_toml(
            r#"
            [[models]]
            name = "m"
            input = 2.0
            output = 10.0
            cache_write = 2.5
            cache_write_1h = 4.0
            context_window = 8000
            long_context = [{ above = 1000, input = 4.0, output = 15.0 }]
            "#,
        );
        let facts = Arc::clone(catalog.unwrap().get_shared(None, "m").unwrap());
        let request = LlmRequest::chat("m").with(change).build();
        Quote::new(facts, request.payload(), TokenEstimate { likely: 80, bound: 100 }, 50).unwrap()
    }

    #[test]
    fn the_worst_is_the_bound_of_the_prompt_and_the_ceiling_of_every_answer() {
        assert_eq!(quote(|_| {}).worst(), NanoUsd(100 * 2_500 + 50 * 10_000));
        let two = quote(|chat| chat.n = std::num::NonZeroU32::new(2));
        assert_eq!(two.worst(), NanoUsd(100 * 2_500 + 100 * 10_000));
    }

    #[test]
    fn a_prompt_may_cost_as_much_as_writing_it_to_a_cache_be_it_asked_for_or_not() {
        let marked = |ttl| {
            let part = Part { cache: Some(ttl), ..Part::text("x") };
            quote(|chat| chat.messages.push(Message::new(Role::User, vec![part]))).with_output(0)
        };
        assert_eq!(quote(|_| {}).with_output(0), NanoUsd(100 * 2_500));
        assert_eq!(marked(CacheTtl::FiveMinutes), NanoUsd(100 * 2_500));
        assert_eq!(marked(CacheTtl::OneHour), NanoUsd(100 * 4_000));
        let mark_of_all = |text: &str| {
            let mark = Json::from_text(text).unwrap();
            quote(|chat| chat.extra.insert("cache_control", mark)).with_output(0)
        };
        assert_eq!(mark_of_all(r#"{"type":"ephemeral","ttl":"1h"}"#), NanoUsd(100 * 4_000));
        assert_eq!(mark_of_all(r#"{"type":"ephemeral"}"#), NanoUsd(100 * 2_500));
    }

    #[test]
    fn documents_are_quoted_at_a_token_a_byte_and_what_is_elsewhere_at_a_whole_window() {
        let with = |content: PartContent| {
            let result =
                ToolResult { call_id: "1".into(), content: vec![Part::text("x"), content.into()], is_error: false };
            let part = PartContent::ToolResult(result).into();
            quote(|chat| chat.messages.push(Message::new(Role::Tool, vec![part])))
        };
        let file = |source| PartContent::File(File { source, filename: None });
        let data = |data: String| file(Source::Data { media_type: "application/pdf".into(), data });
        assert_eq!(with(data("QUFB".repeat(100))).input, TokenEstimate { likely: 80, bound: 400 });
        assert_eq!(with(data("QUFB".repeat(10_000))).input.bound, 8_100, "the window is full");
        assert_eq!(with(file(Source::File("id".into()))).input.bound, 8_100);
        assert_eq!(with(file(Source::Url("x".into()))).worst(), NanoUsd(8_100 * 5_000 + 50 * 15_000));
        let audio = Audio { data: "A".repeat(3_200), format: "mp3".into() };
        assert_eq!(with(PartContent::Audio(audio)).input.bound, 200);
    }

    #[test]
    fn a_prompt_that_a_layer_asks_to_be_kept_for_an_hour_may_cost_as_much_as_one_that_is_marked() {
        let (five, hour) = (Some(CacheTtl::FiveMinutes), Some(CacheTtl::OneHour));
        assert_eq!(quote(|_| {}).kept_for(hour).with_output(0), NanoUsd(100 * 4_000));
        assert_eq!(quote(|_| {}).kept_for(five).with_output(0), quote(|_| {}).with_output(0));
    }

    #[test]
    fn a_long_prompt_is_quoted_at_its_tier() {
        let mut quote = quote(|_| {});
        quote.input.bound = 2_000;
        assert_eq!(quote.worst(), NanoUsd(2_000 * 5_000 + 50 * 15_000));
    }

    #[test]
    fn an_amount_pays_for_so_much_output_and_not_a_token_more() {
        let two = quote(|chat| chat.n = std::num::NonZeroU32::new(2));
        assert_eq!(two.output_for(NanoUsd(249_999)), None);
        assert_eq!(two.output_for(NanoUsd(250_000)), Some(0));
        for amount in [269_999, 270_000, 777_777] {
            let tokens = two.output_for(NanoUsd(amount)).unwrap();
            assert!(two.with_output(2 * tokens) <= NanoUsd(amount), "{amount}");
            assert!(two.with_output(2 * tokens + 2) > NanoUsd(amount), "{amount}");
        }
    }
}
