//! Takes one option out of a configuration, or states it otherwise, and changes nothing else.

use toml::{Table, Value};

/// The configuration without the option, which must be in it; or with another value in its place.
pub(crate) fn edited(text: &str, option: &str, instead: Option<&str>) -> String {
    let instead = instead.map(|value| format!("value = {value}").parse::<Table>().unwrap()["value"].clone());
    let mut config = parse(text, option);
    visit(&mut config, &path(option), &mut |table, key| match &instead {
        Some(value) => table.insert(key.to_owned(), value.clone()),
        None => table.remove(key),
    });
    toml::to_string(&config).unwrap()
}

/// What the option is in the configuration.
pub(crate) fn value(text: &str, option: &str) -> Value {
    visit(&mut parse(text, option), &path(option), &mut |table, key| table.get(key).cloned()).unwrap()
}

fn parse(text: &str, option: &str) -> Value {
    let mut config = Value::Table(text.parse::<Table>().unwrap_or_else(|error| panic!("{option}: {error}\n{text}")));
    let is_there = visit(&mut config, &path(option), &mut |table, key| table.get(key).cloned()).is_some();
    assert!(is_there, "{option} does not stand in\n{text}");
    config
}

fn path(option: &str) -> Vec<&str> {
    option.split('.').map(|key| key.trim_end_matches("[]")).collect()
}

/// Does something at the first place of that path.
fn visit(at: &mut Value, path: &[&str], with: &mut dyn FnMut(&mut Table, &str) -> Option<Value>) -> Option<Value> {
    let [key, rest @ ..] = path else { return None };
    match at {
        Value::Array(entries) => entries.iter_mut().find_map(|entry| visit(entry, path, with)),
        Value::Table(table) => {
            let key = if *key == "*" { table.keys().next()?.clone() } else { (*key).to_owned() };
            if !table.contains_key(&key) {
                None
            } else if rest.is_empty() {
                with(table, &key)
            } else {
                visit(&mut table[&key], rest, with)
            }
        }
        _ => None,
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
