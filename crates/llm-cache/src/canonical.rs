//! JSON in a form in which white space, the order of keys and the spelling of texts make no difference.

use std::{borrow::Cow, ops::Range};

/// Deeper than schemas nest, and shallow enough for any stack. What is deeper is compared as it is spelled.
const MOST_DEPTH: usize = 64;

/// Writes `json`, which must be one JSON value, into `out`: texts and counts with their lengths, objects by their keys.
///
/// Numbers keep their spelling, because `1` and `1.0` are two values to some providers, and digits that a float cannot
/// hold would be lost. Of keys that come twice both are kept, in their order.
pub(crate) fn write(json: &str, out: &mut Vec<u8>) {
    let begin = out.len();
    if (Scanner { text: json, at: 0 }).value(MOST_DEPTH, out).is_none() {
        out.truncate(begin);
        write_text(b'!', json, out);
    }
}

fn write_text(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_count(kind: u8, count: usize, at: usize, out: &mut [u8]) {
    out[at] = kind;
    out[at + 1..at + 9].copy_from_slice(&(count as u64).to_le_bytes());
}

/// Walks over a text that has been found to be JSON before. What it does not understand it leaves to its caller.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(depth.checked_sub(1)?, out),
            b'[' => self.array(depth.checked_sub(1)?, out),
            b'"' => {
                let text = self.string()?;
                write_text(b'"', &text, out);
                Some(())
            }
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                write_text(b'#', &rest[..end], out);
                self.at += end;
                (end > 0).then_some(())
            }
        }
    }

    fn array(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let begin = out.len();
        out.extend_from_slice(&[0; 9]);
        self.at += 1;
        let mut count = 0;
        while !self.ends(b']')? {
            self.value(depth, out)?;
            count += 1;
        }
        write_count(b'[', count, begin, out);
        Some(())
    }

    fn object(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let begin = out.len();
        out.extend_from_slice(&[0; 9]);
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Range<usize>)> = Vec::new();
        while !self.ends(b'}')? {
            let key = self.string()?;
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            let member = out.len();
            write_text(b'"', &key, out);
            self.value(depth, out)?;
            members.push((key, member..out.len()));
        }
        write_count(b'{', members.len(), begin, out);
        if !members.is_sorted_by(|one, other| one.0 <= other.0) {
            members.sort_by(|one, other| one.0.cmp(&other.0));
            let sorted: Vec<u8> = members.iter().flat_map(|(_, member)| &out[member.clone()]).copied().collect();
            out[begin + 9..].copy_from_slice(&sorted);
        }
        Some(())
    }

    /// Whether the list or object is over; takes what ends it, or the comma before what comes next.
    fn ends(&mut self, by: u8) -> Option<bool> {
        let byte = self.peek()?;
        if byte == by || byte == b',' {
            self.at += 1;
        }
        Some(byte == by)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        let begin = self.at;
        let mut end = begin + 1;
        let bytes = self.text.as_bytes();
        let mut is_escaped = false;
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        self.at = end + 1;
        match is_escaped {
            true => serde_json::from_str(&self.text[begin..self.at]).ok().map(Cow::Owned),
            false => Some(Cow::Borrowed(&self.text[begin + 1..end])),
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write(json, &mut out);
        out
    }

    #[test]
    fn order_of_keys_white_space_and_escapes_make_no_difference() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true ,\n null ] , \"a\" : 1 }"),
            (r#"{"z":{"y":1,"x":2},"a":"\u0041\n"}"#, r#"{"a":"A\n","z":{"x":2,"y":1}}"#),
            (r#"[{"b":1,"a":2}]"#, r#"[{"a":2,"b":1}]"#),
            (r#"" ""#, r#""\u0020""#),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one}");
        }
    }

    #[test]
    fn whatever_else_differs_does() {
        let all = [
            "1",
            "1.0",
            "\"1\"",
            "[1]",
            "[[1]]",
            "[]",
            "{}",
            "null",
            "\"null\"",
            "[1,2]",
            "[2,1]",
            "[12]",
            r#"["1","2"]"#,
            r#"["1,2"]"#,
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":{"b":2}}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            "12345678901234567890123",
            "12345678901234567890124",
            "0.1000000000000000055511151231257827",
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[..at] {
                assert_ne!(canonical(one), canonical(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_is_too_deep_or_no_text_is_compared_as_it_is_spelled() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_ne!(canonical(&deep("1")), canonical(&deep("2")));
        assert_eq!(canonical(&deep("1")), canonical(&deep("1")));
        assert_ne!(canonical(r#""\ud800""#), canonical(r#""\ud801""#), "halves of letters are no text");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            "[a-c\"\\\\ é]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_values_are_alike_exactly_when_they_are_equal(one in any_json(), other in any_json()) {
            let compact = |value: &Value| canonical(&serde_json::to_string(value).unwrap());
            let pretty = |value: &Value| canonical(&serde_json::to_string_pretty(value).unwrap());
            prop_assert_eq!(compact(&one), pretty(&one));
            prop_assert_eq!(compact(&one) == compact(&other), one == other);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"\\\\ 0-9aé]{0,20}") {
            canonical(&text);
        }
    }
}
