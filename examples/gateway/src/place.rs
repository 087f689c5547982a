//! Where in a configuration file something stands: from a place in its text to the key there, and back.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The line at an offset, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The line on which a value stands, or else the nearest table around it.
pub(crate) fn line_of(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    nearest(root.get_ref(), path).map(|value| line_at(text, value.span().start))
}

/// The texts in the value at a path, or else in the nearest table around it, each with the name of its field.
pub(crate) fn texts_at(text: &str, path: &str) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    if let Ok(root) = DeTable::parse(text)
        && let Some(value) = nearest(root.get_ref(), path)
    {
        let field = path.rsplit('.').next().unwrap_or_default();
        collect_texts(field, value.get_ref(), &mut texts);
    }
    texts
}

fn collect_texts(field: &str, value: &DeValue<'_>, texts: &mut Vec<(String, String)>) {
    match value {
        DeValue::String(text) => texts.push((field.to_owned(), text.to_string())),
        DeValue::Array(items) => items.iter().for_each(|item| collect_texts(field, item.get_ref(), texts)),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, item)| collect_texts(key.get_ref(), item.get_ref(), texts))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn nearest<'t, 'i>(root: &'t DeTable<'i>, path: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    let mut table = Some(root);
    let mut found = None;
    for segment in path.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (segment, None),
        };
        let Some(value) = table.and_then(|table| table.get(name)) else { break };
        let value = match (value.get_ref(), index) {
            (DeValue::Array(items), Some(index)) => items.get(index).unwrap_or(value),
            _ => value,
        };
        found = Some(value);
        table = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
    }
    found
}

/// The path of the innermost key or value around a place, such as `providers[0].base_url`; empty where there is none.
pub(crate) fn path_at(text: &str, place: &Range<usize>) -> String {
    let mut innermost = Innermost { place, size: usize::MAX, path: String::new() };
    if let (Ok(root), false) = (DeTable::parse(text), place.is_empty()) {
        innermost.look_into(root.get_ref(), "");
    }
    innermost.path
}

struct Innermost<'a> {
    place: &'a Range<usize>,
    size: usize,
    path: String,
}

impl Innermost<'_> {
    fn look_into(&mut self, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
            self.consider(&key.span(), &path);
            self.look_at(value, &path);
        }
    }

    fn look_at(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        self.consider(&value.span(), path);
        match value.get_ref() {
            DeValue::Table(table) => self.look_into(table, path),
            DeValue::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| self.look_at(item, &format!("{path}[{at}]")));
            }
            _ => {}
        }
    }

    /// A table under a header of its own spans that header only, so whoever is around it need not be seen first; and
    /// of several with the same span, the last one seen is the innermost.
    fn consider(&mut self, span: &Range<usize>, path: &str) {
        let is_around = span.start <= self.place.start && self.place.end <= span.end;
        if is_around && span.len() <= self.size {
            self.size = span.len();
            self.path = path.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[server]\ngrace = \"1s\"\n\n[[keys]]\ntenant = \"a\"\n\n[[keys]]\ntenant = \"b\"\n\n\
                        [simulated]\nmodels = [{ name = \"m\" }, { name = \"n\", faults = [{ fault = \"x\" }] }]\n";

    #[test]
    fn a_path_is_found_in_its_text() {
        assert_eq!(line_of(TEXT, "server.grace"), Some(2));
        assert_eq!(line_of(TEXT, "keys[1].tenant"), Some(8));
        assert_eq!(line_of(TEXT, "keys[1].missing"), Some(7));
        assert_eq!(line_of(TEXT, "nothing"), None);
    }

    #[test]
    fn the_texts_around_a_path_are_found_with_their_fields() {
        let of = |path: &str| texts_at(TEXT, path);
        let text = |field: &str, text: &str| (field.to_owned(), text.to_owned());
        assert_eq!(of("server.grace"), [text("grace", "1s")]);
        assert_eq!(of("keys[1].missing"), [text("tenant", "b")]);
        assert_eq!(of("simulated.models"), [text("name", "m"), text("fault", "x"), text("name", "n")]);
        assert_eq!(of("nothing"), []);
        assert_eq!(of(""), []);
    }

    #[test]
    fn a_place_leads_to_the_innermost_key_around_it() {
        for (word, path) in [
            ("\"1s\"", "server.grace"),
            ("grace", "server.grace"),
            ("[server]", "server"),
            ("\"b\"", "keys[1].tenant"),
            ("\"n\"", "simulated.models[1].name"),
            ("{ name = \"m\" }", "simulated.models[0]"),
            ("\"x\"", "simulated.models[1].faults[0].fault"),
        ] {
            let start = TEXT.find(word).unwrap();
            assert_eq!(path_at(TEXT, &(start..start + word.len())), path, "{word}");
        }
        let second = TEXT.rfind("[[keys]]").unwrap();
        assert_eq!(path_at(TEXT, &(second..second + 8)), "keys[1]");
        assert_eq!(path_at(TEXT, &(0..0)), "");
        assert_eq!(path_at("not = = toml", &(4..5)), "");
    }
}
