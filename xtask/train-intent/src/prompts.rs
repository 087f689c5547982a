//! The prompts to train on.

use std::{fs, path::Path};

use llm_classify::intent::LABELS;
use serde::Deserialize;

use crate::Failure;

/// A prompt, and what it is about.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What was written.
    pub text: String,
    /// The place of its label among [`LABELS`].
    pub label: usize,
    /// Where it was taken from.
    pub source: String,
    /// What sort of people or programs write there.
    pub kind: Kind,
}

/// How a prompt came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Somebody typed it into a chat.
    RealUser,
    /// Somebody wrote it as an example of what one could type.
    Own,
    /// The same, by experts.
    ExpertWritten,
    /// The same, by many.
    Community,
    /// A question of a test.
    Benchmark,
    /// A model made it up.
    Synthetic,
    /// A template over texts of others.
    Templated,
}

/// A line of the file. Further fields, such as the licence and the language, are for those who read it.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    label: String,
    source: String,
    kind: Kind,
}

/// Reads a file of JSON Lines, and the prompts that are part of this package.
pub fn read(path: &Path) -> Result<Vec<Prompt>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let mut prompts = parse(&text)?;
    prompts.extend(parse(include_str!("../own.jsonl"))?);
    Ok(prompts)
}

/// Reads JSON Lines with the fields `prompt`, `label`, `source` and `kind`.
fn parse(text: &str) -> Result<Vec<Prompt>, Failure> {
    let mut prompts = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        let label = LABELS.iter().position(|label| *label == line.label);
        let label = label.ok_or_else(|| format!("line {number}: there is no label {:?}", line.label))?;
        if line.prompt.trim().is_empty() {
            return Err(format!("line {number}: the prompt is empty").into());
        }
        prompts.push(Prompt { text: line.prompt, label, source: line.source, kind: line.kind });
    }
    Ok(prompts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_what_is_wrong_with_one_is_said() {
        let line = |label: &str| {
            format!(
                r#"{{"prompt":"Why?","label":"{label}","source":"here","licence":"CC0-1.0","kind":"real-user","lang":"en"}}"#
            )
        };
        let prompts = parse(&format!("{}\n\n{}\n", line("math"), line("general"))).unwrap();
        let read: Vec<_> = prompts.iter().map(|prompt| (prompt.text.as_str(), prompt.label, prompt.kind)).collect();
        assert_eq!(read, [("Why?", 1, Kind::RealUser), ("Why?", 6, Kind::RealUser)]);
        let error = parse(&format!("{}\n{}", line("math"), line("maths"))).unwrap_err();
        assert_eq!(error.to_string(), "line 2: there is no label \"maths\"");
        assert!(parse("{}").is_err());
    }
}
