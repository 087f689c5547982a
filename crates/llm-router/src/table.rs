//! Which provider serves which model.

use std::collections::HashMap;

/// Model names to the indices of the providers that serve them, in the order of preference. Names are exact, or end in
/// `*` and mean every name that begins so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    exact: HashMap<Box<str>, Vec<usize>>,
    // Those that end in `*`, longest first, so that the most precise one is found first.
    patterns: Vec<(Box<str>, usize)>,
}

impl Table {
    /// Adds a name for a provider. Others that have it already come first.
    pub(crate) fn add(&mut self, name: &str, provider: usize) {
        if name.ends_with('*') {
            let at = self.patterns.partition_point(|(known, _)| known.len() >= name.len());
            self.patterns.insert(at, (name.into(), provider));
        } else {
            self.exact.entry(name.into()).or_default().push(provider);
        }
    }

    /// The first provider that serves exactly this name.
    pub(crate) fn exact(&self, model: &str) -> Option<usize> {
        self.exact.get(model)?.first().copied()
    }

    /// The patterns that stand for `model`, each with its provider, longest first.
    fn patterns_of(&self, model: &str) -> impl Iterator<Item = (&str, usize)> {
        let stands = |pattern: &str| pattern.strip_suffix('*').is_some_and(|beginning| model.starts_with(beginning));
        self.patterns
            .iter()
            .map(|(pattern, provider)| (&**pattern, *provider))
            .filter(move |(pattern, _)| stands(pattern))
    }

    /// The provider with the longest prefix of `model`.
    pub(crate) fn by_prefix(&self, model: &str) -> Option<usize> {
        self.patterns_of(model).next().map(|(_, provider)| provider)
    }

    /// Every provider that serves `model`: those of exactly this name, then those of the longest prefixes.
    pub(crate) fn all(&self, model: &str) -> Vec<usize> {
        let exact = self.exact.get(model).into_iter().flatten().copied();
        let mut all = Vec::new();
        for provider in exact.chain(self.patterns_of(model).map(|(_, provider)| provider)) {
            if !all.contains(&provider) {
                all.push(provider);
            }
        }
        all
    }

    /// The name by which this provider serves `model`, whoever else does: the model's own, else the longest pattern.
    pub(crate) fn name_of(&self, provider: usize, model: &str) -> Option<&str> {
        let exact = self.exact.get_key_value(model).filter(|(_, providers)| providers.contains(&provider));
        let by_pattern = || self.patterns_of(model).find(|(_, known)| *known == provider).map(|(pattern, _)| pattern);
        exact.map(|(name, _)| &**name).or_else(by_pattern)
    }

    /// Whether this provider serves `model`, whoever else does.
    pub(crate) fn serves(&self, provider: usize, model: &str) -> bool {
        self.name_of(provider, model).is_some()
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
        assert_eq!(
            (table.name_of(1, "m"), table.name_of(0, "p-1"), table.name_of(2, "m")),
            (Some("m"), Some("p-*"), None)
        );
        table.add("*", 2);
        assert_eq!((table.all("m"), table.all("p-1"), table.all("q")), (vec![0, 1, 2], vec![0, 1, 2], vec![2]));
        table.add("p-1*", 2);
        assert_eq!((table.name_of(2, "p-12"), table.name_of(2, "m")), (Some("p-1*"), Some("*")));
        assert_eq!(
            table.name_of(2, "p-*"),
            Some("*"),
            "what is spelled like a pattern is a model's name like any other"
        );
    }
}
