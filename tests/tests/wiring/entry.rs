//! One option, where it is set, and what a caller or operator sees of it.

use std::fmt;

use toml::{Table, Value};

use crate::{
    ask::{Ask, Tell},
    place::{BY_TARGET, Place},
    stage::Step,
};

/// A line of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) config: Table,
    rather: Option<Value>,
    or: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) tells: Vec<Tell>,
    whole: Sees,
    stream: Sees,
    is_of_all_targets: bool,
    pub(crate) is_over_http: bool,
}

/// What is seen with the option, in one of the two ways of answering.
#[derive(Clone, Debug)]
pub(crate) enum Sees {
    /// Exactly this, and without the option something else.
    This(&'static str),
    /// The same with the option and without it, for this reason.
    Alike(&'static str),
    /// Nobody has said yet.
    Unsaid,
}

impl fmt::Display for Sees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This(seen) => write!(f, "`{}`", seen.replace('|', "\\|")),
            Self::Alike(reason) => write!(f, "no difference: {reason}"),
            Self::Unsaid => f.write_str("?"),
        }
    }
}

/// An answer in one piece or in many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Whole,
    Stream,
}

/// An entry for the option at `place` of this TOML.
pub(crate) fn set(place: &str, config: &str) -> Entry {
    Entry {
        place: place.parse().unwrap(),
        config: config.parse().unwrap_or_else(|error| panic!("{place}: {error}")),
        rather: None,
        or: Vec::new(),
        steps: Vec::new(),
        tells: Vec::new(),
        whole: Sees::Unsaid,
        stream: Sees::Unsaid,
        is_of_all_targets: false,
        is_over_http: false,
    }
}

impl Entry {
    /// Compares with this value instead of leaving the option out, which would leave nothing to compare with.
    pub(crate) fn rather(mut self, value: &str) -> Self {
        self.rather = Some(read(value));
        self
    }

    /// Compares with this value, too.
    pub(crate) fn or(mut self, value: &str) -> Self {
        self.or.push(read(value));
        self
    }

    /// What is told of each answer, besides whether it was one.
    pub(crate) fn tell<const N: usize>(mut self, tells: [Tell; N]) -> Self {
        self.tells.extend(tells);
        self
    }

    pub(crate) fn then(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    pub(crate) fn ask(self, ask: Ask) -> Self {
        self.then(ask)
    }

    pub(crate) fn quietly(self, times: usize, ask: Ask) -> Self {
        self.then(Step::Quietly(times, ask))
    }

    pub(crate) fn until_open(self, ask: Ask) -> Self {
        self.then(Step::UntilOpen(ask))
    }

    pub(crate) fn together<const N: usize>(self, asks: [Ask; N]) -> Self {
        self.then(Step::Together(asks.into()))
    }

    pub(crate) fn wait(self, time: &str) -> Self {
        self.then(Step::wait(time))
    }

    pub(crate) fn measure(self, name: &'static str) -> Self {
        self.then(Step::Measure(name))
    }

    /// What is seen in both ways.
    pub(crate) fn sees(self, seen: &'static str) -> Self {
        self.whole(seen).stream(seen)
    }

    pub(crate) fn whole(self, seen: &'static str) -> Self {
        Self { whole: Sees::This(seen), ..self }
    }

    pub(crate) fn stream(self, seen: &'static str) -> Self {
        Self { stream: Sees::This(seen), ..self }
    }

    pub(crate) fn whole_alike(self, reason: &'static str) -> Self {
        Self { whole: Sees::Alike(reason), ..self }
    }

    pub(crate) fn stream_alike(self, reason: &'static str) -> Self {
        Self { stream: Sees::Alike(reason), ..self }
    }

    /// It is refused in the tables for a provider or a model.
    pub(crate) fn of_all_targets(self) -> Self {
        Self { is_of_all_targets: true, ..self }
    }

    /// The simulated models are called over a socket and in Anthropic's dialect, as the provider `anthropic`.
    pub(crate) fn over_http(self) -> Self {
        Self { is_over_http: true, ..self }
    }

    pub(crate) fn seen(&self, way: Way) -> &Sees {
        match way {
            Way::Whole => &self.whole,
            Way::Stream => &self.stream,
        }
    }

    /// The configurations to compare with: without the option, or with the other value, and with the others.
    pub(crate) fn compared(&self) -> Vec<Table> {
        let others = [self.rather.clone()].into_iter().chain(self.or.iter().cloned().map(Some));
        let with = |value| {
            let mut config = self.config.clone();
            self.place.replace(&mut config, value);
            config
        };
        others.map(with).collect()
    }

    /// The same option in the tables for a provider and a model, where there are any.
    pub(crate) fn in_tables(&self) -> Vec<Self> {
        if self.is_of_all_targets || self.place.is_switch() || !BY_TARGET.contains(&self.place.layer()) {
            return Vec::new();
        }
        let providers = [vec!["providers", "simulated"]];
        let models = self.models().into_iter().map(|model| vec!["models", model]);
        let below = |tables: Vec<Vec<&str>>| {
            let mut config = self.config.clone();
            let place = self.place.move_below(&mut config, &tables);
            Self { place, config, ..self.clone() }
        };
        vec![below(providers.to_vec()), below(models.collect())]
    }

    /// The configurations with the option in those tables, where it does not belong.
    pub(crate) fn refused_in_tables(&self) -> Vec<Table> {
        if !self.is_of_all_targets {
            return Vec::new();
        }
        let below = |table: [&str; 2]| {
            let mut config = self.config.clone();
            self.place.move_below(&mut config, &[table.to_vec()]);
            config
        };
        vec![below(["providers", "simulated"]), below(["models", "m"])]
    }

    /// The option with each word that it is compared as.
    pub(crate) fn words(&self) -> Vec<(&Place, &str)> {
        let values = [self.place.value(&self.config), self.rather.as_ref()].into_iter().flatten().chain(&self.or);
        values.filter_map(Value::as_str).map(|word| (&self.place, word)).collect()
    }

    /// What the scenario asks for.
    fn models(&self) -> Vec<&str> {
        let mut models: Vec<_> = self.steps.iter().flat_map(Step::asks).map(|ask| ask.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        models
    }
}

fn read(value: &str) -> Value {
    let table: Table = format!("value = {value}").parse().unwrap();
    table["value"].clone()
}
