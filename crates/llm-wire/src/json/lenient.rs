//! Values of answers, taken where they make sense and passed over where they do not.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Text, parse_mended};

/// The text, if the value is one: half a character, where a model's text was cut within one, is U+FFFD.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    if !json.starts_with('"') {
        return None;
    }
    match serde_json::from_str::<Text<'_>>(json) {
        Ok(text) => Some(text.0),
        Err(_) => parse_mended::<String>(json.as_bytes()).map(Cow::Owned),
    }
}

/// The text, where there is one that is not empty.
pub(crate) fn said(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    text(raw?).filter(|text| !text.is_empty())
}
