//! Escapes that stand for half a character: models that are cut off within an emoji leave them behind.
//!
//! The grammar of JSON allows `"\ud83d"` alone (RFC 8259, section 8.2), but no Rust text can hold it. Each becomes
//! U+FFFD, the replacement character.

use memchr::memchr;
use serde::de::DeserializeOwned;

const REPLACEMENT: &[u8] = b"fffd";

/// Reads JSON that could not be read as it is, if lone surrogates were the reason.
pub(crate) fn parse_mended<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(&without_lone_surrogates(json)?).ok()
}

/// The JSON with U+FFFD for every lone surrogate; `None` if there is none.
pub(crate) fn without_lone_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let escape = at + found;
        let Some(unit) = code_unit(json, escape) else {
            at = escape + 2;
            continue;
        };
        at = escape + 6;
        let is_pair = is_leading(unit) && code_unit(json, at).is_some_and(is_trailing);
        if is_pair {
            at += 6;
        } else if is_leading(unit) || is_trailing(unit) {
            mended.get_or_insert_with(|| json.to_vec())[escape + 2..at].copy_from_slice(REPLACEMENT);
        }
    }
    mended
}

/// The UTF-16 code unit that is escaped at `at`, if one is.
fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_leading(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_trailing(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(json: &str) -> Option<String> {
        without_lone_surrogates(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn every_lone_half_is_replaced_and_nothing_else() {
        for (json, expected) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\uDE00b""#, r#""\ufffdb""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud83d\n\\\udc00""#, r#""\ufffd\n\\\ufffd""#),
        ] {
            assert_eq!(mended(json).as_deref(), Some(expected));
            assert!(parse_mended::<String>(json.as_bytes()).unwrap().contains('\u{fffd}'));
        }
    }

    #[test]
    fn whole_characters_other_escapes_and_escaped_backslashes_are_left_alone() {
        for json in
            ["", r#""plain""#, r#""\ud83d\ude00""#, r#""\u00e9\n""#, r#""\\ud83d""#, "\\", r"\u", r"\ud83", r"\uzzzz"]
        {
            assert_eq!(mended(json), None, "{json}");
        }
    }
}
