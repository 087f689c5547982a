//! Requests, answers and streams of a given size, always the same ones.

/// The model that everything here asks for, and that answers.
pub const MODEL: &str = "bench-model";

/// Events of a stream: its beginning, a hundred pieces of text, its end, the usage report and the terminator.
pub const EVENTS: usize = 104;

/// Prose of about `bytes` bytes, with line ends and quotes, as prompts and answers have.
pub fn prose(bytes: usize) -> String {
    const SENTENCES: [&str; 4] = [
        "The stream had been quiet for a while when the next word came down the wire.",
        " Nobody had asked for \"another word\", and so it was read twice.\n",
        " A budget is kept by those who look at it before they spend, not after.",
        " 1. Read the request; 2. choose who answers it; 3. pass every word on.\n\n",
    ];
    let mut text = String::with_capacity(bytes + 80);
    for sentence in SENTENCES.iter().cycle() {
        if text.len() >= bytes {
            break;
        }
        text.push_str(sentence);
    }
    text.truncate(bytes);
    text
}

/// What is said in a conversation of about `bytes` bytes, the user first: turns of some 600 bytes each.
pub fn turns(bytes: usize) -> Vec<String> {
    let number = (bytes / 600).max(1);
    vec![prose(bytes / number); number]
}

/// Words that a stream brings one by one.
pub fn words() -> impl Iterator<Item = String> {
    const WORDS: [&str; 5] = [" every", " word", " on", " its", " own"];
    (0..EVENTS - 4).map(|place| WORDS[place % WORDS.len()].to_owned())
}

/// Text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_as_long_as_asked() {
        for bytes in [1, 100, 5_000] {
            assert_eq!(prose(bytes).len(), bytes);
        }
    }

    #[test]
    fn turns_add_up() {
        let length: usize = turns(10_000).iter().map(String::len).sum();
        assert!((9_900..=10_000).contains(&length), "{length}");
        assert_eq!(words().count(), EVENTS - 4);
    }
}
