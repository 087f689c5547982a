//! Texts in plain characters: digits of other scripts and widths, what cannot be seen, and the escapes of JSON.

/// `text` with what only looks different written plainly, if there is any of it:
/// digits of other scripts, letters and marks of full width, dashes and spaces of all widths, escapes such as `\u0040`.
/// What has no width is left out.
pub(crate) fn fold(text: &str) -> Option<String> {
    let (mut folded, mut copied) = (None, 0);
    let mut at = 0;
    while let Some((start, end, plain)) = next(text, at) {
        let folded = folded.get_or_insert_with(|| String::with_capacity(text.len()));
        folded.push_str(&text[copied..start]);
        folded.extend(plain);
        copied = end;
        at = end;
    }
    let mut folded = folded?;
    folded.push_str(&text[copied..]);
    Some(folded)
}

/// Where from `at` on something begins and ends that is written otherwise, and what it is plainly.
fn next(text: &str, at: usize) -> Option<(usize, usize, Option<char>)> {
    let bytes = text.as_bytes();
    // What is ASCII but for escapes is passed over quickly.
    let mut from = at;
    loop {
        let start = from + bytes[from..].iter().position(|&byte| byte == b'\\' || byte >= 0x80)?;
        if bytes[start] == b'\\' {
            if let Some(char) = escape(&bytes[start..]) {
                return Some((start, start + ESCAPE, plain(char).unwrap_or(Some(char))));
            }
            from = start + 1;
        } else {
            let char = text[start..].chars().next()?;
            let end = start + char.len_utf8();
            if let Some(plain) = plain(char) {
                return Some((start, end, plain));
            }
            from = end;
        }
    }
}

/// Bytes of an escape.
const ESCAPE: usize = 6;

/// The character whose escape, such as `\u0040`, `bytes` begin with (RFC 8259, section 7). Those of two halves are none
/// that matter here.
fn escape(bytes: &[u8]) -> Option<char> {
    let digits = bytes.get(..ESCAPE)?.strip_prefix(b"\\u")?;
    let code = digits.iter().try_fold(0, |code, &digit| Some(code * 16 + char::from(digit).to_digit(16)?))?;
    char::from_u32(code)
}

/// The plain form of what looks different: `Some(None)` of what cannot be seen, `None` of what is as it should be.
fn plain(char: char) -> Option<Option<char>> {
    /// The zeros of scripts whose digits follow one another: Arabic, Persian, Devanagari, Bengali and Thai.
    const ZEROS: [char; 5] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}'];
    let digit = |zero: char| char::from_digit((char as u32).checked_sub(zero as u32)?, 10);
    match char {
        // Soft hyphens, joiners and marks of direction.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            Some(None)
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some(Some('-')),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(Some(' ')),
        // Their codes are those of ASCII and a constant.
        '\u{ff01}'..='\u{ff5e}' => Some(char::from_u32(char as u32 - 0xfee0)),
        _ => ZEROS.into_iter().find_map(digit).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_stays_as_it_is() {
        for text in ["", "plain", "line\\nline", "C:\\users", "\\u12", "\\u12g4", "号é👍", "d:\\"] {
            assert_eq!(fold(text), None, "{text}");
        }
    }

    #[test]
    fn what_looks_different_is_written_plainly() {
        for (text, plain) in [
            ("４１－１＠Ａ", "41-1@A"),
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("۰۹ ०९ ০৯ ๐๙", "09 09 09 09"),
            ("a\u{200b}b\u{ad}c\u{feff}", "abc"),
            ("1–2\u{2009}3\u{3000}4\u{a0}5", "1-2 3 4 5"),
            (r"jane\u0040example.com\u003e1", "jane@example.com>1"),
            (r"4\u00A01\uff11\u200b2\u00e9", "4 112é"),
            (r"\ud83d\udc4d１", r"\ud83d\udc4d1"),
            (r"é\u12１", r"é\u121"),
        ] {
            assert_eq!(fold(text).as_deref(), Some(plain), "{text}");
        }
    }
}
