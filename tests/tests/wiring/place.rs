//! Where an option stands in a configuration.

use std::{fmt, str::FromStr};

use toml::{Table, Value};

/// The layers whose tables have tables for a provider and a model below them.
pub(crate) const BY_TARGET: [&str; 5] = ["timeout", "retry", "hedge", "breaker", "prompt_cache"];

/// The way from the outermost table to an option: `limit.rules[0].per`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    At(usize),
}

impl Place {
    /// The table that it stands in, among those of a stack.
    pub(crate) fn layer(&self) -> &str {
        match &self.0[..] {
            [Part::Key(layer), ..] => layer,
            _ => panic!("{self} begins with no key"),
        }
    }

    /// Whether `option`, such as `limit.rules[].per`, is what stands here; its `*` is any key. What stands in the tables of
    /// providers and models is part of those.
    pub(crate) fn is_of(&self, option: &str) -> bool {
        let mut own: Vec<_> = self
            .0
            .iter()
            .filter_map(|part| match part {
                Part::Key(key) => Some(key.as_str()),
                Part::At(_) => None,
            })
            .collect();
        if self.is_in_table() {
            own.truncate(2);
        }
        let option: Vec<_> = option.split('.').map(|part| part.trim_end_matches("[]")).collect();
        own.len() == option.len() && own.iter().zip(option).all(|(own, part)| part == "*" || *own == part)
    }

    /// Whether it is a layer as a whole.
    pub(crate) fn is_switch(&self) -> bool {
        self.0.len() == 1
    }

    fn is_in_table(&self) -> bool {
        let is =
            |at: usize, names: &[&str]| matches!(self.0.get(at), Some(Part::Key(key)) if names.contains(&key.as_str()));
        is(0, &BY_TARGET) && is(1, &["providers", "models"])
    }

    /// What stands there.
    pub(crate) fn value<'a>(&self, config: &'a Table) -> Option<&'a Value> {
        let mut parts = self.0.iter();
        let Some(Part::Key(first)) = parts.next() else { return None };
        parts.try_fold(config.get(first)?, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::At(at) => value.get(at),
        })
    }

    /// Puts another value there, or none.
    pub(crate) fn replace(&self, config: &mut Table, value: Option<Value>) {
        let (last, above) = self.0.split_last().expect("a place has a part");
        let Part::Key(key) = last else { panic!("{self} ends with no key") };
        let table = self.walk(above, config);
        match value {
            Some(value) => table.insert(key.clone(), value),
            None => table.remove(key),
        }
        .unwrap_or_else(|| panic!("{self} is not set"));
    }

    fn walk<'a>(&self, parts: &[Part], config: &'a mut Table) -> &'a mut Table {
        let Some((Part::Key(first), rest)) = parts.split_first() else { return config };
        let mut value = config.get_mut(first).unwrap_or_else(|| panic!("{self}: there is no `{first}`"));
        for part in rest {
            value = match part {
                Part::Key(key) => value.get_mut(key),
                Part::At(at) => value.get_mut(at),
            }
            .unwrap_or_else(|| panic!("{self}: nothing is there"));
        }
        value.as_table_mut().unwrap_or_else(|| panic!("{self} stands in no table"))
    }

    /// Moves the setting of the layer that this is part of into tables below the layer's, and is the place in the first.
    pub(crate) fn move_below(&self, config: &mut Table, tables: &[Vec<&str>]) -> Self {
        let [layer, Part::Key(setting), ..] = &self.0[..] else { panic!("{self} is no setting of a layer") };
        let top = self.walk(std::slice::from_ref(layer), config);
        let value = top.remove(setting).unwrap_or_else(|| panic!("{self} is not set"));
        for path in tables {
            let mut table = &mut *top;
            for key in path {
                let below = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
                table = below.as_table_mut().unwrap();
            }
            table.insert(setting.clone(), value.clone());
        }
        let path = tables[0].iter().map(|key| Part::Key((*key).to_owned()));
        Self([layer.clone()].into_iter().chain(path).chain(self.0[1..].iter().cloned()).collect())
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        for part in text.split('.') {
            let (key, at) = part.split_once('[').map_or((part, None), |(key, at)| (key, Some(at)));
            parts.push(Part::Key(key.to_owned()));
            if let Some(at) = at {
                parts.push(Part::At(at.trim_end_matches(']').parse()?));
            }
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if number == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::At(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}
