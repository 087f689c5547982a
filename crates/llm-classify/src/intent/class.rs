//! What sort of character one is.

/// What a character is to the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Stands between words.
    Space,
    /// A mark or a symbol.
    Mark,
    /// A digit of ASCII.
    Digit,
    /// A letter, or what is written on, below or after one.
    Letter,
    /// A character of a script without spaces in which one or two characters are a word, and Hangul.
    Ideograph,
}

/// The classes of ASCII.
const ASCII: [Class; 128] = {
    let mut classes = [Class::Space; 128];
    let mut code = 0;
    while code < 128 {
        classes[code] = match code as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'!'..=b'~' => Class::Mark,
            _ => Class::Space,
        };
        code += 1;
    }
    classes
};

impl Class {
    /// By ranges of Unicode, which is coarse and quick.
    pub(crate) fn of(char: char) -> Self {
        ASCII.get(char as usize).copied().unwrap_or_else(|| Self::beyond_ascii(char))
    }

    fn beyond_ascii(char: char) -> Self {
        match char {
            '\u{85}' | '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{3000}' => Self::Space,
            '\u{80}'..='\u{a9}' | '\u{ab}'..='\u{b4}' | '\u{b6}'..='\u{b9}' | '\u{bb}'..='\u{bf}' | '×' | '÷' => {
                Self::Mark
            }
            '\u{200c}'..='\u{206f}' | '\u{20a0}'..='\u{20cf}' | '\u{2190}'..='\u{2bff}' => Self::Mark,
            '\u{3001}'..='\u{303f}' | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' => Self::Mark,
            '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}' | '\u{1f000}'..='\u{1faff}' => Self::Mark,
            '\u{2e80}'..='\u{2fff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' => Self::Ideograph,
            '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' => Self::Ideograph,
            '\u{20000}'..='\u{3ffff}' => Self::Ideograph,
            _ => Self::Letter,
        }
    }
}
