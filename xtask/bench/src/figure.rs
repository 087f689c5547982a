//! One thing that was measured, and what it is to stay below.

use serde::{Deserialize, Serialize};

use crate::effort::Rounds;

/// What a figure counts. Values are in the unit itself, however they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Time, on this machine, today.
    Nanoseconds,
    /// How many times something else.
    Times,
    /// What one run asks of the allocator.
    Allocations,
    /// Instructions of one run.
    Instructions,
    /// Bytes that were asked of the allocator and are kept.
    Bytes,
    /// Bytes of memory that the system says a program has.
    ResidentBytes,
    /// Events of a stream that were not handed on by themselves.
    Events,
}

impl Unit {
    /// The last part of a figure's id.
    fn short(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Times => "times",
            Self::Allocations => "allocations",
            Self::Instructions => "instructions",
            Self::Bytes => "bytes",
            Self::ResidentBytes => "resident",
            Self::Events => "events",
        }
    }

    /// A value with its unit, as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Nanoseconds if value.abs() >= 10_000.0 => format!("{} µs", short(value / 1e3)),
            Self::Nanoseconds => format!("{} ns", short(value)),
            Self::Times => format!("{} ×", places(value, 2)),
            Self::Allocations => format!("{} allocations", places(value, 2)),
            Self::Instructions => format!("{value:.0} instructions"),
            Self::ResidentBytes if value.abs() >= 1e6 => format!("{} MB", short(value / 1e6)),
            Self::ResidentBytes => format!("{} KB", short(value / 1e3)),
            Self::Bytes => format!("{value:.0} bytes"),
            Self::Events => format!("{value:.0} events"),
        }
    }

    /// By which share a value may rise from one run to another: a count hardly changes, a ratio is good to a tenth, and
    /// a time says nothing about another day.
    fn tolerance(self) -> Option<f64> {
        match self {
            Self::Allocations | Self::Instructions | Self::Bytes | Self::Events => Some(0.01),
            Self::Times => Some(0.1),
            Self::Nanoseconds | Self::ResidentBytes => None,
        }
    }

    /// What is too little to be a rise, of values that are small themselves.
    fn trifle(self) -> f64 {
        match self {
            Self::Instructions => 10.0,
            Self::Bytes => 1.0,
            Self::Allocations => 0.05,
            Self::Times => 0.05,
            Self::Nanoseconds | Self::ResidentBytes | Self::Events => 0.0,
        }
    }
}

/// Three digits or so.
fn short(value: f64) -> String {
    places(value, if value.abs() < 100.0 { 1 } else { 0 })
}

/// So many places, none of which is a zero at the end.
fn places(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// By which it is found in another run: what it is, in words with hyphens, and its unit.
    pub id: String,
    /// What was measured, from the general to the particular.
    pub what: String,
    /// What the value counts.
    pub unit: Unit,
    /// The median where there are several rounds.
    pub value: f64,
    /// What it is to stay below, or reach at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// What the value is beyond, or a multiple of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<String>,
    /// How the rounds were spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Rounds>,
    /// The value in the run that was stored last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<f64>,
}

impl Figure {
    /// `path` says what was measured, from the general to the particular.
    pub fn new(path: &[&str], unit: Unit, value: f64) -> Self {
        let words = path.iter().map(|part| word(part)).chain([unit.short().to_owned()]);
        Self {
            id: words.collect::<Vec<_>>().join("/"),
            what: path.join(": "),
            unit,
            value,
            at_most: None,
            compared_with: None,
            rounds: None,
            stored: None,
        }
    }

    /// The median of several rounds.
    pub fn of_rounds(path: &[&str], unit: Unit, rounds: Rounds) -> Self {
        Self { rounds: Some(rounds), ..Self::new(path, unit, rounds.median) }
    }

    /// It is to be so much, or less.
    pub fn at_most(self, at_most: impl Into<Option<f64>>) -> Self {
        Self { at_most: at_most.into(), ..self }
    }

    /// Says what it is beyond, or a multiple of.
    pub fn over(self, other: &str) -> Self {
        Self { compared_with: Some(other.to_owned()), ..self }
    }

    /// Whether it is what it is to be. `None` where nothing is said of that.
    pub fn is_met(&self) -> Option<bool> {
        self.at_most.map(|at_most| self.value <= at_most)
    }

    /// What it is to be, and whether it is, in words; nothing where nothing is said of that.
    pub fn verdict(&self) -> Option<String> {
        let is_met = if self.is_met()? { "met" } else { "missed" };
        Some(format!("at most {}: {is_met}", self.unit.show(self.at_most?)))
    }

    /// By how many percent it is more than in the run that was stored.
    pub fn change(&self) -> Option<f64> {
        let stored = self.stored.filter(|stored| *stored != 0.0)?;
        Some((self.value / stored - 1.0) * 100.0)
    }

    /// Whether it rose since the run that was stored, by more than what is chance.
    pub fn has_risen(&self) -> bool {
        let (Some(stored), Some(tolerance)) = (self.stored, self.unit.tolerance()) else { return false };
        self.value > stored * (1.0 + tolerance) && self.value > stored + self.unit.trifle()
    }
}

/// A part of an id: small letters, digits, and hyphens where anything else was.
fn word(part: &str) -> String {
    let small = part.to_lowercase();
    let words =
        small.split(|letter: char| !(letter.is_alphanumeric() || letter == '.')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: Unit, value: f64, stored: f64) -> Figure {
        Figure { stored: Some(stored), ..Figure::new(&["layers", "llm-retry's hedge, 2"], unit, value) }
    }

    #[test]
    fn an_id_is_made_of_what_was_measured_and_the_unit() {
        assert_eq!(figure(Unit::Nanoseconds, 1.0, 1.0).id, "layers/llm-retry-s-hedge-2/ns");
    }

    #[test]
    fn a_figure_above_its_target_misses_it() {
        let figure = |value| Figure::new(&["a"], Unit::Times, value).at_most(1.5);
        assert_eq!(figure(1.6).verdict().as_deref(), Some("at most 1.5 ×: missed"));
        assert_eq!(figure(1.5).verdict().as_deref(), Some("at most 1.5 ×: met"));
        assert_eq!(Figure::new(&["a"], Unit::Times, 9.0).verdict(), None);
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        let shown = [
            Unit::Nanoseconds.show(99.96),
            Unit::Nanoseconds.show(237.4),
            Unit::Nanoseconds.show(49_600.0),
            Unit::Times.show(3.0),
            Unit::Allocations.show(0.25),
            Unit::ResidentBytes.show(15e6),
            Unit::ResidentBytes.show(19_960.0),
        ];
        assert_eq!(shown, ["100 ns", "237 ns", "49.6 µs", "3 ×", "0.25 allocations", "15 MB", "20 KB"]);
    }

    #[test]
    fn counts_may_not_rise_by_more_than_one_percent_and_ratios_not_by_more_than_ten() {
        assert!(figure(Unit::Instructions, 1_011.0, 1_000.0).has_risen());
        assert!(!figure(Unit::Instructions, 1_010.0, 1_000.0).has_risen());
        assert!(!figure(Unit::Instructions, 14.0, 5.0).has_risen(), "it is next to nothing");
        assert!(figure(Unit::Allocations, 1.0, 0.0).has_risen());
        assert!(figure(Unit::Times, 1.12, 1.0).has_risen());
        assert!(!figure(Unit::Times, 1.09, 1.0).has_risen());
        assert!(!figure(Unit::Nanoseconds, 900.0, 1.0).has_risen(), "times say nothing about another day");
        assert!(!Figure::new(&["new"], Unit::Allocations, 9.0).has_risen(), "there is nothing to compare it with");
    }
}
