//! Counts in reports of any shape: what cannot be read is not there.

use crate::json::fields_in;

/// The fields of these names in an object, which a parser has read. One that is `null` is none, and of a repeated one the
/// last counts; `None` if `json` is no object.
pub(crate) fn fields<'a, const N: usize>(json: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    for (name, value) in fields_in(json)? {
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at] = (value != "null").then_some(value);
        }
    }
    Some(found)
}

/// A count, where there is one that makes sense.
pub(crate) fn count(text: Option<&str>) -> Option<u64> {
    let text = text?;
    // A float outside the range of counts saturates.
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as u64))
}
