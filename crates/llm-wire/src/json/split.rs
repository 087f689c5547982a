//! The values within JSON, found by its punctuation alone.
//!
//! A parser looks at each byte of a value to check it. Where the whole document was checked, its lists and objects can be
//! taken apart without: text within quotes is jumped over, however long it is, and so a prompt or an answer is not read once
//! for each level that it is nested in.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::Text;

/// The values of a list, or by turns the names and values of an object, as they are spelled. Of what is no JSON it finds
/// something else, or nothing.
pub(super) struct Parts<'a>(&'a str);

impl<'a> Parts<'a> {
    /// Of a list or an object.
    pub(super) fn of(json: &'a str) -> Self {
        Self(json.get(1..).unwrap_or_default())
    }

    /// A field's name, as it is spelled, and its value.
    pub(super) fn next_field(&mut self) -> Option<(&'a str, &'a str)> {
        Some((self.next()?, self.next()?))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let is_between = |byte: &u8| matches!(byte, b',' | b':' | b' ' | b'\n' | b'\r' | b'\t');
        let start = self.0.as_bytes().iter().position(|byte| !is_between(byte))?;
        let rest = self.0.get(start..)?;
        let (value, rest) = rest.split_at_checked(value_end(rest.as_bytes())?)?;
        self.0 = rest;
        Some(value)
    }
}

/// Where the value ends that begins here. `None` at the end of a list or an object.
fn value_end(json: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        at = match json.get(at)? {
            b'"' => string_end(json, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at + 1
            }
            _ if depth > 0 => at + 1,
            // A number or a word: nothing in it is punctuation.
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                return Some(json.iter().position(is_end).unwrap_or(json.len()));
            }
        };
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind the quote that ends a string whose first byte is at `at`. `None` when there is none.
pub(super) fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)? + 1;
        if json[at - 1] == b'"' {
            return Some(at);
        }
        at += 1;
    }
}

/// The text of a string, which a parser has checked. `None` where half a character is escaped in it.
pub(super) fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let spelled = json.get(1..json.len().checked_sub(1)?)?;
    if memchr(b'\\', spelled.as_bytes()).is_none() {
        return Some(Cow::Borrowed(spelled));
    }
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, value::RawValue};

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[\\"{}\[\]:,a-cé\n \u{1f600}]{0,8}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(text, inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    /// Each value that is found is spelled as the parser says, at every level.
    fn is_split_as_by_the_parser(text: &str) {
        if text.starts_with('[') {
            let expected: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            let found: Vec<&str> = Parts::of(text).collect();
            assert_eq!(found, expected.iter().map(|raw| raw.get()).collect::<Vec<_>>());
            found.into_iter().for_each(is_split_as_by_the_parser);
        } else if text.starts_with('{') {
            let (mut parts, mut fields) = (Parts::of(text), serde_json::Map::new());
            while let Some((name, value)) = parts.next_field() {
                fields.insert(unquoted(name).unwrap().into_owned(), serde_json::from_str(value).unwrap());
                is_split_as_by_the_parser(value);
            }
            assert_eq!(Value::from(fields), serde_json::from_str::<Value>(text).unwrap());
        } else if text.starts_with('"') {
            assert_eq!(unquoted(text).unwrap(), serde_json::from_str::<String>(text).unwrap());
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_split_as_by_the_parser(value in json()) {
            is_split_as_by_the_parser(&value.to_string());
            is_split_as_by_the_parser(&serde_json::to_string_pretty(&value).unwrap());
        }

        #[test]
        fn what_is_no_json_is_split_without_a_panic_and_to_an_end(text in r#"[\\"{}\[\]:,a-cé \n]{0,24}"#) {
            let _ = Parts::of(&text).count();
            let _ = unquoted(&text);
        }
    }

    #[test]
    fn half_a_character_is_no_text() {
        assert_eq!(unquoted(r#""a\ud83d""#), None);
        assert_eq!(unquoted(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
    }
}
