//! What a call may cost: pure, from its prompt, its ceiling and a price.

use std::sync::Arc;

use llm_core::{CacheTtl, Chat, NanoUsd, Payload, PicoUsd, Price, TokenEstimate, Usage, catalog::Model};

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
    /// Whether the prompt may be written to the provider's prompt cache, which can cost more than reading it afresh.
    writes: Option<CacheTtl>,
}

impl Quote {
    /// Of a call of a model with this price, which must be there.
    pub(crate) fn new(facts: Arc<Model>, payload: &Payload, input: TokenEstimate, ceiling: u64) -> Option<Self> {
        facts.price.as_ref()?;
        let (answers, writes) = match payload {
            Payload::Chat(chat) => (chat.n.map_or(1, |n| u64::from(n.get())), longest_mark(chat)),
            Payload::Embed(_) | Payload::CountTokens(_) => (1, None),
        };
        Some(Self { facts, input, ceiling, answers, writes })
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
        let cache_write = if self.writes.is_some() { input } else { 0 };
        let cache_write_1h = if self.writes == Some(CacheTtl::OneHour) { input } else { 0 };
        let rates = self.price().rates(input);
        let cost = |usage: Usage| rates.cost(&usage).total();
        let fresh = Usage::estimated(input, output);
        // Not every provider charges more for writing.
        cost(fresh).max(cost(Usage { cache_write, cache_write_1h, ..fresh }))
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

/// The longest-lived mark for the provider's prompt cache in a request.
fn longest_mark(chat: &Chat) -> Option<CacheTtl> {
    let parts = chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts).map(|part| part.cache);
    let marks = parts.chain(chat.tools.iter().map(|tool| tool.cache)).flatten();
    marks.max_by_key(|ttl| match ttl {
        CacheTtl::FiveMinutes => 0,
        CacheTtl::OneHour => 1,
    })
}

#[cfg(test)]
mod tests {
    use llm_core::{LlmRequest, Message, Part, Role, catalog::Catalog};

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
            long_context = [{ above = 1000, input = 4.0, output = 15.0 }]
            "#,
        );
        let facts = Arc::clone(catalog.unwrap().get_shared(None, "m").unwrap());
        let request = LlmRequest::chat("m").with(change).build();
        Quote::new(facts, request.payload(), TokenEstimate { likely: 80, bound: 100 }, 50).unwrap()
    }

    fn marked(ttl: CacheTtl) -> impl FnOnce(&mut Chat) {
        move |chat| {
            let part = Part { cache: Some(ttl), ..Part::text("x") };
            chat.messages.push(Message::new(Role::User, vec![part]));
        }
    }

    #[test]
    fn the_worst_is_the_bound_of_the_prompt_and_the_ceiling_of_every_answer() {
        assert_eq!(quote(|_| {}).worst(), NanoUsd(100 * 2_000 + 50 * 10_000));
        let two = quote(|chat| chat.n = std::num::NonZeroU32::new(2));
        assert_eq!(two.worst(), NanoUsd(100 * 2_000 + 100 * 10_000));
    }

    #[test]
    fn a_prompt_that_may_be_cached_may_cost_as_much_as_writing_it() {
        assert_eq!(quote(marked(CacheTtl::FiveMinutes)).with_output(0), NanoUsd(100 * 2_500));
        assert_eq!(quote(marked(CacheTtl::OneHour)).with_output(0), NanoUsd(100 * 4_000));
    }

    #[test]
    fn a_long_prompt_is_quoted_at_its_tier() {
        let mut quote = quote(|_| {});
        quote.input.bound = 2_000;
        assert_eq!(quote.worst(), NanoUsd(2_000 * 4_000 + 50 * 15_000));
    }

    #[test]
    fn an_amount_pays_for_so_much_output_and_not_a_token_more() {
        let two = quote(|chat| chat.n = std::num::NonZeroU32::new(2));
        assert_eq!(two.output_for(NanoUsd(199_999)), None);
        assert_eq!(two.output_for(NanoUsd(200_000)), Some(0));
        for amount in [219_999, 220_000, 777_777] {
            let tokens = two.output_for(NanoUsd(amount)).unwrap();
            assert!(two.with_output(2 * tokens) <= NanoUsd(amount), "{amount}");
            assert!(two.with_output(2 * tokens + 2) > NanoUsd(amount), "{amount}");
        }
    }
}
