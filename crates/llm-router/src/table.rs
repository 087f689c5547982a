//! Which provider serves which model.

use std::collections::HashMap;

/// Model names to the indices of the providers that serve them, in the order of preference. Names are exact, or end in
/// `*` and mean every name that begins so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    exact: HashMap<Box<str>, Vec<usize>>,
    // Longest first, so that the most precise one is found first.
    prefixes: Vec<(Box<str>, usize)>,
}

impl Table {
    /// Adds a name for a provider. Others that have it already come first.
    pub(crate) fn add(&mut self, name: &str, provider: usize) {
        match name.strip_suffix('*') {
            None => self.exact.entry(name.into()).or_default().push(provider),
            Some(prefix) => {
                let at = self.prefixes.partition_point(|(known, _)| known.len() >= prefix.len());
                self.prefixes.insert(at, (prefix.into(), provider));
            }
        }
    }

    /// The first provider that serves exactly this name.
    pub(crate) fn exact(&self, model: &str) -> Option<usize> {
        self.exact.get(model)?.first().copied()
    }

    /// The provider with the longest prefix of `model`.
    pub(crate) fn by_prefix(&self, model: &str) -> Option<usize> {
        self.prefixes.iter().find(|(prefix, _)| model.starts_with(&**prefix)).map(|(_, provider)| *provider)
    }

    /// Every provider that serves `model`: those of exactly this name, then those of the longest prefixes.
    pub(crate) fn all(&self, model: &str) -> Vec<usize> {
        let exact = self.exact.get(model).into_iter().flatten().copied();
        let by_prefix = self.prefixes.iter().filter(|(prefix, _)| model.starts_with(&**prefix)).map(|(_, at)| *at);
        let mut all = Vec::new();
        for provider in exact.chain(by_prefix) {
            if !all.contains(&provider) {
                all.push(provider);
            }
        }
        all
    }

    /// Whether this provider serves `model`, whoever else does.
    pub(crate) fn serves(&self, provider: usize, model: &str) -> bool {
        self.exact.get(model).is_some_and(|providers| providers.contains(&provider))
            || self.prefixes.iter().any(|(prefix, known)| *known == provider && model.starts_with(&**prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_prefix_beats_a_short_one() {
        let mut table = Table::default();
        for (provider, name) in ["*", "gpt-*", "gpt-4*", "gpt-4o"].into_iter().enumerate() {
            table.add(name, provider);
        }
        assert_eq!(table.exact("gpt-4o"), Some(3));
        assert_eq!(table.exact("gpt-4o-mini"), None);
        assert_eq!(table.by_prefix("gpt-4o-mini"), Some(2));
        assert_eq!(table.by_prefix("gpt-5"), Some(1));
        assert_eq!(table.by_prefix("o3"), Some(0));
    }

    #[test]
    fn the_first_provider_of_a_name_keeps_it() {
        let mut table = Table::default();
        for name in ["m", "p-*"] {
            table.add(name, 0);
            table.add(name, 1);
        }
        assert_eq!((table.exact("m"), table.by_prefix("p-1"), table.by_prefix("q")), (Some(0), Some(0), None));
        assert!(table.serves(1, "m") && table.serves(1, "p-1"), "the second serves it too, when asked by name");
        assert!(!table.serves(1, "q") && !table.serves(2, "m"));
        table.add("*", 2);
        assert_eq!((table.all("m"), table.all("p-1"), table.all("q")), (vec![0, 1, 2], vec![0, 1, 2], vec![2]));
    }
}
