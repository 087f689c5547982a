//! Counts character classes in one pass.
//!
//! ASCII, nearly all of what is sent, costs a table look-up a byte: the classes of the last three characters
//! form an index, and the table says what the newest one adds to eight counters that share one integer.

use super::{TokenEstimate, TokenFamily, family::Weights};

/// Counts of character classes, from which the number of tokens is estimated.
///
/// Texts are fed in pieces; however a text is cut, the counts are the same. Holds numbers, never text.
///
/// ```
/// use llm_core::{TextCount, TokenFamily};
///
/// let mut count = TextCount::new();
/// count.add("Why is the sk");
/// count.add("y blue?");
/// assert_eq!(count.likely(TokenFamily::O200k), 6);
/// assert_eq!(count.bound(TokenFamily::O200k), 7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCount {
    words: u64,
    letters: u64,
    long_word_letters: u64,
    digits: u64,
    digit_runs: u64,
    punctuation: u64,
    newlines: u64,
    space_runs: u64,
    cjk: u64,
    other_letters: u64,
    rare_bytes: u64,
    /// Classes of the last two characters, newest lowest.
    before: usize,
    /// Letters of the word that the text so far ends in, up to [`LONG_WORD`].
    word_letters: usize,
}

/// Letters of a word that are charged as the fit says; those after it are charged more.
const LONG_WORD: usize = 20;

const NONE: usize = 0;
const LETTER: usize = 1;
const DIGIT: usize = 2;
const SPACE: usize = 3;
const NEWLINE: usize = 4;
const PUNCTUATION: usize = 5;
const CJK: usize = 6;
/// Other letters and rare characters. They count one by one, so they need no class each.
const SINGLE: usize = 7;

const CLASS_BITS: u32 = 3;
const CLASSES: usize = 1 << CLASS_BITS;
/// Three classes: two before, one now.
const STEPS: usize = 1 << (3 * CLASS_BITS);
const TWO_CLASSES: usize = (1 << (2 * CLASS_BITS)) - 1;

/// Bits of one counter in a packed step. A batch has at most as many characters as a counter can hold.
const LANE_BITS: u32 = 8;
const BATCH: usize = (1 << LANE_BITS) - 1;
const LETTERS: u32 = 0;
const WORDS: u32 = 1;
const DIGITS: u32 = 2;
const DIGIT_RUNS: u32 = 3;
const NEWLINES: u32 = 4;
const PUNCTUATIONS: u32 = 5;
const SPACE_RUNS: u32 = 6;
const LONG_WORD_LETTERS: u32 = 7;

static ASCII: [u8; 128] = ascii_classes();
static STEP: [u64; STEPS] = steps();
/// What a character adds on top, by whether its word is long already, and by its class.
static LATE: [[u64; CLASSES]; 2] = [[0; CLASSES], late()];

const fn ascii_classes() -> [u8; 128] {
    let mut classes = [PUNCTUATION as u8; 128];
    let mut byte = 0;
    while byte < 128 {
        let class = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'\n' => NEWLINE,
            b' ' | b'\t' | b'\r' | 0x0B | 0x0C => SPACE,
            _ => PUNCTUATION,
        };
        classes[byte] = class as u8;
        byte += 1;
    }
    classes
}

const fn late() -> [u64; CLASSES] {
    let mut late = [0; CLASSES];
    late[LETTER] = one(LONG_WORD_LETTERS);
    late
}

const fn one(lane: u32) -> u64 {
    1 << (lane * LANE_BITS)
}

const fn steps() -> [u64; STEPS] {
    let mut steps = [0; STEPS];
    let mut index = 0;
    while index < STEPS {
        let class = index % CLASSES;
        let before = (index >> CLASS_BITS) % CLASSES;
        let before_that = index >> (2 * CLASS_BITS);
        steps[index] = match class {
            LETTER if before == LETTER => one(LETTERS),
            LETTER => one(LETTERS) + one(WORDS),
            DIGIT if before == DIGIT => one(DIGITS),
            DIGIT => one(DIGITS) + one(DIGIT_RUNS),
            NEWLINE => one(NEWLINES),
            PUNCTUATION => one(PUNCTUATIONS),
            // A single space belongs to the word after it; a run begins with the second.
            SPACE if before == SPACE && before_that != SPACE => one(SPACE_RUNS),
            _ => 0,
        };
        index += 1;
    }
    steps
}

impl TextCount {
    /// Counts of no text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the next piece of a text. A word, number or run of spaces may go on from the piece before.
    pub fn add(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at += self.add_ascii(&bytes[at..bytes.len().min(at + BATCH)]);
            // `at` stands at the start of a character: all bytes before it were ASCII or whole characters.
            for character in text[at..].chars().take_while(|character| !character.is_ascii()) {
                self.add_wide(character);
                at += character.len_utf8();
            }
        }
    }

    /// Ends the text: what is added next stands apart from what was added before.
    pub fn boundary(&mut self) {
        self.before = NONE;
        self.word_letters = 0;
    }

    /// The best guess at the number of tokens.
    pub fn likely(&self, family: TokenFamily) -> u64 {
        // The weights are thousandths of a token, the scale tenths.
        self.weighed(family).div_ceil(1_000 * 10)
    }

    /// A number of tokens that is rarely exceeded: 1.2 times the likely one, 1.4 times for the newest Claude models.
    pub fn bound(&self, family: TokenFamily) -> u64 {
        self.weighed(family).saturating_mul(family.bound_tenths()).div_ceil(1_000 * 10 * 10)
    }

    /// Both readings.
    pub fn estimate(&self, family: TokenFamily) -> TokenEstimate {
        TokenEstimate { likely: self.likely(family), bound: self.bound(family) }
    }

    fn weighed(&self, family: TokenFamily) -> u64 {
        let Weights {
            word,
            letter,
            digit,
            digit_run,
            punctuation,
            newline,
            space_run,
            cjk,
            other_letter,
            long_word_letter,
            rare_byte,
        } = *family.weights();
        let lines = [
            self.words.saturating_mul(word),
            self.letters.saturating_mul(letter),
            self.long_word_letters.saturating_mul(long_word_letter),
            self.digits.saturating_mul(digit),
            self.digit_runs.saturating_mul(digit_run),
            self.punctuation.saturating_mul(punctuation),
            self.newlines.saturating_mul(newline),
            self.space_runs.saturating_mul(space_run),
            self.cjk.saturating_mul(cjk),
            self.other_letters.saturating_mul(other_letter),
            self.rare_bytes.saturating_mul(rare_byte),
        ];
        lines.into_iter().fold(0, u64::saturating_add).saturating_mul(family.scale_tenths())
    }

    /// Counts up to the first byte that is not ASCII, or all of `batch`, and says how many bytes that was.
    fn add_ascii(&mut self, batch: &[u8]) -> usize {
        let (mut before, mut lanes) = (self.before, 0);
        // Where the current word began. Places count from `BATCH` on, since it may have begun before this batch.
        let mut word_start = BATCH - self.word_letters;
        let mut counted = 0;
        for &byte in batch {
            let Some(&class) = ASCII.get(usize::from(byte)) else { break };
            let class = usize::from(class);
            let index = (before << CLASS_BITS) | class;
            before = index & TWO_CLASSES;
            let at = BATCH + counted;
            let is_late = at - word_start >= LONG_WORD;
            word_start = if class == LETTER { word_start } else { at + 1 };
            lanes += STEP[index] + LATE[usize::from(is_late)][class];
            counted += 1;
        }
        self.before = before;
        self.word_letters = (BATCH + counted - word_start).min(LONG_WORD);
        self.unpack(lanes);
        counted
    }

    fn add_wide(&mut self, character: char) {
        let class = match Wide::of(character) {
            Wide::Letter => LETTER,
            Wide::Punctuation => PUNCTUATION,
            Wide::Cjk => {
                self.cjk += 1;
                CJK
            }
            Wide::OtherLetter => {
                self.other_letters += 1;
                SINGLE
            }
            Wide::Rare => {
                self.rare_bytes += character.len_utf8() as u64;
                SINGLE
            }
        };
        let index = (self.before << CLASS_BITS) | class;
        self.before = index & TWO_CLASSES;
        self.unpack(STEP[index]);
        if class == LETTER {
            self.long_word_letters += u64::from(self.word_letters >= LONG_WORD);
            self.word_letters = (self.word_letters + 1).min(LONG_WORD);
        } else {
            self.word_letters = 0;
        }
    }

    fn unpack(&mut self, lanes: u64) {
        let lane = |lane: u32| (lanes >> (lane * LANE_BITS)) & BATCH as u64;
        self.letters += lane(LETTERS);
        self.words += lane(WORDS);
        self.digits += lane(DIGITS);
        self.digit_runs += lane(DIGIT_RUNS);
        self.newlines += lane(NEWLINES);
        self.punctuation += lane(PUNCTUATIONS);
        self.space_runs += lane(SPACE_RUNS);
        self.long_word_letters += lane(LONG_WORD_LETTERS);
    }
}

/// The class of a character beyond ASCII.
enum Wide {
    /// Latin letters with marks; they continue words.
    Letter,
    /// What prose uses: typographic quotes, dashes, `§`, `°`, hard spaces.
    Punctuation,
    /// Chinese, Japanese and Korean, with their punctuation and full-width forms.
    Cjk,
    /// Alphabets that vocabularies know well: Greek to Thai, Georgian.
    OtherLetter,
    Rare,
}

impl Wide {
    fn of(character: char) -> Self {
        match u32::from(character) {
            0xAA | 0xBA | 0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x24F | 0x1E00..=0x1EFF => Self::Letter,
            0x80..=0xBF | 0xD7 | 0xF7 | 0x2000..=0x206F => Self::Punctuation,
            0x1100..=0x11FF | 0x2E80..=0xA4CF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF => Self::Cjk,
            0x2_0000..=0x3_FFFF => Self::Cjk,
            0x370..=0x6FF | 0x900..=0xE7F | 0x10A0..=0x10FF | 0x1F00..=0x1FFF => Self::OtherLetter,
            _ => Self::Rare,
        }
    }
}
