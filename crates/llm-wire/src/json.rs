//! JSON read field by field: nothing is lost, and errors name the field, never its value.

use std::{borrow::Cow, fmt};

use llm_core::{Detail, Error, ErrorKind, Extra, Json};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::split::{Parts, string_end, unquoted};

mod lenient;
mod list;
mod split;
mod surrogates;
mod write;

pub(crate) use lenient::{said, text};
pub(crate) use surrogates::{parse_mended, without_lone_surrogates};
pub(crate) use write::{ArrayWriter, ObjectWriter};

/// The deepest nesting that is read. Parsers of other services give up at about the same depth, and no request needs
/// a tenth of it.
const MAX_DEPTH: usize = 128;

/// The most fields of an object that is read. The largest known request has about 60.
const MAX_FIELDS: usize = 256;

/// The most fields in all objects of a request together. What a request costs in memory beyond its own bytes grows
/// with its objects and their fields, less than 200 bytes for each field: this many stay below 100 MB. A conversation
/// of 100,000 plain messages has 200,000.
const MAX_REQUEST_FIELDS: usize = 500_000;

/// Where a value stands in its document.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The document itself, and whose fault an error in it is.
    Root(ErrorKind),
    Field(&'p Path<'p>, &'static str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// An error at this place. `what` continues the path: `expected a string`.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        match self {
            Self::Root(_) => Error::new(self.blame(), format!("the body: {what}")),
            Self::Field(..) | Self::Item(..) => {
                let param = self.to_string();
                let error = Error::new(self.blame(), format!("{param}: {what}"));
                error.with_detail(Detail { param: Some(param), ..Detail::default() })
            }
        }
    }

    fn blame(&self) -> ErrorKind {
        match self {
            Self::Root(kind) => *kind,
            Self::Field(parent, _) | Self::Item(parent, _) => parent.blame(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(_) => Ok(()),
            Self::Field(Path::Root(_), name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// One value of a document, not yet looked into.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a, 'p> {
    text: &'a str,
    at: Path<'p>,
}

/// A text that is to be one JSON value.
pub(crate) struct Document<'a> {
    text: &'a str,
    at: Path<'static>,
    /// Whether a parser has read it before.
    is_known: bool,
}

/// Checks that `body` is text of sane depth, and if it is a request, of sane size. Errors in it, and in everything read
/// from it, are of `kind`.
pub(crate) fn document(body: &[u8], kind: ErrorKind) -> Result<Document<'_>, Error> {
    let at = Path::Root(kind);
    let extent = Extent::of(body);
    if extent.depth > MAX_DEPTH {
        return Err(at.error(format_args!("JSON is nested deeper than {MAX_DEPTH} levels")));
    }
    // Answers are not bounded: the log probabilities of a long one are millions of fields, and are kept as they came.
    if kind == ErrorKind::InvalidRequest && extent.fields > MAX_REQUEST_FIELDS {
        return Err(at.error(format_args!("must have at most {MAX_REQUEST_FIELDS} fields in all objects together")));
    }
    let document = known_document(body, kind)?;
    Ok(Document { is_known: false, ..document })
}

/// The same for a body that was read as a document before, and so is known to be sane. It is not looked at again but for
/// what is asked of it.
pub(crate) fn known_document(body: &[u8], kind: ErrorKind) -> Result<Document<'_>, Error> {
    let at = Path::Root(kind);
    let text = std::str::from_utf8(body).map_err(|_| at.error("not valid UTF-8"))?;
    Ok(Document { text, at, is_known: true })
}

impl<'a> Document<'a> {
    /// The fields of the object that the document is.
    pub(crate) fn object<'s>(&'s self) -> Result<Object<'a, 's>, Error> {
        self.value()?.object().map(|object| Object { at: &self.at, ..object })
    }

    /// The value that the document is. A parser reads it to its end once; what is in it is found by its punctuation.
    pub(crate) fn value(&self) -> Result<Value<'a, 'static>, Error> {
        if self.is_known {
            return Ok(Value { text: self.text.trim_ascii(), at: self.at });
        }
        let raw = serde_json::from_str::<&RawValue>(self.text).map_err(|error| {
            self.at.error(format_args!("not valid JSON at line {} column {}", error.line(), error.column()))
        })?;
        Ok(Value { text: raw.get(), at: self.at })
    }
}

/// How deep and how large a document is, from its punctuation alone.
#[derive(Default)]
struct Extent {
    /// The most brackets that are open at once.
    depth: usize,
    /// The fields of all objects.
    fields: usize,
}

impl Extent {
    /// One pass, before any parser sees the bytes; strings are jumped over.
    fn of(body: &[u8]) -> Self {
        let mut extent = Self::default();
        let mut depth = 0_usize;
        let mut at = 0;
        while let Some(&byte) = body.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => {
                    depth += 1;
                    extent.depth = extent.depth.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b':' => extent.fields += 1,
                // Behind one without an end there is nothing.
                b'"' => at = string_end(body, at).unwrap_or(body.len()),
                _ => {}
            }
        }
        extent
    }
}

impl<'a, 'p> Value<'a, 'p> {
    /// The value as it is spelled.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The value in its own spelling, to be carried on.
    pub(crate) fn json(&self) -> Json {
        kept(self.text)
    }

    /// An error about this value.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        self.at.error(what)
    }

    pub(crate) fn is_string(&self) -> bool {
        self.text().starts_with('"')
    }

    pub(crate) fn is_object(&self) -> bool {
        self.text().starts_with('{')
    }

    pub(crate) fn is_array(&self) -> bool {
        self.text().starts_with('[')
    }

    pub(crate) fn is_null(&self) -> bool {
        self.text() == "null"
    }

    /// A text. Half a character, written as an escape, is refused in requests and becomes U+FFFD in answers.
    pub(crate) fn string(&self) -> Result<Cow<'a, str>, Error> {
        if !self.is_string() {
            return Err(self.error("expected a string"));
        }
        match unquoted(self.text) {
            Some(text) => Ok(text),
            None => self.mended().map(Cow::Owned).ok_or_else(|| self.error("not valid text")),
        }
    }

    fn mended(&self) -> Option<String> {
        let is_answer = self.at.blame() == ErrorKind::Undecodable;
        if is_answer { parse_mended(self.text().as_bytes()) } else { None }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Error> {
        match self.text() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.error("expected true or false")),
        }
    }

    /// A finite number, rounded correctly: serde_json's own floats may be off in the last place.
    pub(crate) fn number(&self) -> Result<f64, Error> {
        let number = self.text().parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error("expected a number"))
    }

    /// A whole number however it is spelled: `16`, `16.0` and `1.6e1` are one.
    pub(crate) fn integer(&self) -> Result<i64, Error> {
        if let Ok(exact) = self.text().parse() {
            return Ok(exact);
        }
        // Beyond 2^53 a float is not exact.
        match self.text().parse::<f64>() {
            Ok(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => Ok(number as i64),
            _ => Err(self.error("expected a whole number")),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn at_least(&self, least: u32) -> Result<u64, Error> {
        match u64::try_from(self.integer()?) {
            Ok(number) if number >= u64::from(least) => Ok(number),
            _ => Err(self.error(format_args!("expected at least {least}"))),
        }
    }

    pub(crate) fn object<'s>(&'s self) -> Result<Object<'a, 's>, Error> {
        if !self.is_object() {
            return Err(self.error("expected an object"));
        }
        let mut fields = Vec::with_capacity(8);
        let mut parts = Parts::of(self.text);
        while let Some((name, value)) = parts.next_field() {
            let name = unquoted(name).ok_or_else(|| self.error("not a valid object"))?;
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(self.error("a field is given twice"));
            }
            if fields.len() == MAX_FIELDS {
                return Err(self.error(format_args!("more than {MAX_FIELDS} fields")));
            }
            fields.push((name, value));
        }
        Ok(Object { fields, at: &self.at })
    }
}

/// A value that a parser has read, to be carried on.
fn kept(text: &str) -> Json {
    Json::from_text(text).expect("a part of valid JSON is valid")
}

/// The fields of an object, one after the other, but for those whose name is no text. `None` if `json` is none.
pub(crate) fn fields_in(json: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    let mut parts = json.starts_with('{').then(|| Parts::of(json))?;
    let fields = std::iter::from_fn(move || parts.next_field());
    Some(fields.filter_map(|(name, value)| Some((unquoted(name)?, value))))
}

/// A string, for the parser: borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object. What is not taken out by name stays, in order.
pub(crate) struct Object<'a, 'p> {
    fields: Vec<(Cow<'a, str>, &'a str)>,
    at: &'p Path<'p>,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Takes a field out; `null` is taken out too, and is no value.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Value<'a, 'p>> {
        let place = self.fields.iter().position(|(known, _)| known == name)?;
        let (_, text) = self.fields.remove(place);
        let value = Value { text, at: Path::Field(self.at, name) };
        (!value.is_null()).then_some(value)
    }

    /// Takes out a field that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<Value<'a, 'p>, Error> {
        self.take(name).ok_or_else(|| Path::Field(self.at, name).error("is required"))
    }

    /// Looks at a field.
    pub(crate) fn get(&self, name: &'static str) -> Option<Value<'a, 'p>> {
        let text = self.fields.iter().find_map(|(known, text)| (known == name).then_some(*text))?;
        Some(Value { text, at: Path::Field(self.at, name) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What was not taken out.
    pub(crate) fn rest(self) -> Extra {
        let mut extra = Extra::new();
        for (name, text) in self.fields {
            extra.insert(name, kept(text));
        }
        extra
    }

    /// Keeps what was not taken out of this object as field `name` of its parent's unknown fields; encoders write it
    /// back into the object of that name.
    pub(crate) fn rest_into(self, extra: &mut Extra, name: &'static str) {
        if self.is_empty() {
            return;
        }
        let mut out = bytes::BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        for (name, text) in &self.fields {
            object.raw(name, text);
        }
        object.end();
        extra.insert(name, kept(&String::from_utf8_lossy(&out)));
    }
}

/// The fields of `json` if it is an object: the reverse of [`Object::rest_into`].
pub(crate) fn fields_of(json: &Json) -> Extra {
    let value = Value { text: json.get(), at: Path::Root(ErrorKind::Internal) };
    value.object().map(Object::rest).unwrap_or_default()
}

#[cfg(test)]
mod tests;
