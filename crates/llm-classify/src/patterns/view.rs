//! A text as patterns look at it: byte by byte, and never far from where something caught the eye.

#[cfg(test)]
use std::cell::Cell;
use std::ops::Range;

use super::words::Words;

/// How far before a number a word may stand that says what it is, in bytes. About half a line.
const WORD_BEFORE: usize = 48;
/// The same behind it: "12345678 (my BSN)".
const WORD_AFTER: usize = 24;

/// The bytes of a text. What is not ASCII is never part of a number or token, and ends one.
pub(crate) struct View<'t> {
    bytes: &'t [u8],
    /// How many bytes were looked at, so that tests can tell how the work grows.
    #[cfg(test)]
    pub(crate) reads: Cell<u64>,
}

impl<'t> View<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            bytes: text.as_bytes(),
            #[cfg(test)]
            reads: Cell::new(0),
        }
    }

    pub(crate) fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    pub(crate) fn get(&self, at: usize) -> Option<u8> {
        #[cfg(test)]
        self.reads.set(self.reads.get() + 1);
        self.bytes.get(at).copied()
    }

    /// The byte `distance` before `at`.
    pub(crate) fn before(&self, at: usize, distance: usize) -> Option<u8> {
        self.get(at.checked_sub(distance)?)
    }

    fn is(&self, at: usize, class: impl Fn(u8) -> bool) -> bool {
        self.get(at).is_some_and(class)
    }

    pub(crate) fn is_digit(&self, at: usize) -> bool {
        self.is(at, |byte| byte.is_ascii_digit())
    }

    pub(crate) fn is_alphanumeric(&self, at: usize) -> bool {
        self.is(at, |byte| byte.is_ascii_alphanumeric())
    }

    /// Where the bytes of `class` end that begin at `start`; after `most` of them it stops looking.
    pub(crate) fn run(&self, start: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
        let mut end = start;
        while end - start < most && self.is(end, &class) {
            end += 1;
        }
        end
    }

    /// Whether `text` stands at `at`, in letters of either case.
    pub(crate) fn has(&self, at: usize, text: &str) -> bool {
        text.bytes().enumerate().all(|(offset, byte)| self.is(at + offset, |own| own.eq_ignore_ascii_case(&byte)))
    }

    /// Whether a word may begin at `at`: no letter or digit stands before it, but for that of an escape such as `\n`,
    /// which is what a line break looks like in JSON and in source code.
    pub(crate) fn begins(&self, at: usize) -> bool {
        match self.before(at, 1) {
            Some(byte) if byte.is_ascii_alphanumeric() => {
                matches!(byte, b'b' | b'f' | b'n' | b'r' | b't') && self.before(at, 2) == Some(b'\\')
            }
            Some(_) | None => true,
        }
    }

    /// Whether a word may end before `at`.
    pub(crate) fn ends(&self, at: usize) -> bool {
        !self.is_alphanumeric(at)
    }

    /// Whether a token may begin at `at`: a word, which is not the end of a longer one with hyphens.
    pub(crate) fn token_begins(&self, at: usize) -> bool {
        self.begins(at) && !matches!(self.before(at, 1), Some(b'-' | b'_'))
    }

    /// Whether a number may begin at `at`: a word, and neither decimals nor the middle of a longer number with hyphens.
    pub(crate) fn number_begins(&self, at: usize) -> bool {
        self.begins(at)
            && !(matches!(self.before(at, 1), Some(b'.' | b'-'))
                && self.before(at, 2).is_some_and(|byte| byte.is_ascii_digit()))
    }

    /// Whether a number may end before `at`.
    pub(crate) fn number_ends(&self, at: usize) -> bool {
        self.ends(at) && !(self.is(at, |byte| matches!(byte, b'.' | b'-')) && self.is_digit(at + 1))
    }

    /// What stands at `at` between the groups of a number, and how many bytes it is: a space (also one that does not
    /// break), a hyphen, a full stop or a slash.
    pub(crate) fn separator(&self, at: usize) -> Option<(u8, usize)> {
        match self.get(at)? {
            byte @ (b' ' | b'-' | b'.' | b'/') => Some((byte, 1)),
            0xC2 if self.get(at + 1) == Some(0xA0) => Some((b' ', 2)),
            // The narrow space and the hyphen that do not break.
            0xE2 if self.get(at + 1) == Some(0x80) => match self.get(at + 2)? {
                0xAF => Some((b' ', 3)),
                0x91 => Some((b'-', 3)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether digits stand beyond a separator, before `start` or behind `end`: then it is part of a list.
    pub(crate) fn is_in_list(&self, start: usize, end: usize) -> bool {
        let behind = self.separator(end).is_some_and(|(_, length)| self.is_digit(end + length));
        behind || self.follows_digits(start)
    }

    /// Whether digits and a separator stand before `start`.
    pub(crate) fn follows_digits(&self, start: usize) -> bool {
        (1..=3).filter_map(|length| Some((length, start.checked_sub(length)?))).any(|(length, at)| {
            self.separator(at).is_some_and(|(_, found)| found == length)
                && self.before(at, 1).is_some_and(|byte| byte.is_ascii_digit())
        })
    }

    /// Whether one of `words` stands near what is from `start` to `end`.
    pub(crate) fn is_near(&self, start: usize, end: usize, words: Words) -> bool {
        self.is_behind(start, words) || self.has_any(end..self.bytes.len().min(end + WORD_AFTER), words)
    }

    /// Whether one of `words` stands near and before `start`.
    pub(crate) fn is_behind(&self, start: usize, words: Words) -> bool {
        self.has_any(start.saturating_sub(WORD_BEFORE)..start, words)
    }

    fn has_any(&self, mut places: Range<usize>, words: Words) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0x80;
        places.any(|at| self.is(at, is_letter) && self.begins(at) && words.0.iter().any(|word| self.has_word(at, word)))
    }

    /// Whether `word` stands at `at`: in letters of either case, a space of it as nothing, a space, a hyphen or an
    /// underscore, and with more letters behind it only if it ends in an asterisk.
    fn has_word(&self, at: usize, word: &str) -> bool {
        let (word, is_beginning) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
        let mut at = at;
        for byte in word.bytes() {
            if byte == b' ' {
                at += usize::from(self.is(at, |own| matches!(own, b' ' | b'-' | b'_')));
            } else if self.is(at, |own| own.eq_ignore_ascii_case(&byte)) {
                at += 1;
            } else {
                return false;
            }
        }
        is_beginning || !self.is(at, |byte| byte.is_ascii_alphabetic())
    }
}
