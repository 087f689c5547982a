//! The caller's own bytes with as little changed as can be.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use llm_core::{Error, ErrorKind, LlmRequest};

use crate::{
    EncodeOptions,
    json::{Object, Value, document},
};

/// Changes of a text, each at a place of its own, in any order.
struct Edits<'t> {
    text: &'t Bytes,
    edits: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// Where a value that was read from the text stands in it.
    fn place(&self, value: &Value<'_, '_>) -> Range<usize> {
        let start = value.text().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + value.text().len()
    }

    fn replace(&mut self, value: &Value<'_, '_>, with: impl Into<String>) {
        self.edits.push((self.place(value), with.into()));
    }

    fn insert(&mut self, at: usize, what: impl Into<String>) {
        self.edits.push((at..at, what.into()));
    }

    fn apply(mut self) -> Bytes {
        if self.edits.is_empty() {
            return self.text.clone();
        }
        // Stable: what is inserted behind a value comes after what replaces it.
        self.edits.sort_by_key(|(place, _)| place.start);
        let inserted: usize = self.edits.iter().map(|(_, what)| what.len()).sum();
        let mut out = BytesMut::with_capacity(self.text.len() + inserted);
        let mut copied = 0;
        for (place, what) in &self.edits {
            out.extend_from_slice(&self.text[copied..place.start]);
            out.extend_from_slice(what.as_bytes());
            copied = place.end;
        }
        out.extend_from_slice(&self.text[copied..]);
        out.freeze()
    }
}

/// The caller's bytes with the options spliced in. `None` when they name no model, and so cannot be the request.
pub(crate) fn splice(request: &LlmRequest, body: &Bytes, options: &EncodeOptions<'_>) -> Result<Option<Bytes>, Error> {
    let document = document(body, ErrorKind::InvalidRequest)?;
    let root = document.object()?;
    let Some(model) = root.get("model").filter(|model| model.is_string()) else { return Ok(None) };
    let mut edits = Edits { text: body, edits: Vec::new() };
    if model.string()? != options.model {
        edits.replace(&model, quoted(options.model));
    }
    // New fields go behind the model, which is there in every request.
    let behind_model = edits.place(&model).end;
    if request.is_stream() && options.include_usage {
        splice_usage(&root, behind_model, &mut edits)?;
    }
    if let Some(ceiling) = options.output_ceiling
        && matches!(request.payload(), llm_core::Payload::Chat(_))
    {
        splice_ceiling(&root, ceiling, behind_model, &mut edits)?;
    }
    Ok(Some(edits.apply()))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text can always be written as JSON")
}

fn splice_usage(root: &Object<'_, '_>, behind_model: usize, edits: &mut Edits<'_>) -> Result<(), Error> {
    let Some(stream_options) = root.get("stream_options") else {
        edits.insert(behind_model, r#","stream_options":{"include_usage":true}"#);
        return Ok(());
    };
    if stream_options.is_null() {
        edits.replace(&stream_options, r#"{"include_usage":true}"#);
        return Ok(());
    }
    let fields = stream_options.object()?;
    match fields.get("include_usage") {
        Some(asked) if asked.text() == "true" => {}
        Some(asked) => edits.replace(&asked, "true"),
        None => {
            let comma = if fields.is_empty() { "" } else { "," };
            let behind_brace = edits.place(&stream_options).start + 1;
            edits.insert(behind_brace, format!(r#""include_usage":true{comma}"#));
        }
    }
    Ok(())
}

/// Lowers what the caller set under either name. A provider may heed only one of them, so each is lowered.
fn splice_ceiling(
    root: &Object<'_, '_>,
    ceiling: u64,
    behind_model: usize,
    edits: &mut Edits<'_>,
) -> Result<(), Error> {
    let mut is_limited = false;
    let mut null = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        match root.get(name) {
            Some(value) if value.is_null() => null = null.or(Some(value)),
            Some(value) => {
                is_limited = true;
                if value.at_least(1)? > ceiling {
                    edits.replace(&value, ceiling.to_string());
                }
            }
            None => {}
        }
    }
    match null {
        _ if is_limited => {}
        Some(value) => edits.replace(&value, ceiling.to_string()),
        None => edits.insert(behind_model, format!(r#","max_completion_tokens":{ceiling}"#)),
    }
    Ok(())
}
