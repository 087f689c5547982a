//! Counts character classes in one pass.
//!
//! A block of characters is taken at a time, each by a byte of its class, and all of them are counted at once: each by itself
//! and beside the two before it. A block that is not full is counted as if it were, which is less than to look where it ends.

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
    /// Classes of the last two characters, newest last.
    before: [u8; BEFORE],
    /// Letters of the word that the text so far ends in, up to [`LONG_WORD`].
    word_letters: usize,
}

/// Letters of a word that are charged as the fit says; those after it are charged more.
const LONG_WORD: usize = 20;

/// Of no character, and of those that count one by one, whatever stands beside them.
const NONE: u8 = 0;
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 3;
const NEWLINE: u8 = 4;
const PUNCTUATION: u8 = 5;

/// How many characters before it decide what one counts for.
const BEFORE: usize = 2;
/// Characters of a block. A byte can count them.
const BLOCK: usize = 32;
/// Stands for a character of no class.
const BLANK: u8 = 0x80;

/// The class of an ASCII character. Without a table, so that those of a block are worked out at once.
const fn class_of(byte: u8) -> u8 {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    let is_newline = byte == b'\n';
    // Tab to carriage return; of those the newline has a class of its own.
    let is_space = (byte == b' ') | (byte.wrapping_sub(b'\t') < 5);
    match (is_letter, is_digit, is_newline, is_space) {
        (true, ..) => LETTER,
        (_, true, ..) => DIGIT,
        (_, _, true, _) => NEWLINE,
        (_, _, _, true) => SPACE,
        _ if byte < BLANK => PUNCTUATION,
        _ => NONE,
    }
}

/// How many ASCII characters come first.
fn ascii_prefix(bytes: &[u8]) -> usize {
    let whole: usize = bytes.chunks(32).take_while(|chunk| chunk.is_ascii()).map(<[u8]>::len).sum();
    whole + bytes[whole..].iter().take_while(|byte| byte.is_ascii()).count()
}

impl TextCount {
    /// Counts of no text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the next piece of a text. A word, number or run of spaces may go on from the piece before.
    pub fn add(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (mut block, mut filled) = ([BLANK; BLOCK], 0);
            while filled < BLOCK && !rest.is_empty() {
                let ascii = ascii_prefix(&rest.as_bytes()[..rest.len().min(BLOCK - filled)]);
                block[filled..filled + ascii].copy_from_slice(&rest.as_bytes()[..ascii]);
                filled += ascii;
                rest = &rest[ascii..];
                if let (Some(place), Some(wide)) = (block.get_mut(filled), rest.chars().next()) {
                    *place = self.stand_in(wide);
                    filled += 1;
                    rest = &rest[wide.len_utf8()..];
                }
            }
            self.count(&block, filled);
        }
    }

    /// Ends the text: what is added next stands apart from what was added before.
    pub fn boundary(&mut self) {
        self.before = [NONE; BEFORE];
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

    /// Counts a block, of which so many places are filled.
    fn count(&mut self, block: &[u8; BLOCK], filled: usize) {
        let mut classes = [NONE; BEFORE + BLOCK];
        classes[..BEFORE].copy_from_slice(&self.before);
        for (class, byte) in classes[BEFORE..].iter_mut().zip(block) {
            *class = class_of(*byte);
        }
        let (mut letters, mut words, mut digits, mut digit_runs) = (0_u8, 0_u8, 0_u8, 0_u8);
        let (mut newlines, mut punctuation, mut space_runs) = (0_u8, 0_u8, 0_u8);
        for place in 0..BLOCK {
            let (before_that, before, now) = (classes[place], classes[place + 1], classes[place + BEFORE]);
            letters += u8::from(now == LETTER);
            words += u8::from((now == LETTER) & (before != LETTER));
            digits += u8::from(now == DIGIT);
            digit_runs += u8::from((now == DIGIT) & (before != DIGIT));
            newlines += u8::from(now == NEWLINE);
            punctuation += u8::from(now == PUNCTUATION);
            // A single space belongs to the word after it; a run begins with the second.
            space_runs += u8::from((now == SPACE) & (before == SPACE) & (before_that != SPACE));
        }
        self.letters += u64::from(letters);
        self.words += u64::from(words);
        self.digits += u64::from(digits);
        self.digit_runs += u64::from(digit_runs);
        self.newlines += u64::from(newlines);
        self.punctuation += u64::from(punctuation);
        self.space_runs += u64::from(space_runs);
        self.count_long_words(&classes[BEFORE..BEFORE + filled]);
        self.before.copy_from_slice(&classes[filled..filled + BEFORE]);
    }

    /// Counts the letters behind the first [`LONG_WORD`] of their word. Looked for from where the first of them would be, so
    /// that most of what are no long words is never looked at.
    fn count_long_words(&mut self, classes: &[u8]) {
        let (mut start, mut begun) = (0, self.word_letters);
        loop {
            let late = start + LONG_WORD - begun;
            let Some(window) = classes.get(start..=late) else { break };
            begun = 0;
            match window.iter().rposition(|class| *class != LETTER) {
                Some(at) => start += at + 1,
                None => {
                    let letters = classes[late..].iter().take_while(|class| **class == LETTER).count();
                    self.long_word_letters += letters as u64;
                    start = late + letters;
                }
            }
        }
        let letters = classes.iter().rev().take(LONG_WORD).take_while(|class| **class == LETTER).count();
        let before = if letters == classes.len() { self.word_letters } else { 0 };
        self.word_letters = (before + letters).min(LONG_WORD);
    }

    /// A byte of the same class. What counts one by one is counted.
    fn stand_in(&mut self, character: char) -> u8 {
        match Wide::of(character) {
            Wide::Letter => return b'a',
            Wide::Punctuation => return b'.',
            Wide::Cjk => self.cjk += 1,
            Wide::OtherLetter => self.other_letters += 1,
            Wide::Rare => self.rare_bytes += character.len_utf8() as u64,
        }
        BLANK
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
