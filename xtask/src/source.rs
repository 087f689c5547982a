//! Rust source without its comments and strings, so that a rule about code is not about prose.

/// The text with comments and the contents of strings replaced by spaces. Lines keep their numbers.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_word = code.ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let length = match blank_length(rest, is_word) {
            Some(length) => {
                code.extend(rest[..length].chars().map(|hidden| if hidden == '\n' { '\n' } else { ' ' }));
                length
            }
            None => {
                code.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// The length of the comment or literal that `rest` starts with, if it starts with one.
fn blank_length(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(string_length(rest));
    }
    if rest.starts_with('\'') {
        return char_length(rest);
    }
    // In `bar "..."` the r belongs to a name.
    if after_word { None } else { raw_string_length(rest) }
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `None` for a lifetime, which starts like a character.
fn char_length(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    let (after_first, second) = characters.next()?;
    if first == '\\' {
        let from = after_first + second.len_utf8();
        return Some(from + rest[from..].find('\'')? + 1);
    }
    (second == '\'').then_some(after_first + 1)
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let after_prefix = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let from_quote = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - from_quote.len();
    let content = from_quote.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let content_length = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(rest.len() - content.len() + content_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code that is left, with runs of spaces made one.
    fn left(text: &str) -> String {
        code_only(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_gone() {
        assert_eq!(left("a // b\nc /* d /* e */ f */ g //! h"), "a c g");
    }

    #[test]
    fn strings_are_gone() {
        assert_eq!(left(r#"a("b \" c", 'd', '\'', '\u{1F600}', b"e") f"#), "a( , , , , b ) f");
        assert_eq!(left("a(r\"b\\\", r#\"c \" d\"#, br##\"e\"# f\"##) g"), "a( , , ) g");
    }

    #[test]
    fn lifetimes_and_names_that_end_in_r_stay() {
        assert_eq!(
            left("fn a<'b>(c: &'b str) -> &'b str { for r in bar {} }"),
            "fn a<'b>(c: &'b str) -> &'b str { for r in bar {} }"
        );
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(code_only("a\n/* b\nc */\n\"d\ne\"\nf").lines().count(), 6);
        assert_eq!(code_only("\"é\" // ü\nx").lines().nth(1), Some("x"));
    }
}
