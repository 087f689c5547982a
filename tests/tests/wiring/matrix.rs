//! Runs an entry, and says what is wrong.

use std::fmt::Write as _;

use llm_stack::{Stack, StackConfig};
use xtask_options::{options_of, words_of};

use crate::{
    entry::{Entry, Sees, Way},
    place::Place,
    stage::{config_of, observe},
};

/// Runs these entries, those of the tables below their layers' too, and fails with all that is wrong.
pub(crate) fn check(entries: Vec<Entry>) {
    let mut wrong = Vec::new();
    for entry in &entries {
        if [Way::Whole, Way::Stream].iter().all(|way| matches!(entry.seen(*way), Sees::Alike(_))) {
            wrong.push(format!("{}: nothing is said to be seen of it in either way", entry.place));
        }
        let complaints = |entry: &Entry| {
            [Way::Whole, Way::Stream].into_iter().filter_map(|way| complaint(entry, way)).collect::<Vec<_>>()
        };
        let of_entry = complaints(entry);
        if of_entry.is_empty() {
            wrong.extend(entry.in_tables().iter().flat_map(complaints));
        }
        wrong.extend(of_entry);
        for config in entry.refused_in_tables() {
            let refused = Stack::try_from(config_of(config)).map_err(|error| error.to_string());
            if !matches!(&refused, Err(sentence) if sentence.contains("for all targets together")) {
                wrong.push(format!("{} in a table: {refused:?}", entry.place));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Fails where an option of a layer has no entry, or an entry names no option.
pub(crate) fn cover(entries: &[Entry]) {
    // Another matrix has these: they are about what a gateway is told, and what it calls.
    let elsewhere = ["providers", "simulated", "models"];
    let options = options_of::<StackConfig>()
        .into_iter()
        .filter(|option| !elsewhere.contains(&option.split(['.', '[']).next().unwrap_or_default()));
    let options: Vec<_> = options.collect();
    let places: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.in_tables().into_iter().chain([entry.clone()]))
        .map(|entry| entry.place)
        .collect();
    let words: Vec<_> = entries.iter().flat_map(Entry::words).collect();
    let mut wrong = Vec::new();
    for (option, word) in words_of::<StackConfig>() {
        let is_of = |(place, said): &(&Place, &str)| place.is_of(&option) && *said == word;
        if options.contains(&option) && !words.iter().any(is_of) {
            wrong.push(format!("`{option} = \"{word}\"` has no entry in the wiring matrix"));
        }
    }
    for option in &options {
        if !places.iter().any(|place| place.is_of(option)) {
            wrong.push(format!("`{option}` has no entry in the wiring matrix"));
        }
    }
    for place in &places {
        if !options.iter().any(|option| place.is_of(option)) {
            wrong.push(format!("the entry of `{place}` in the wiring matrix names no option"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The matrix as a table of options and what is seen of them.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut text = "| option | whole answers | streams |\n|---|---|---|\n".to_owned();
    for entry in entries {
        writeln!(text, "| `{}` | {} | {} |", entry.place, entry.seen(Way::Whole), entry.seen(Way::Stream)).unwrap();
    }
    text += "\nWhat a layer has by provider and by model is checked there, too.\n";
    text
}

fn complaint(entry: &Entry, way: Way) -> Option<String> {
    let with = observe(entry, entry.config.clone(), way);
    let others: Vec<_> = entry.compared().into_iter().map(|config| observe(entry, config, way)).collect();
    judge(&format!("{}, {way:?}", entry.place), entry.seen(way), &with, &others)
}

/// What is wrong with what was seen with an option, and without it.
pub(crate) fn judge(what: &str, sees: &Sees, with: &str, others: &[String]) -> Option<String> {
    let wrong = match sees {
        Sees::Unsaid => "nobody says what is seen".to_owned(),
        Sees::This(wanted) if with != *wanted => format!("it should be `{wanted}`"),
        Sees::This(_) if others.iter().any(|other| other == with) => "it makes no difference".to_owned(),
        Sees::Alike(_) if others.iter().any(|other| other != with) => "it does make a difference".to_owned(),
        Sees::This(_) | Sees::Alike(_) => return None,
    };
    Some(format!("{what}: {wrong}\n   with: {with}\nwithout: {}", others.join("\n     or: ")))
}

/// Runs it on paused time.
pub(crate) fn paused<T>(scenario: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(scenario)
}
