//! How many tokens a text is, without a vocabulary.
//!
//! Budgets and routers must know the size of a prompt before anyone has counted it. An exact tokenizer costs
//! megabytes of tables and reads 20 to 180 MB/s; counting character classes in one pass costs nothing and
//! is off by 6 % on average, where a quarter of the characters is off by 19 %. An estimate therefore has two
//! readings: [`likely`](TokenEstimate::likely) for charging, [`bound`](TokenEstimate::bound) for reserving.
//!
//! A bound is not a proof: it covers about 95 % of ordinary prompts. Text made to be expensive can exceed it;
//! what a call really used settles the matter afterwards.
//!
//! The feature `exact-tokens` adds `ExactCounter`, which knows OpenAI's vocabularies. It is off by default because of
//! their size, about 6 MB.
//!
//! # Sources
//! The weights are a linear fit against OpenAI's `o200k_base` and `cl100k_base` on 2,582 prompts. Sums that
//! are not text are measured or documented by the providers: 44 of 62 recorded plain chats at OpenAI come
//! out exactly with the message figures below, 55 within one token.

#[cfg(feature = "exact-tokens")]
mod exact;
mod family;
mod text;

use std::{
    fmt,
    ops::{Add, AddAssign},
};

#[cfg(feature = "exact-tokens")]
pub use self::exact::ExactCounter;
pub use self::{family::TokenFamily, text::TextCount};

/// Tokens of each message besides its text: three for its frame, one for its role.
pub const MESSAGE_TOKENS: u64 = 4;
/// Tokens of a participant's name besides the name's own text.
pub const NAME_TOKENS: u64 = 1;
/// Tokens that open the model's reply, once a request.
pub const REPLY_TOKENS: u64 = 3;
/// Tokens of each offered tool besides the text of its name, description and schema: an allowance with which a
/// small tool comes to the 40 to 100 tokens that were measured for one.
pub const TOOL_TOKENS: u64 = 12;
/// Tokens of a picture of unknown size, the likely figure.
///
/// A picture of 1024 × 1024 pixels is 765 tokens for OpenAI's tile models (85 + 170 for each of four tiles),
/// about 1,100 for Gemini 3 and 1,400 for Claude (width × height / 750). Outliers: `gpt-4o-mini` charges 25,501.
pub const IMAGE_TOKENS: u64 = 1_100;
/// Tokens of a picture of unknown size, the figure to reserve: 2,500 patches at a factor of 1.2, the most that
/// OpenAI's patch models take at high detail. Claude stays below about 1,600, OpenAI's larger tile models at 1,445.
pub const IMAGE_TOKENS_BOUND: u64 = 3_000;
/// Tokens of a picture at low detail, where no tiles are counted.
pub const IMAGE_TOKENS_LOW_DETAIL: u64 = 85;

/// How many tokens something is, before anyone has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenEstimate {
    /// The best guess, for charging where no report arrives.
    pub likely: u64,
    /// A number that is rarely exceeded, for reserving. Never below `likely`.
    pub bound: u64,
}

impl TokenEstimate {
    /// A count that is known.
    pub const fn exact(tokens: u64) -> Self {
        Self { likely: tokens, bound: tokens }
    }
}

impl Add for TokenEstimate {
    type Output = Self;

    /// The sum of both readings, saturating.
    fn add(self, other: Self) -> Self {
        Self { likely: self.likely.saturating_add(other.likely), bound: self.bound.saturating_add(other.bound) }
    }
}

impl AddAssign for TokenEstimate {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Counts the tokens of texts. The door for exact tokenizers.
///
/// ```
/// use llm_core::{TokenCounter, TokenEstimate, tokens::ClassCounter};
///
/// let counter: Box<dyn TokenCounter> = Box::new(ClassCounter);
/// let estimate = counter.count("gpt-4o", &mut ["Why is the sky blue?"].into_iter());
/// assert!((5..=9).contains(&estimate.likely) && estimate.likely <= estimate.bound);
/// ```
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// Counts texts that stand apart from each other, as `model` would. Sums that are not text (messages, tools,
    /// pictures) are not included. Must be quick and must not block; it runs once a call.
    fn count(&self, model: &str, texts: &mut dyn Iterator<Item = &str>) -> TokenEstimate;
}

/// The default counter: estimates from character classes with [`TextCount`], for every model.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassCounter;

impl TokenCounter for ClassCounter {
    fn count(&self, model: &str, texts: &mut dyn Iterator<Item = &str>) -> TokenEstimate {
        let mut count = TextCount::new();
        for text in texts {
            count.add(text);
            count.boundary();
        }
        count.estimate(TokenFamily::of(model))
    }
}

#[cfg(test)]
mod tests;
