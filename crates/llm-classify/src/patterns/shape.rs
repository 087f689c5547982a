//! The forms in which numbers are written.

use super::view::View;

/// The longest number that has a shape.
const LONGEST: usize = 24;

/// A number as it stands in the text, without what separates its groups.
pub(crate) struct Written {
    characters: [u8; LONGEST],
    length: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Written {
    /// Its digits and letters, the letters as capitals.
    pub(crate) fn characters(&self) -> &[u8] {
        &self.characters[..self.length]
    }

    fn push(&mut self, character: u8) {
        self.characters[self.length] = character.to_ascii_uppercase();
        self.length += 1;
    }
}

/// How a number is written. `d` is a digit, `A` a capital, `a` a letter of either case, `_` a separator that is the same
/// everywhere in it, `~` any separator or none; all else stands for itself. There is at least one `d`.
#[derive(Clone, Copy)]
pub(crate) struct Shape(pub(crate) &'static str);

impl Shape {
    /// How many digits stand in its first group.
    pub(crate) fn first_group(self) -> usize {
        self.0.bytes().skip_while(|&byte| byte != b'd').take_while(|&byte| byte == b'd').count()
    }

    /// The number of this shape whose first digit stands at `digit`.
    pub(crate) fn read(self, view: &View<'_>, digit: usize) -> Option<Written> {
        let lead = self.0.bytes().position(|byte| byte == b'd').expect("a shape has a digit");
        let separators = self.0[..lead].bytes().filter(|&byte| byte == b'_').count();
        // A separator is of one to three bytes.
        let starts = if separators == 0 { 0..=0 } else { 0..=2 };
        starts.filter_map(|more| digit.checked_sub(lead + more)).find_map(|start| self.read_from(view, start))
    }

    fn read_from(self, view: &View<'_>, start: usize) -> Option<Written> {
        let mut written = Written { characters: [0; LONGEST], length: 0, start, end: start };
        let mut separator = None;
        for expected in self.0.bytes() {
            match expected {
                b'_' => {
                    let (kind, length) = view.separator(written.end)?;
                    if *separator.get_or_insert(kind) != kind {
                        return None;
                    }
                    written.end += length;
                }
                b'~' => written.end += view.separator(written.end).map_or(0, |(_, length)| length),
                _ => {
                    let found = view.get(written.end)?;
                    let is_right = match expected {
                        b'd' => found.is_ascii_digit(),
                        b'A' => found.is_ascii_uppercase(),
                        b'a' => found.is_ascii_alphabetic(),
                        itself => found == itself,
                    };
                    if !is_right {
                        return None;
                    }
                    if found.is_ascii_alphanumeric() {
                        written.push(found);
                    }
                    written.end += 1;
                }
            }
        }
        (view.number_begins(start) && view.number_ends(written.end)).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: &'static str, text: &str) -> Option<String> {
        let digit = text.bytes().position(|byte| byte.is_ascii_digit())?;
        let written = Shape(shape).read(&View::new(text), digit)?;
        Some(String::from_utf8(written.characters().to_vec()).unwrap())
    }

    #[test]
    fn a_number_is_read_without_its_separators() {
        assert_eq!(read("ddd_dd_dddd", "is 123-45-6789.").as_deref(), Some("123456789"));
        assert_eq!(read("ddd_dd_dddd", "123\u{a0}45\u{202f}6789").as_deref(), Some("123456789"));
        assert_eq!(read("AA_dd_dd_dd_A", "AB 12 34 56 C").as_deref(), Some("AB123456C"));
        assert_eq!(read("AA_dd_dd_dd_A", "AB\u{a0}12\u{a0}34\u{a0}56\u{a0}C").as_deref(), Some("AB123456C"));
        assert_eq!(read("(ddd)~ddd~dddd", "(212) 555-0123").as_deref(), Some("2125550123"));
        assert_eq!(read("(ddd)~ddd~dddd", "(212)555 0123").as_deref(), Some("2125550123"));
        assert_eq!(read("dddA", "\\n123B\\n").as_deref(), Some("123B"));
        assert_eq!(read("ddda", "123b").as_deref(), Some("123B"));
    }

    #[test]
    fn what_is_written_otherwise_is_not() {
        for text in ["123-45 6789", "x123-45-6789", "123-45-67890", "123-45-6789-1", "0.123-45-6789", "123--45-6789"] {
            assert_eq!(read("ddd_dd_dddd", text), None, "{text}");
        }
        assert_eq!(read("dddA", "123b"), None);
    }

    #[test]
    fn the_first_group_is_that_of_digits() {
        assert_eq!(Shape("AA_dd_dd").first_group(), 2);
        assert_eq!(Shape("(ddd)~dddd").first_group(), 3);
    }
}
