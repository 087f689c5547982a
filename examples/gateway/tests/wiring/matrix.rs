//! Entries of the matrix, and how they are held to what they state.

use std::{fmt::Write, pin::Pin, time::Duration};

use futures_util::{StreamExt, stream};

use toml::Value;

use crate::{
    edit::{edited, value},
    scene::Scene,
};

/// How many entries are looked at at a time.
const AT_ONCE: usize = 6;

/// A gateway that has not shown something by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

type Observation = Pin<Box<dyn Future<Output = String> + Send>>;

/// An option, and what is seen of it from outside.
pub(crate) struct Entry {
    pub(crate) option: &'static str,
    config: String,
    instead: Option<&'static str>,
    observe: Box<dyn Fn(Scene) -> Observation + Send + Sync>,
    whole: Seen,
    stream: Seen,
}

/// What is seen with an option.
#[derive(Clone, Copy)]
enum Seen {
    /// This, and something else without it.
    Only(&'static str),
    /// The same as without it, for this reason.
    Alike(&'static str),
}

impl Entry {
    /// An option that stands in this configuration, and what to look at.
    pub(crate) fn new<O>(
        option: &'static str,
        config: impl Into<String>,
        observe: impl Fn(Scene) -> O + Send + Sync + 'static,
    ) -> Self
    where
        O: Future<Output = String> + Send + 'static,
    {
        let observe = Box::new(move |scene| -> Observation { Box::pin(observe(scene)) });
        let nothing = Seen::Only("");
        Self { option, config: config.into(), instead: None, observe, whole: nothing, stream: nothing }
    }

    /// For an option that cannot be left out, or not alone: the value to compare it with.
    pub(crate) fn instead(mut self, value: &'static str) -> Self {
        self.instead = Some(value);
        self
    }

    /// What is seen of whole answers, and of streams.
    pub(crate) fn shows(self, both: &'static str) -> Self {
        self.whole(both).stream(both)
    }

    pub(crate) fn whole(mut self, seen: &'static str) -> Self {
        self.whole = Seen::Only(seen);
        self
    }

    pub(crate) fn stream(mut self, seen: &'static str) -> Self {
        self.stream = Seen::Only(seen);
        self
    }

    /// Why it changes nothing about whole answers.
    pub(crate) fn not_whole(mut self, reason: &'static str) -> Self {
        self.whole = Seen::Alike(reason);
        self
    }

    /// Why it changes nothing about streams.
    pub(crate) fn not_stream(mut self, reason: &'static str) -> Self {
        self.stream = Seen::Alike(reason);
        self
    }

    /// Why it changes nothing at all.
    pub(crate) fn not_here(self, reason: &'static str) -> Self {
        self.not_whole(reason).not_stream(reason)
    }

    /// Whether it is about the option being this word.
    pub(crate) fn says(&self, word: &str) -> bool {
        value(&self.config, self.option) == Value::String(word.to_owned())
    }

    async fn check(self) -> Vec<String> {
        let without = edited(&self.config, self.option, self.instead);
        let mut faults = Vec::new();
        for (column, is_stream, seen) in [("whole", false, self.whole), ("streamed", true, self.stream)] {
            let (with, without) = tokio::join!(self.look(&self.config, is_stream), self.look(&without, is_stream));
            let fault = match seen {
                Seen::Only(stated) if with != stated => format!("shows {with:?}, and not {stated:?}"),
                Seen::Only(_) if with == without => format!("shows {with:?} without it too: it does nothing"),
                Seen::Alike(reason) if with != without => {
                    format!("shows {with:?}, and {without:?} without it, though it is said that {reason:?}")
                }
                Seen::Only(_) | Seen::Alike(_) => continue,
            };
            faults.push(format!("{}, {column}: {fault}", self.option));
        }
        faults
    }

    async fn look(&self, config: &str, is_stream: bool) -> String {
        match Scene::set(config, is_stream).await {
            Ok(scene) => {
                let observation = tokio::spawn((self.observe)(scene));
                match tokio::time::timeout(PATIENCE, observation).await {
                    Ok(seen) => seen.unwrap_or_else(|error| format!("fails: {error}")),
                    Err(_) => "nothing in a minute".to_owned(),
                }
            }
            Err(sentence) => format!("refused: {sentence}"),
        }
    }
}

/// The matrix as a table of options and what is seen of them.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut text = "| option | whole answers | streams |\n|---|---|---|\n".to_owned();
    for entry in entries {
        let [whole, stream] = [entry.whole, entry.stream].map(|seen| match seen {
            Seen::Only(stated) => format!("`{stated}`"),
            Seen::Alike(reason) => format!("no difference: {reason}"),
        });
        writeln!(text, "| `{}` | {whole} | {stream} |", entry.option).unwrap();
    }
    text
}

/// Holds all entries to what they state.
pub(crate) async fn is_wired(entries: Vec<Entry>) {
    let count = entries.len();
    let checked = stream::iter(entries).map(|entry| tokio::spawn(entry.check())).buffer_unordered(AT_ONCE);
    let faults: Vec<_> = checked.map(|faults| stream::iter(faults.unwrap())).flatten().collect().await;
    let mut report = String::new();
    for fault in &faults {
        writeln!(report, "{fault}").unwrap();
    }
    assert!(faults.is_empty(), "{} faults in {count} entries, each whole and streamed:\n{report}", faults.len());
}
