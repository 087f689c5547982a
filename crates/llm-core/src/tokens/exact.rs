//! Counts tokens exactly, with the vocabularies that OpenAI has published.
//!
//! Who checks a bill or fills a context window to the brim needs the number, not a good guess, and pays for it with
//! 6 MB of vocabularies in the program.
//!
//! # Cost
//! The first count with a vocabulary loads it, about 0.2 seconds and 50 MB of memory for `o200k_base`, half of that
//! for `cl100k_base`; [`ExactCounter::load`] moves that to the start of the program. After that a megabyte of prose
//! takes 20 to 50 milliseconds on the calling thread, and a megabyte of anything else up to 120.
//!
//! # Sources
//! Which model uses which vocabulary: the model table of OpenAI's `tiktoken`. Times and sizes are measured.

use std::{collections::HashSet, iter};

use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

use super::{ClassCounter, TextCount, TokenCounter, TokenEstimate, TokenFamily};

/// Bytes after which a run of letters, punctuation or spaces is cut.
///
/// Such a run is one piece to the tokenizer, whose work on a piece grows faster than its length, and whose pattern
/// gives up on spaces somewhere below a million. Ordinary texts have no such run. At this length a run costs at most
/// five times as much as prose, and random letters come out 0.05 % off.
const LONGEST_RUN: usize = 1_024;

/// Names of models that use `o200k_base`, by how they begin. Names of [`TokenFamily::Cl100k`] are recognised before.
/// `gpt-oss` uses `o200k_harmony`, which differs in control tokens only.
const O200K_MODELS: [&str; 7] = ["gpt-4", "gpt-5", "gpt-oss-", "chatgpt-4o", "o1", "o3", "o4-mini"];

/// Counts texts exactly for OpenAI's models, and estimates with [`ClassCounter`] for all others.
///
/// Claude and Gemini have no public vocabulary; other models have one that is not among these. They are estimated,
/// since the count of a foreign vocabulary says no more than an estimate and would pass for exact.
///
/// An exact answer has equal readings. In a run of more than 1,024 bytes of letters, punctuation or spaces each
/// further 1,024 bytes may shift the count by a token, which [`bound`](TokenEstimate::bound) includes. Text that looks
/// like a control token (`<|endoftext|>`) is counted as text.
///
/// ```
/// use llm_core::{TokenCounter, TokenEstimate, tokens::ExactCounter};
///
/// let counter = ExactCounter;
/// let mut texts = ["tiktoken is great!", "2 + 2 = 4"].into_iter();
/// assert_eq!(counter.count("gpt-4o", &mut texts), TokenEstimate::exact(6 + 7));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactCounter;

impl ExactCounter {
    /// Loads the vocabulary of `model` now, so that no call has to wait for it. Takes up to 0.2 seconds the first
    /// time; nothing happens for a model that is estimated. All counters of a program share what is loaded.
    pub fn load(self, model: &str) {
        vocabulary(model);
    }
}

impl TokenCounter for ExactCounter {
    fn count(&self, model: &str, texts: &mut dyn Iterator<Item = &str>) -> TokenEstimate {
        let Some(vocabulary) = vocabulary(model) else { return ClassCounter.count(model, texts) };
        let no_control_tokens = HashSet::new();
        let mut sum = TokenEstimate::default();
        let mut uncounted = TextCount::new();
        for text in texts {
            for (position, section) in sections(text).enumerate() {
                match vocabulary.count(section, &no_control_tokens) {
                    Ok(tokens) => sum += TokenEstimate::exact(tokens as u64),
                    // The pattern may give up on a text. The call it belongs to must not suffer from that.
                    Err(_) => {
                        uncounted.add(section);
                        uncounted.boundary();
                    }
                }
                sum.bound += u64::from(position > 0);
            }
        }
        sum + uncounted.estimate(TokenFamily::of(model))
    }
}

/// The vocabulary of a model by its name, with or without a provider in front; loads it when it is first asked for.
fn vocabulary(model: &str) -> Option<&'static CoreBPE> {
    match TokenFamily::of(model) {
        TokenFamily::Cl100k => Some(cl100k_base_singleton()),
        TokenFamily::O200k => {
            // The family also stands in for models it does not know.
            let name = model.rsplit('/').next().unwrap_or(model);
            let name = name.strip_prefix("ft:").unwrap_or(name);
            O200K_MODELS.iter().any(|prefix| name.starts_with(prefix)).then(o200k_base_singleton)
        }
        TokenFamily::Claude | TokenFamily::ClaudeNewest | TokenFamily::Gemini => None,
    }
}

/// The text in one section, or more if it has runs to be cut.
fn sections(mut rest: &str) -> impl Iterator<Item = &str> {
    iter::from_fn(move || {
        let (section, after) = rest.split_at(first_cut(rest));
        rest = after;
        (!section.is_empty()).then_some(section)
    })
}

/// Where the first run of `text` gets too long, or else its end.
fn first_cut(text: &str) -> usize {
    if text.len() <= LONGEST_RUN {
        return text.len();
    }
    let (mut run, mut start) = (Kind::Slash, 0);
    for (at, character) in text.char_indices() {
        let kind = Kind::of(character);
        let Some(joined) = run.joined(kind) else {
            (run, start) = (kind, at);
            continue;
        };
        if at - start >= LONGEST_RUN {
            return at;
        }
        run = joined;
    }
    text.len()
}

/// What characters are to a run. Runs must contain the tokenizer's pieces, whatever a text is made of: where the
/// vocabularies' patterns differ, or Unicode's classes are finer than these, a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    Punctuation,
    Space,
    /// Numbers are never long pieces: the patterns take three digits at a time.
    Digit,
    /// Letters, marks, symbols and emoji beyond ASCII. Marks belong to letters or to punctuation.
    Wide,
    /// A slash is punctuation, but also belongs to line ends.
    Slash,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            '/' => Self::Slash,
            _ if character.is_numeric() => Self::Digit,
            _ if character.is_whitespace() => Self::Space,
            _ if character.is_ascii_alphabetic() => Self::Letter,
            _ if character.is_ascii() => Self::Punctuation,
            // Chinese, Japanese and Korean: many sentences without a space, each with punctuation of its own.
            '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{FF01}' | '\u{FF0C}' | '\u{FF1A}' | '\u{FF1F}' => {
                Self::Punctuation
            }
            '\u{3041}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' if character.is_alphabetic() => Self::Letter,
            _ => Self::Wide,
        }
    }

    /// What a run is when a character of kind `next` goes on with it, or none where that begins a run of its own.
    fn joined(self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Digit, _) | (_, Self::Digit) => None,
            (run, Self::Slash) | (Self::Slash, run) => Some(run),
            (run @ (Self::Letter | Self::Punctuation), Self::Wide)
            | (Self::Wide, run @ (Self::Letter | Self::Punctuation)) => Some(run),
            (run, next) => (run == next).then_some(run),
        }
    }
}

#[cfg(test)]
mod tests;
