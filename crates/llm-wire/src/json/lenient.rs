//! Values of answers, taken where they make sense and passed over where they do not.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{parse_mended, unquoted};

/// The text, if the value is one: half a character, where a model's text was cut within one, is U+FFFD.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    if !json.starts_with('"') {
        return None;
    }
    unquoted(json).or_else(|| parse_mended::<String>(json.as_bytes()).map(Cow::Owned))
}

/// The text, where there is one that is not empty.
pub(crate) fn said(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    text(raw?).filter(|text| !text.is_empty())
}
