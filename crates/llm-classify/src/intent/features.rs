//! What is told of a text: its words, pieces of its words, how it begins, and what it looks like.

use super::{
    class::Class,
    cues::{Cues, LETTERS},
    hash,
    structure::{Counts, FIGURES},
    text::{FENCE, Letter, Text},
};

/// Rows of each table of weights.
pub const ROWS: usize = 1 << BITS;
const BITS: u32 = 14;

/// Longest piece of a word, in characters.
const LONGEST: usize = 5;
/// Words at the beginning of a text that count apart from the others.
const FIRST: usize = 12;
/// Figures that say which hints there are: anywhere, among the first words, as the first that hints at all, and anywhere
/// beside a block of code.
const HINTS: usize = Cues::GROUPS * 4;
/// Figures besides words and pieces of words.
pub const DENSE: usize = FIGURES + HINTS;

/// The kinds of features that find their weights by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Words, pairs of words, and marks.
    Words,
    /// Pieces of words.
    Pieces,
    /// The first words and pairs of words. They share the table of [`Words`](Self::Words).
    First,
}

/// How many families there are.
pub const FAMILIES: usize = Family::ALL.len();

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Words, Self::Pieces, Self::First];
}

/// Takes the features of a text.
pub trait Sink {
    /// The text has the features `rows` of `family`. Words, pairs and marks are told once each; of a word that comes
    /// again no pieces are told.
    fn has<const N: usize>(&mut self, family: Family, rows: [usize; N]);
}

/// Rows that were told already.
struct Seen([u64; ROWS / 64]);

impl Seen {
    fn new() -> Self {
        Self([0; ROWS / 64])
    }

    /// Whether `row` is new.
    fn insert(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

/// What hashes of pairs, marks and first words begin with, so that they find rows of their own.
const PAIR: u32 = 0x5bd1_e995;
const MARK: u32 = 0x27d4_eb2f;
const FIRST_WORD: u32 = 0x1656_67b1;

fn row(hash: u32) -> usize {
    (hash >> (32 - BITS)) as usize
}

/// Reads `text`, tells `sink` what it has, and returns its figures.
pub(crate) fn read(text: &Text, sink: &mut impl Sink) -> [f32; DENSE] {
    let mut reader = Reader {
        sink,
        cues: Cues::table(),
        words: Seen::new(),
        first: Seen::new(),
        previous: 0,
        position: 0,
        anywhere: [0; Cues::GROUPS],
        beginning: [0; Cues::GROUPS],
        leading: 0,
    };
    let mut counts = Counts::default();
    let letters = text.letters();
    let mut place = 0;
    let mut mark = '\0';
    // Within a block of code only its looks are told.
    let mut is_code = false;
    while let Some(letter) = letters.get(place) {
        if text.cut() == Some(place) {
            is_code = text.begins_in_code(place);
        }
        if letter.char == '`' && text.is_fence(place) {
            is_code = !is_code;
            counts.fence();
            mark = '\0';
            place += FENCE;
            continue;
        }
        let before = std::mem::replace(&mut mark, '\0');
        place = match letter.class {
            Class::Space => {
                counts.space(letters, place);
                place + 1
            }
            Class::Mark => {
                counts.mark(letters, place);
                if !is_code {
                    reader.mark(letter.char, before);
                }
                mark = letter.char;
                place + 1
            }
            Class::Letter | Class::Digit => {
                let end = end(letters, place, |class| matches!(class, Class::Letter | Class::Digit));
                counts.word(&letters[place..end]);
                if !is_code {
                    reader.word(&letters[place..end]);
                }
                end
            }
            Class::Ideograph => {
                let end = end(letters, place, |class| class == Class::Ideograph);
                counts.ideographs(&letters[place..end]);
                if !is_code {
                    reader.ideographs(&letters[place..end]);
                }
                end
            }
        };
    }
    reader.dense(counts.figures(text))
}

/// Where the run of characters ends that begins at `place`.
fn end(letters: &[Letter], place: usize, belongs: impl Fn(Class) -> bool) -> usize {
    let run = letters[place..].iter().take_while(|letter| belongs(letter.class));
    place + run.count()
}

struct Reader<'a, S> {
    sink: &'a mut S,
    cues: &'static Cues,
    words: Seen,
    first: Seen,
    /// The hash of the word before.
    previous: u32,
    /// How many words were read.
    position: usize,
    anywhere: [u32; Cues::GROUPS],
    beginning: [u32; Cues::GROUPS],
    /// The groups of the first word that hints at something.
    leading: u16,
}

impl<S: Sink> Reader<'_, S> {
    fn mark(&mut self, char: char, before: char) {
        let hash = hash::add(MARK, char);
        self.tell_word(hash);
        if before != '\0' {
            self.tell_word(hash::add(hash, before));
        }
    }

    fn word(&mut self, word: &[Letter]) {
        let (first, rest) = word.split_at(word.len().min(LETTERS));
        let key = first.iter().fold(0, |hash, letter| hash::add(hash, letter.shape));
        let hash = rest.iter().fold(key, |hash, letter| hash::add(hash, letter.shape));
        self.hint(self.cues.groups(key));
        // With a sign for the beginning and the end of a word.
        if self.token(hash) {
            self.pieces(word, true);
        }
    }

    fn ideographs(&mut self, run: &[Letter]) {
        for (place, letter) in run.iter().enumerate() {
            if let Some(next) = run.get(place + 1) {
                self.hint(self.cues.groups(hash::add(hash::add(0, letter.shape), next.shape)));
            }
            self.token(hash::add(0, letter.shape));
        }
        self.pieces(run, false);
    }

    /// A word, and the pair that it makes with the one before. Whether the word is new.
    fn token(&mut self, hash: u32) -> bool {
        let pair = hash::mix(hash::mix(PAIR, self.previous), hash);
        let is_new = self.tell_word(hash::mix(hash, 0));
        self.tell_word(pair);
        if self.position < FIRST {
            self.tell_first(hash::mix(FIRST_WORD, hash));
            self.tell_first(hash::mix(FIRST_WORD, pair));
        }
        self.previous = hash;
        self.position += 1;
        is_new
    }

    /// All pieces of two to [`LONGEST`] characters. A word has a sign before and one after it, a run of ideographs not.
    fn pieces(&mut self, run: &[Letter], has_ends: bool) {
        if has_ends {
            self.pieces_after(hash::add(0, '<'), run, has_ends);
        }
        for (place, letter) in (1..).zip(run) {
            self.pieces_after(hash::add(0, letter.shape), &run[place..], has_ends);
        }
    }

    /// The pieces that begin with the character of this hash and go on with `rest`.
    #[inline]
    fn pieces_after(&mut self, mut hash: u32, rest: &[Letter], has_ends: bool) {
        let mut longer = |char: char| {
            hash = hash::add(hash, char);
            row(hash)
        };
        if let Some(next) = rest.first_chunk::<{ LONGEST - 1 }>() {
            return self.sink.has(Family::Pieces, next.map(|letter| longer(letter.shape)));
        }
        for letter in rest {
            self.sink.has(Family::Pieces, [longer(letter.shape)]);
        }
        if has_ends {
            self.sink.has(Family::Pieces, [longer('>')]);
        }
    }

    fn tell_word(&mut self, hash: u32) -> bool {
        let row = row(hash);
        let is_new = self.words.insert(row);
        if is_new {
            self.sink.has(Family::Words, [row]);
        }
        is_new
    }

    fn tell_first(&mut self, hash: u32) {
        let row = row(hash);
        if self.first.insert(row) {
            self.sink.has(Family::First, [row]);
        }
    }

    fn hint(&mut self, groups: u16) {
        if groups == 0 {
            return;
        }
        let is_first = u32::from(self.position < FIRST);
        for group in (0..Cues::GROUPS).filter(|group| groups >> group & 1 == 1) {
            self.anywhere[group] += 1;
            self.beginning[group] += is_first;
        }
        if self.leading == 0 {
            self.leading = groups;
        }
    }

    fn dense(&self, figures: [f32; FIGURES]) -> [f32; DENSE] {
        let mut dense = [0.0; DENSE];
        dense[..FIGURES].copy_from_slice(&figures);
        let hints = dense[FIGURES..].chunks_exact_mut(4).enumerate();
        for (group, hint) in hints {
            hint[0] = self.anywhere[group].min(3) as f32 / 3.0;
            hint[1] = self.beginning[group].min(2) as f32 / 2.0;
            hint[2] = f32::from(self.leading >> group & 1);
            // The first figure tells whether there is a block of code.
            hint[3] = hint[0] * figures[0];
        }
        dense
    }
}
