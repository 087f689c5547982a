//! Takes one option out of a configuration, or states it otherwise, and changes nothing else.

use toml::{Table, Value};

/// The configuration without the option, which must be in it; or with another value in its place.
pub(crate) fn edited(text: &str, option: &str, instead: Option<&str>) -> String {
    let mut config = Value::Table(text.parse::<Table>().unwrap_or_else(|error| panic!("{option}: {error}\n{text}")));
    let instead = instead.map(|value| format!("value = {value}").parse::<Table>().unwrap()["value"].clone());
    let path: Vec<_> = option.split('.').map(|key| key.trim_end_matches("[]")).collect();
    assert!(edit(&mut config, &path, instead.as_ref()), "{option} does not stand in\n{text}");
    toml::to_string(&config).unwrap()
}

/// Edits the first place of that path, and tells whether there is one.
fn edit(at: &mut Value, path: &[&str], instead: Option<&Value>) -> bool {
    let [key, rest @ ..] = path else { return false };
    match at {
        Value::Array(entries) => entries.iter_mut().any(|entry| edit(entry, path, instead)),
        Value::Table(table) => {
            let key = if *key == "*" { table.keys().next().cloned() } else { Some((*key).to_owned()) };
            let Some(key) = key.filter(|key| table.contains_key(key)) else { return false };
            match (rest, instead) {
                ([], Some(value)) => table.insert(key, value.clone()).is_some(),
                ([], None) => table.remove(&key).is_some(),
                (rest, _) => edit(&mut table[&key], rest, instead),
            }
        }
        _ => false,
    }
}

#[test]
fn one_option_is_taken_out_and_nothing_else() {
    let text = "[retry]\nbase = '1s'\n[[keys]]\ntenant = 'a'\n[[keys]]\nuser = 'u'\ntenant = 'b'\n[h]\nx = 1\n";
    let is = |option, instead, expected: &str| {
        assert_eq!(edited(text, option, instead).parse::<Table>().unwrap(), expected.parse::<Table>().unwrap());
    };
    is("retry", None, &text.replace("[retry]\nbase = '1s'\n", ""));
    is("retry.base", None, &text.replace("base = '1s'", ""));
    is("keys[].user", None, &text.replace("user = 'u'\n", ""));
    is("keys[].tenant", Some("'c'"), &text.replace("tenant = 'a'", "tenant = 'c'"));
    is("h.*", None, &text.replace("x = 1\n", ""));
}
