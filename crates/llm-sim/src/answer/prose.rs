//! Harmless sentences. Nothing of a prompt is ever in them.

use fastrand::Rng;

const OPENERS: [&str; 6] =
    ["In short,", "In practice,", "As a rule,", "At first sight,", "Put plainly,", "On reflection,"];
const SUBJECTS: [&str; 8] = [
    "the plain approach",
    "a small change",
    "the first step",
    "a careful reading",
    "the simplest design",
    "the usual answer",
    "a short list",
    "the second option",
];
const VERBS: [&str; 8] = [
    "works well",
    "saves time",
    "explains most of it",
    "needs some care",
    "is worth a try",
    "holds up",
    "is easy to check",
    "leaves room for more",
];
const TAILS: [&str; 8] = [
    "when the input is small.",
    "as long as the limits are known.",
    "once the basics are in place.",
    "if nothing else changes.",
    "because each part can be checked alone.",
    "before anything is decided.",
    "after a look at the numbers.",
    "and the rest follows from it.",
];
const THOUGHTS: [&str; 5] = [
    "First, what is asked has to be clear.",
    "There are two ways to go about it.",
    "The shorter one is enough here.",
    "A quick check shows nothing missing.",
    "That settles the question.",
];

/// An answer of exactly `length` words, each a token. It says that it is simulated, and by which model.
pub(super) fn answer(model: &str, length: usize, rng: &mut Rng) -> Vec<String> {
    let opening = format!("Simulated answer by {model}:");
    let mut words: Vec<String> = opening.split(' ').map(str::to_owned).collect();
    while words.len() < length {
        let sentence = [&OPENERS[..], &SUBJECTS, &VERBS, &TAILS].map(|parts| *rng.choice(parts).unwrap_or(&""));
        words.extend(sentence.iter().flat_map(|part| part.split(' ')).map(str::to_owned));
    }
    to_tokens(words, length)
}

/// Reasoning of exactly `length` words.
pub(super) fn thoughts(length: usize, rng: &mut Rng) -> Vec<String> {
    let mut words = Vec::new();
    while words.len() < length {
        words.extend(rng.choice(&THOUGHTS).into_iter().flat_map(|thought| thought.split(' ')).map(str::to_owned));
    }
    to_tokens(words, length)
}

fn to_tokens(mut words: Vec<String>, length: usize) -> Vec<String> {
    words.truncate(length);
    if let Some(last) = words.last_mut() {
        let bare = last.trim_end_matches([',', '.', ':']).len();
        last.truncate(bare);
        last.push('.');
    }
    for word in words.iter_mut().skip(1) {
        word.insert(0, ' ');
    }
    words
}
