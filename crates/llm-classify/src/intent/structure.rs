//! What a text looks like, whatever its words: some thirty figures from 0 to 1.

use super::{
    class::Class,
    text::{Letter, Text},
};

/// The figures, in the order in which weights are kept for them.
pub(crate) const FIGURES: usize = 34;

/// What is counted in one pass.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Where the line and the quotation began that are being read.
    line: usize,
    quote: Option<usize>,
    spaces: u32,
    digits: u32,
    ideographs: u32,
    upper: u32,
    latin: u32,
    cyrillic: u32,
    brackets: u32,
    operators: u32,
    questions: u32,
    commas: u32,
    lines: u32,
    /// Lines that begin with two spaces or a tab, end in what ends a line of code, or begin as a comment.
    indented: u32,
    code_ends: u32,
    /// Lines that begin as one of several options, `A)` or `2.` or `-`.
    options: u32,
    camel: u32,
    snake: u32,
    /// `()`, `::`, `->`, `=>`, `==`, `</`, `${` and their like.
    pairs: u32,
    fences: u32,
    backslashes: u32,
    dollars: u32,
    numbers: u32,
    quoted: u32,
    longest_quote: u32,
    tags: u32,
    /// An equals sign, plus or minus between figures or single letters.
    arithmetic: u32,
    first_line: u32,
    urls: u32,
    colons_at_end: u32,
}

impl Counts {
    /// Counts a run of letters and digits.
    pub(crate) fn word(&mut self, word: &[Letter]) {
        // Most words, and they have nothing else to count.
        if word.iter().all(|letter| letter.char.is_ascii_lowercase()) {
            self.latin += word.len() as u32;
            return;
        }
        let mut before = ' ';
        for &Letter { char, class, .. } in word {
            let (is_digit, is_upper) = (class == Class::Digit, char.is_ascii_uppercase());
            self.digits += u32::from(is_digit);
            self.numbers += u32::from(is_digit && !before.is_ascii_digit());
            self.latin += u32::from(!is_digit && char < '\u{250}');
            self.cyrillic += u32::from(('\u{400}'..'\u{530}').contains(&char));
            self.upper += u32::from(is_upper);
            self.camel += u32::from(is_upper && before.is_ascii_lowercase());
            before = char;
        }
    }

    /// Counts a run of ideographs.
    pub(crate) fn ideographs(&mut self, run: &[Letter]) {
        self.ideographs += run.len() as u32;
    }

    /// Counts the space at `place`.
    pub(crate) fn space(&mut self, letters: &[Letter], place: usize) {
        self.spaces += 1;
        if letters[place].char == '\n' {
            end_line(self, &letters[self.line..place]);
            self.line = place + 1;
        }
    }

    /// Counts a fence of code.
    pub(crate) fn fence(&mut self) {
        self.fences += 1;
    }

    /// Counts the mark at `place`.
    pub(crate) fn mark(&mut self, letters: &[Letter], place: usize) {
        let at = |back: usize| place.checked_sub(back).map_or('\n', |place| letters[place].char);
        mark(self, at(0), at(1), at(2));
        if matches!(at(0), '"' | '“' | '”' | '«' | '»' | '「' | '」') {
            self.quote = match self.quote {
                Some(begin) => {
                    self.end_quote(place - begin);
                    None
                }
                None => Some(place),
            };
        }
    }

    fn end_quote(&mut self, length: usize) {
        self.quoted += length as u32;
        self.longest_quote = self.longest_quote.max(length as u32);
    }

    /// The figures of `text`, of which everything was counted.
    pub(crate) fn figures(&self, text: &Text) -> [f32; FIGURES] {
        let length = text.letters().len().max(1) as f32;
        let inked = (length - self.spaces as f32).max(1.0);
        let lines = self.lines.max(1) as f32;
        let share = |count: u32| (count as f32 / inked).min(1.0);
        let dense = |count: u32, full: f32| (count as f32 / inked / full).min(1.0);
        let some = |count: u32, full: f32| (count as f32 / full).min(1.0);
        let flag = |is: bool| f32::from(u8::from(is));
        [
            flag(self.fences > 0),
            dense(self.brackets, 0.1),
            dense(self.operators, 0.1),
            some(self.camel, 3.0),
            some(self.snake, 3.0),
            some(self.pairs, 5.0),
            some(self.tags, 2.0),
            some(self.code_ends, 3.0),
            some(self.code_ends, 3.0) * (self.code_ends as f32 / lines),
            self.indented as f32 / lines,
            some(self.backslashes, 4.0),
            some(self.dollars, 4.0),
            some(self.options, 4.0),
            share(self.digits),
            some(self.numbers, 8.0),
            some(self.arithmetic, 3.0),
            share(self.latin),
            share(self.cyrillic),
            share(self.ideographs),
            dense(self.upper, 0.2),
            some(self.longest_quote, 200.0),
            share(self.quoted),
            some(self.questions, 2.0),
            flag(ends_with_question(text.letters())),
            dense(self.commas, 0.04),
            flag(length < 50.0),
            flag((50.0..150.0).contains(&length)),
            flag((150.0..500.0).contains(&length)),
            flag(length >= 500.0),
            flag(text.cut().is_some()),
            some(self.lines, 20.0),
            flag(self.lines > 1 && self.first_line < 160 && self.first_line as f32 * 2.0 < length),
            flag(self.colons_at_end > 0),
            flag(self.urls > 0),
        ]
    }
}

fn ends_with_question(letters: &[Letter]) -> bool {
    let last = letters.iter().rev().find(|letter| letter.class != Class::Space);
    last.is_some_and(|letter| matches!(letter.char, '?' | '？' | '؟'))
}

fn mark(counts: &mut Counts, char: char, before: char, before_that: char) {
    match char {
        '{' | '}' | '[' | ']' | '(' | ')' | ';' => counts.brackets += 1,
        '=' | '+' | '*' | '/' | '<' | '>' | '&' | '|' | '^' | '%' | '~' | '×' | '÷' | '−' => counts.operators += 1,
        '?' | '？' | '؟' => counts.questions += 1,
        ',' | '，' | '、' => counts.commas += 1,
        '\\' => counts.backslashes += 1,
        '$' => counts.dollars += 1,
        '_' => counts.snake += u32::from(before.is_ascii_alphanumeric()),
        _ => {}
    }
    match (before, char) {
        ('(', ')')
        | (':', ':')
        | ('-', '>')
        | ('=', '>')
        | ('=', '=')
        | ('!', '=')
        | ('$', '{')
        | ('[', ']')
        | ('+', '=') => {
            counts.pairs += 1;
        }
        ('<', '/') | ('/', '>') => counts.tags += 1,
        (':', '/') => counts.urls += 1,
        _ => {}
    }
    let is_operand = |char: char| char.is_ascii_digit() || matches!(char, ')' | ' ' | 'x' | 'n');
    counts.arithmetic +=
        u32::from(matches!(char, '=' | '+' | '^' | '*' | '/') && is_operand(before) && before_that != char);
}

fn end_line(counts: &mut Counts, line: &[Letter]) {
    let begin = line.iter().position(|letter| letter.class != Class::Space);
    let Some(begin) = begin else { return };
    let end = line.iter().rposition(|letter| letter.class != Class::Space).unwrap_or(begin);
    let at = |place: usize| line.get(place).map_or(' ', |letter| letter.char);
    let (first, last) = (at(begin), at(end));
    if counts.lines == 0 {
        counts.first_line = line.len() as u32;
    }
    counts.lines += 1;
    counts.indented += u32::from(at(0) == '\t' || (begin >= 2 && at(0) == ' '));
    counts.code_ends += u32::from(matches!(last, ';' | '{' | '}') || (first == '#' && at(begin + 1) != '#'));
    counts.colons_at_end += u32::from(matches!(last, ':' | '：'));
    let second = at(begin + 1);
    let third = at(begin + 2);
    let is_option = match first {
        '(' => third == ')',
        '-' | '*' | '•' => second == ' ',
        _ => first.is_ascii_alphanumeric() && matches!(second, ')' | '.' | ':') && third.is_whitespace(),
    };
    counts.options += u32::from(is_option);
}
