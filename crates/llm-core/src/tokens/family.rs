//! Which tokenizer a model uses, and what a character class weighs in it.

/// Models whose tokenizers count alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenFamily {
    /// OpenAI's `o200k_base`: GPT-4o and later, o-series. Also stands in for every model not known here.
    #[default]
    O200k,
    /// OpenAI's `cl100k_base`: GPT-4, GPT-3.5, the text embeddings.
    Cl100k,
    /// Claude up to 4.6: 1.0 to 1.25 times the count of `o200k_base`.
    Claude,
    /// Claude from Opus 4.7, Sonnet 5 and Fable 5 on, and Claude names without a version: 1.42 to 1.79 times the
    /// count of `o200k_base`.
    ClaudeNewest,
    /// Gemini: 1.01 to 1.16 times the count of `o200k_base`.
    Gemini,
}

/// Tokens for each occurrence of a class, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) word: u64,
    pub(super) letter: u64,
    pub(super) digit: u64,
    pub(super) digit_run: u64,
    pub(super) punctuation: u64,
    pub(super) newline: u64,
    pub(super) space_run: u64,
    pub(super) cjk: u64,
    pub(super) other_letter: u64,
    /// A letter beyond the twentieth of a word, in addition. Compounds, random strings and other words that no
    /// vocabulary holds are some two letters a token; the fit, made on ordinary prompts, cannot know.
    pub(super) long_word_letter: u64,
    /// A byte of a character outside the fit: emoji, symbols, combining marks, scripts that vocabularies lack.
    /// Byte-level tokenizers spend 0.4 (emoji) to 1.0 (unassigned planes) tokens on it.
    pub(super) rare_byte: u64,
}

const O200K: Weights = Weights {
    word: 853,
    letter: 51,
    digit: 328,
    digit_run: 1_289,
    punctuation: 579,
    newline: 388,
    space_run: 685,
    cjk: 871,
    other_letter: 310,
    long_word_letter: 400,
    rare_byte: 600,
};

const CL100K: Weights = Weights {
    word: 886,
    letter: 46,
    digit: 373,
    digit_run: 1_194,
    punctuation: 566,
    newline: 415,
    space_run: 572,
    cjk: 1_214,
    other_letter: 542,
    long_word_letter: 400,
    rare_byte: 600,
};

impl TokenFamily {
    /// The family of a model by its name, with or without a provider in front (`anthropic/claude-sonnet-5`).
    pub fn of(model: &str) -> Self {
        // Every call asks, more than once, so it is looked for in bytes: to set up a search for text takes longer.
        let name = model.bytes().rposition(|byte| byte == b'/').map_or(model, |at| &model[at + 1..]);
        let claude = b"claude";
        if let Some(at) = name.as_bytes().windows(claude.len()).position(|part| part == claude) {
            return Self::of_claude(&name[at + claude.len()..]);
        }
        if name.starts_with("gemini") {
            return Self::Gemini;
        }
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let cl100k = ["gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-3-", "text-embedding-ada-002"];
        if name == "gpt-4" || cl100k.iter().any(|prefix| name.starts_with(prefix)) { Self::Cl100k } else { Self::O200k }
    }

    /// Reads what follows `claude`: `-opus-4-7`, `-sonnet-4.5`, `-3-5-haiku-20241022`. Numbers of more than two
    /// digits are dates.
    fn of_claude(rest: &str) -> Self {
        let words = rest.split(['-', '.', '@', ':', '_']);
        let mut numbers = words.skip_while(|word| !is_version(word)).take_while(|word| is_version(word));
        let mut next = || numbers.next().and_then(|word| word.parse::<u8>().ok());
        let version = next().map(|major| (major, next().unwrap_or(0)));
        match version {
            Some(version) if version < (4, 7) => Self::Claude,
            Some(_) | None => Self::ClaudeNewest,
        }
    }

    pub(super) fn weights(self) -> &'static Weights {
        match self {
            Self::O200k | Self::Claude | Self::ClaudeNewest | Self::Gemini => &O200K,
            Self::Cl100k => &CL100K,
        }
    }

    /// The family's count in tenths of what its weights give: about the middle of its measured range.
    pub(super) fn scale_tenths(self) -> u64 {
        match self {
            Self::O200k | Self::Cl100k => 10,
            Self::Claude | Self::Gemini => 11,
            Self::ClaudeNewest => 16,
        }
    }

    /// The bound in tenths of the likely count. The newest Claude tokenizer varies more from text to text.
    pub(super) fn bound_tenths(self) -> u64 {
        match self {
            Self::O200k | Self::Cl100k | Self::Claude | Self::Gemini => 12,
            Self::ClaudeNewest => 14,
        }
    }
}

fn is_version(word: &str) -> bool {
    matches!(word.len(), 1 | 2) && word.bytes().all(|byte| byte.is_ascii_digit())
}
