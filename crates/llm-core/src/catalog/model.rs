//! The facts of one model. What is not known is absent, never a zero or a `false`.

use serde::{Deserialize, Serialize};

use crate::price::Price;

/// Facts of a model at a provider, or at any provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The provider these facts hold for. `None`: every provider without an entry of its own for this model.
    pub provider: Option<String>,
    /// The name the model is called by.
    pub name: String,
    /// Other names it is called by.
    pub aliases: Vec<String>,
    /// Which kind of call it takes.
    pub mode: Option<Mode>,
    /// What it charges. `None` is "not known", which is not free.
    pub price: Option<Price>,
    /// The most tokens of input, or of input and output together, as the provider states it.
    pub context_window: Option<u64>,
    /// The most tokens of output in one answer.
    pub max_output: Option<u64>,
    /// What it can and cannot do, as far as stated. Ask through [`supports`](Self::supports).
    pub capabilities: Capabilities,
    /// Words of the operator's, for routing rules.
    pub tags: Vec<String>,
}

/// The kind of call a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Conversations.
    Chat,
    /// Conversations, only through OpenAI's Responses API.
    Responses,
    /// Embeddings.
    Embedding,
}

/// Something a model can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Answers conversations.
    Chat,
    /// Embeds texts.
    Embeddings,
    /// Calls tools.
    Tools,
    /// Sees pictures.
    Vision,
    /// Hears audio.
    Audio,
    /// Reads documents.
    Files,
    /// Keeps to a JSON Schema.
    JsonSchema,
    /// Reasons before it answers.
    Reasoning,
    /// Streams its answer.
    Streaming,
}

/// What is stated of each [`Capability`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    // Indexed by `Capability as usize`; `Streaming` is the last.
    stated: [Option<bool>; Capability::Streaming as usize + 1],
}

impl Capabilities {
    /// Whether the capability is stated to be there, or stated to be missing.
    pub const fn stated(&self, capability: Capability) -> Option<bool> {
        self.stated[capability as usize]
    }

    /// States that a capability is there or missing.
    pub const fn state(&mut self, capability: Capability, supported: bool) {
        self.stated[capability as usize] = Some(supported);
    }

    fn merge(&mut self, later: &Self) {
        for (known, later) in self.stated.iter_mut().zip(later.stated) {
            *known = later.or(*known);
        }
    }
}

impl Model {
    /// Whether the model can do this, or `None` if that is not known.
    ///
    /// For chat and embeddings the mode answers where nothing else is stated.
    pub fn supports(&self, capability: Capability) -> Option<bool> {
        let implied = match (capability, self.mode) {
            (Capability::Chat, Some(mode)) => Some(mode != Mode::Embedding),
            (Capability::Embeddings, Some(mode)) => Some(mode == Mode::Embedding),
            _ => None,
        };
        self.capabilities.stated(capability).or(implied)
    }

    /// Whether the model bears this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether a call fares the same with either. Batch prices and tags are no part of a call.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let price = |model: &Self| model.price.clone().map(|price| Price { batch: None, ..price });
        price(self) == price(other)
            && self.mode == other.mode
            && self.context_window == other.context_window
            && self.max_output == other.max_output
            && self.capabilities == other.capabilities
    }

    /// Overrides the facts that `later` states.
    pub(super) fn merge(&mut self, later: Self) {
        let Self { provider: _, name: _, aliases, mode, price, context_window, max_output, capabilities, tags } = later;
        self.mode = mode.or(self.mode);
        self.price = price.or_else(|| self.price.take());
        self.context_window = context_window.or(self.context_window);
        self.max_output = max_output.or(self.max_output);
        self.capabilities.merge(&capabilities);
        add_new(&mut self.aliases, aliases);
        add_new(&mut self.tags, tags);
    }
}

fn add_new(words: &mut Vec<String>, later: Vec<String>) {
    for word in later {
        if !words.contains(&word) {
            words.push(word);
        }
    }
}
