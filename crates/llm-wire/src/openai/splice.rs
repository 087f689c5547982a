//! The caller's own bytes with as little changed as can be.

use bytes::Bytes;
use llm_core::{Error, ErrorKind, LlmRequest};

use crate::{
    EncodeOptions,
    edits::{Edits, quoted},
    json::{Object, document},
};

/// The caller's bytes with the options spliced in. `None` when they name no model, and so cannot be the request.
pub(crate) fn splice(request: &LlmRequest, body: &Bytes, options: &EncodeOptions<'_>) -> Result<Option<Bytes>, Error> {
    let document = document(body, ErrorKind::InvalidRequest)?;
    let root = document.object()?;
    let Some(model) = root.get("model").filter(|model| model.is_string()) else { return Ok(None) };
    let mut edits = Edits::new(body);
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
