//! A request for embeddings.

use std::fmt;

use crate::Extra;

/// Texts to be turned into vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embed {
    /// What to embed, one vector each.
    pub input: Vec<EmbedInput>,
    /// Whether the caller gave one bare input and not a list. It changes nothing but the spelling.
    pub single: bool,
    /// The length of the vectors, where the model lets one choose.
    pub dimensions: Option<u32>,
    /// How the caller wants vectors written.
    pub encoding: VectorEncoding,
    /// Fields that have no name here.
    pub extra: Extra,
}

/// One thing to embed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum EmbedInput {
    /// Text.
    Text(String),
    /// Token ids of the model's own vocabulary.
    Tokens(Vec<u32>),
}

impl fmt::Debug for EmbedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Tokens(tokens) => write!(f, "Tokens({})", tokens.len()),
        }
    }
}

/// How vectors are written on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VectorEncoding {
    /// A JSON array of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64, which the Python and Node SDKs of OpenAI ask for.
    Base64,
}
