//! What a call would cost, to compare targets by.

use llm_core::{LlmRequest, NanoUsd, Payload, Usage, rough_prompt};

use crate::Candidate;

/// How long an answer is taken to be where nobody limits it. About 400 tokens are 300 words; which target is the
/// cheapest depends on it only where one has the cheaper input and another the cheaper output.
const TYPICAL_OUTPUT: u64 = 400;

/// The size of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    input: u64,
    output: u64,
}

impl Size {
    /// Of the input roughly so many tokens as a quarter of its bytes, and of the output as many as the call allows.
    pub(crate) fn of(request: &LlmRequest) -> Self {
        let output = match request.payload() {
            Payload::Chat(chat) => {
                let each = request.max_output_tokens().unwrap_or(TYPICAL_OUTPUT);
                each.saturating_mul(chat.n.map_or(1, |n| n.get().into()))
            }
            Payload::Embed(_) => 0,
            Payload::CountTokens(_) => return Self { input: 0, output: 0 },
        };
        Self { input: rough_prompt(request.payload()), output }
    }

    /// What a call of this size would cost there, if its price is known.
    pub(crate) fn cost(self, candidate: &Candidate) -> Option<NanoUsd> {
        let price = candidate.model()?.price.as_ref()?;
        Some(price.cost(&Usage::reported(self.input, self.output)).total())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn size(request: LlmRequest) -> (u64, u64) {
        let Size { input, output } = Size::of(&request);
        (input, output)
    }

    #[test]
    fn the_output_is_what_the_call_allows_or_a_typical_one() {
        let chat = || LlmRequest::chat("m").user("x".repeat(400));
        assert_eq!(size(chat().build()), (107, TYPICAL_OUTPUT));
        assert_eq!(size(chat().max_output_tokens(5).build()), (107, 5));
        assert_eq!(size(chat().with(|chat| chat.n = NonZeroU32::new(3)).build()), (107, 3 * TYPICAL_OUTPUT));
        let mut lowered = chat().max_output_tokens(50).build();
        lowered.context_mut().lower_output_ceiling(20);
        assert_eq!(size(lowered), (107, 20));
    }

    #[test]
    fn embeddings_have_no_output_and_counting_costs_nothing() {
        assert_eq!(size(LlmRequest::embed("m", ["x".repeat(40)])), (10, 0));
        let Payload::Chat(chat) = LlmRequest::chat("m").user("hello").build().payload().clone() else { panic!() };
        assert_eq!(size(LlmRequest::new("m", Payload::CountTokens(chat))), (0, 0));
    }
}
