//! The options of a configuration, read off its types, so that no list of them is kept by hand.
//!
//! A type is given what it cannot know, and says why it refuses: a table with an unknown key is told the keys that are
//! known, an unknown word the words. So types that read themselves by hand, or take a word as well as a table, tell as much
//! as derived ones, as long as they refuse unknown keys.
//!
//! # Paths
//!
//! | path | option |
//! |---|---|
//! | `server.listen` | a key of a table; a list of words or numbers is one option too |
//! | `keys[].tenant` | a key of each table in a list. A list that may be a single table is written as that table |
//! | `router.routes.*.targets` | the `*` is a name of the operator's |
//! | `cache`, `cache.scope` | what may be a word or a switch as well as a table is an option itself |
//! | `retry.providers`, `retry.models` | the tables of `llm_core::Overrides`, which hold what stands beside them |

mod probe;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::probe::{Probe, Refusal};

/// A key, and a word, that nothing is called by.
const UNKNOWN: &str = "?";

/// The keys that `llm_core::Overrides` takes aside before the type that it is about sees them.
const OVERRIDES: [&str; 2] = ["providers", "models"];

/// The paths of all options of a configuration.
///
/// # Panics
/// When a table takes keys that it does not know: it would not tell those that it does.
pub fn options_of<T: DeserializeOwned>() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    look_around::<T>(&mut Vec::new(), &mut |path| {
        found.insert(written(path));
    });
    found
}

/// The words that options of a configuration may be, where they are none of the operator's: `cache.scope` with `tenant`.
///
/// # Panics
/// As [`options_of`].
pub fn words_of<T: DeserializeOwned>() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    look_around::<T>(&mut Vec::new(), &mut |path| {
        let Some(Refusal::OfWord(words)) = ask::<T>(path, Probe::Word(UNKNOWN.to_owned())) else { return };
        let is_key = |word: &str| ask::<T>(path, Probe::table([(word, Probe::End)])) == Some(Refusal::AtEnd);
        let words = words.iter().filter(|word| !is_key(word));
        found.extend(words.map(|word| (written(path), (*word).to_owned())));
    });
    found
}

/// A step on the way to an option.
#[derive(Clone, Debug)]
enum Step {
    /// To a key of a table.
    Key(String),
    /// To a key beyond which nothing is looked for.
    Last(String),
    /// To a value of a table whose keys are anybody's names.
    Name,
    /// To an entry of a list.
    Entry,
}

/// Tells the way to each option.
fn look_around<T: DeserializeOwned>(path: &mut Vec<Step>, found: &mut dyn FnMut(&[Step])) {
    let steps = steps_from::<T>(path);
    let takes = |probe| ask::<T>(path, probe) != Some(Refusal::OfKind);
    if steps.is_empty() || takes(Probe::Word(UNKNOWN.to_owned())) || takes(Probe::Switch) {
        found(path);
    }
    for step in steps {
        path.push(step);
        match path.last() {
            Some(Step::Last(_)) => found(path),
            _ => look_around::<T>(path, found),
        }
        path.pop();
    }
}

/// Where one can go on from a place; nowhere from what holds neither tables nor keys.
fn steps_from<T: DeserializeOwned>(path: &[Step]) -> Vec<Step> {
    let is_reached = |key: &str| ask::<T>(path, Probe::table([(key, Probe::End)])) == Some(Refusal::AtEnd);
    let keys = |names: &[&str]| names.iter().map(|name| Step::Key((*name).to_owned())).collect::<Vec<_>>();
    match ask::<T>(path, Probe::table([(UNKNOWN, Probe::End)])) {
        Some(Refusal::OfKey(known)) => {
            let aside = OVERRIDES.into_iter().filter(|name| !known.contains(name) && is_reached(name));
            let aside = aside.map(|name| Step::Last(name.to_owned()));
            keys(known).into_iter().chain(aside).collect()
        }
        Some(Refusal::OfWord(known)) => {
            keys(&known.iter().copied().filter(|name| is_reached(name)).collect::<Vec<_>>())
        }
        Some(Refusal::AtEnd) => {
            let tagged = steps_of_tagged::<T>(path);
            if tagged.is_empty() { vec![Step::Name] } else { tagged }
        }
        Some(Refusal::Ignored) => panic!("{} takes unknown keys, so its options cannot be told", written(path)),
        Some(Refusal::OfKind | Refusal::Missing(_) | Refusal::Other) | None => {
            let entry = [path, &[Step::Entry]].concat();
            let is_list = !matches!(path.last(), Some(Step::Entry)) && !steps_from::<T>(&entry).is_empty();
            if is_list { vec![Step::Entry] } else { Vec::new() }
        }
    }
}

/// The keys of a table that says by one of them which others it has. It is read as a whole before it is looked at, so there
/// is no asking further.
fn steps_of_tagged<T: DeserializeOwned>(path: &[Step]) -> Vec<Step> {
    let Some(Refusal::Missing(tag)) = ask::<T>(path, Probe::table([])) else { return Vec::new() };
    let word = |word: &str| Probe::Word(word.to_owned());
    let Some(Refusal::OfWord(kinds)) = ask::<T>(path, Probe::table([(tag, word(UNKNOWN))])) else {
        return Vec::new();
    };
    let mut names = BTreeSet::from([tag]);
    for kind in kinds {
        if let Some(Refusal::OfKey(known)) = ask::<T>(path, Probe::table([(tag, word(kind)), (UNKNOWN, word(UNKNOWN))]))
        {
            names.extend(known);
        }
    }
    names.into_iter().map(|name| Step::Last(name.to_owned())).collect()
}

/// Why the type refuses to have this in that place, unless it does not.
fn ask<T: DeserializeOwned>(path: &[Step], probe: Probe) -> Option<Refusal> {
    let whole = path.iter().rev().fold(probe, |inner, step| match step {
        Step::Key(key) | Step::Last(key) => Probe::table([(&**key, inner)]),
        Step::Name => Probe::table([(UNKNOWN, inner)]),
        Step::Entry => Probe::List(vec![inner]),
    });
    T::deserialize(whole).err()
}

fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) | Step::Last(key) => text.push_str(&format!(".{key}")),
            Step::Name => text.push_str(".*"),
            Step::Entry => text.push_str("[]"),
        }
    }
    text.trim_start_matches('.').to_owned()
}
