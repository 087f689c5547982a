//! How the servers that call themselves compatible with OpenAI differ from it, as data.

/// What a server of this dialect takes, where it is not what OpenAI takes.
///
/// It concerns requests that are written from their types. Of a caller's own bytes in this dialect it changes no more
/// than what is spliced in anyway: the usage report and the ceiling on output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name to configure it by.
    pub name: &'static str,
    /// The field that limits the output. Where it is `max_tokens`, that is the only one that is heeded.
    pub output_limit: &'static str,
    /// Whether `stream_options` is taken. Who does not take it reports usage unasked.
    pub stream_options: bool,
    /// The field that makes sampling repeatable.
    pub seed: &'static str,
    /// The word by which `tool_choice` demands that some tool is called.
    pub must_call: &'static str,
    /// How the reasoning of earlier turns is sent back.
    pub reasoning: SentReasoning,
    /// Whether pictures may be given by their address. If not, only their bytes may.
    pub image_urls: bool,
    /// Whether the role `developer` is known. If not, `system` is written in its place.
    pub developer: bool,
    /// Fields that it refuses, or ignores although the answer would be another one: a request that needs one is
    /// refused here, and one that sets it to its default is written without it.
    pub refuses: &'static [&'static str],
    /// Fields that it refuses and that change nothing about the answer: they are left out.
    pub leaves_out: &'static [&'static str],
}

/// How the reasoning of earlier turns is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentReasoning {
    /// Not at all.
    Nothing,
    /// Its text, in the field of this name.
    Text(&'static str),
    /// Its text, in the field of this name, which is empty where a turn of the model had none.
    TextAlways(&'static str),
    /// Its text, in the field of this name, and what is signed or encrypted also in `reasoning_details`.
    TextAndDetails(&'static str),
}

impl Variant {
    /// Any server that is not known better: OpenAI's names, and nothing refused on its behalf.
    pub const COMPATIBLE: Self = Self {
        name: "compatible",
        output_limit: "max_completion_tokens",
        stream_options: true,
        seed: "seed",
        must_call: "required",
        reasoning: SentReasoning::TextAndDetails("reasoning_content"),
        image_urls: true,
        developer: true,
        refuses: &[],
        leaves_out: &[],
    };

    /// OpenAI, which refuses every field that it does not know.
    pub const OPENAI: Self =
        Self { name: "openai", reasoning: SentReasoning::Nothing, refuses: &["top_k"], ..Self::COMPATIBLE };

    /// OpenAI's models at Azure.
    pub const AZURE: Self = Self { name: "azure", ..Self::OPENAI };

    /// OpenRouter, which hands signatures and encrypted reasoning on to whoever made them.
    pub const OPENROUTER: Self =
        Self { name: "openrouter", reasoning: SentReasoning::TextAndDetails("reasoning"), ..Self::COMPATIBLE };

    /// Groq.
    pub const GROQ: Self = Self {
        name: "groq",
        reasoning: SentReasoning::Text("reasoning"),
        refuses: &["top_k", "n", "logprobs", "logit_bias"],
        ..Self::COMPATIBLE
    };

    /// Mistral, which refuses every field that it does not know, and reports usage unasked.
    pub const MISTRAL: Self = Self {
        name: "mistral",
        output_limit: "max_tokens",
        stream_options: false,
        seed: "random_seed",
        must_call: "any",
        reasoning: SentReasoning::Nothing,
        developer: false,
        refuses: &["top_k", "logprobs", "logit_bias"],
        leaves_out: &["user", "name"],
        ..Self::COMPATIBLE
    };

    /// DeepSeek. Its V4 models want reasoning on every turn of theirs.
    pub const DEEPSEEK: Self = Self {
        name: "deepseek",
        output_limit: "max_tokens",
        reasoning: SentReasoning::TextAlways("reasoning_content"),
        developer: false,
        refuses: &["top_k"],
        ..Self::COMPATIBLE
    };

    /// xAI.
    pub const XAI: Self = Self { name: "xai", ..Self::OPENAI };

    /// Ollama, which ignores what it does not know.
    pub const OLLAMA: Self = Self {
        name: "ollama",
        output_limit: "max_tokens",
        reasoning: SentReasoning::Text("reasoning"),
        image_urls: false,
        developer: false,
        refuses: &["top_k", "n", "logit_bias", "tool_choice"],
        ..Self::COMPATIBLE
    };

    /// vLLM. Its templates for chats seldom know developers.
    pub const VLLM: Self = Self {
        name: "vllm",
        reasoning: SentReasoning::Text("reasoning_content"),
        developer: false,
        ..Self::COMPATIBLE
    };

    /// Every variant.
    pub const ALL: &[&'static Self] = &[
        &Self::COMPATIBLE,
        &Self::OPENAI,
        &Self::AZURE,
        &Self::OPENROUTER,
        &Self::GROQ,
        &Self::MISTRAL,
        &Self::DEEPSEEK,
        &Self::XAI,
        &Self::OLLAMA,
        &Self::VLLM,
    ];

    /// The variant of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|variant| variant.name == name).copied()
    }

    /// Whether the field `name` is taken.
    pub(crate) fn takes(&self, name: &str) -> bool {
        !self.refuses.contains(&name) && !self.leaves_out.contains(&name)
    }
}
