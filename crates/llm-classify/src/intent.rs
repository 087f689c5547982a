//! The built-in classifier: a small linear model over words, pieces of words and the look of a text.
#![doc = include_str!("../INTENT.md")]

mod class;
mod cues;
mod features;
mod hash;
mod softmax;
mod structure;
mod text;
mod weights;

use std::{borrow::Cow, sync::Arc};

use llm_core::{ConfigError, LlmRequest};

pub use self::{
    features::{DENSE, FAMILIES, Family, ROWS, Sink},
    softmax::softmax,
    weights::{LANES, Trained},
};
use self::{text::Text, weights::Weights};
use crate::{Classifier, Guess};

/// The intents that the built-in model tells, in the order of its scores.
pub const LABELS: [&str; 7] = ["code", "math", "reasoning", "creative", "extraction", "rewrite", "general"];

/// The lowest of the stated confidences at which nine of ten answers are right.
const CONFIDENCE: f32 = 0.6;
/// What the words of the system prompt and of the turn before count, beside those of the newest turn: enough to decide
/// where that says little ("and now shorter"), too little where it is clear. The prompts to learn from have one turn, so
/// this is not learned.
const BEFORE: f32 = 0.3;

/// A small linear model that tells what a request is about: one of [`LABELS`].
///
/// It reads the first 768 and the last 256 bytes of the newest turn in which the user says something (of the last 64
/// messages), and the first 256 of the system prompt and of the user's turn before it, which count less. So a longer
/// prompt takes no longer. It allocates nothing, and takes about ten microseconds for 1 KB. Words within a block of code
/// (between fences) are not read, only what the block looks like: what is wanted stands outside.
///
/// ```
/// use llm_classify::{Classifier, IntentModel};
/// use llm_core::LlmRequest;
///
/// let model = IntentModel::builtin();
/// let request = LlmRequest::chat("gpt-4o").user("Write a poem about the sea in autumn.").build();
/// assert_eq!(model.classify(&request).map(|guess| guess.intent), Some("creative"));
/// ```
#[derive(Clone, Debug)]
pub struct IntentModel {
    weights: Arc<Weights>,
    confidence: f32,
}

impl IntentModel {
    /// The model that is built in, 258 KB. Making one takes about a millisecond; clones share it.
    pub fn builtin() -> Self {
        Self::from_bytes(include_bytes!("../data/intent.bin").as_slice())
            .expect("a test reads the weights that are built in")
    }

    /// Reads weights that `cargo xtask train-intent` wrote. Refuses what is damaged, or made for other features.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, ConfigError> {
        Ok(Self { weights: Arc::new(Weights::try_from(bytes.into())?), confidence: CONFIDENCE })
    }

    /// Abstains below this confidence, a share from 0 to 1. Defaults to 0.6: of prompts that people typed, and that it
    /// had not learned from, it answers nine of ten then, and is right about nine of ten of these
    /// ([figures](crate::intent)). At 0 it never abstains, above 1 always.
    pub fn confidence(self, confidence: f32) -> Self {
        Self { confidence, ..self }
    }

    /// How likely each of [`LABELS`] is, in their order. `None` when the request has no text of a user's.
    pub fn shares(&self, request: &LlmRequest) -> Option<[f32; LABELS.len()]> {
        let mut text = Text::new();
        if !text.read_newest(request) {
            return None;
        }
        let mut sums = self.weights.sums();
        let figures = features::read(&text, &mut sums);
        let mut scores = add(self.weights.of_figures(&figures), self.weights.of_words(&sums), 1.0);
        for message in text::before(request) {
            if text.read_before(message) {
                let mut sums = self.weights.sums();
                features::read(&text, &mut sums);
                scores = add(scores, self.weights.of_words(&sums), BEFORE);
            }
        }
        Some(softmax(scores))
    }
}

impl Classifier for IntentModel {
    fn intents(&self) -> &[&'static str] {
        &LABELS
    }

    fn classify(&self, request: &LlmRequest) -> Option<Guess> {
        let shares = self.shares(request)?;
        let (label, &confidence) = shares.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (confidence >= self.confidence).then_some(Guess { intent: LABELS[label], confidence })
    }
}

/// What a trainer needs to know of a request: tells `sink` what its newest turn has, and returns its figures. `None` when
/// the request has no text of a user's.
pub fn read(request: &LlmRequest, sink: &mut impl Sink) -> Option<[f32; DENSE]> {
    let mut text = Text::new();
    text.read_newest(request).then(|| features::read(&text, sink))
}

fn add<const N: usize>(mut scores: [f32; N], more: [f32; N], weight: f32) -> [f32; N] {
    for (score, more) in scores.iter_mut().zip(more) {
        *score += more * weight;
    }
    scores
}
