//! The caller's own bytes with as little changed as can be.

use bytes::Bytes;
use llm_core::{Error, ErrorKind, LlmRequest, Payload};

use crate::{
    EncodeOptions,
    edits::{Edits, quoted},
    json::{Object, Value, known_document},
};

/// The caller's bytes with the options spliced in. `None` when they name no model, and so cannot be the request.
pub(crate) fn splice(request: &LlmRequest, body: &Bytes, options: &EncodeOptions<'_>) -> Result<Option<Bytes>, Error> {
    let document = known_document(body, ErrorKind::InvalidRequest)?;
    let root = document.object()?;
    let Some(model) = root.get("model").filter(|model| model.is_string()) else { return Ok(None) };
    let mut edits = Edits::new(body);
    if model.string()? != options.model {
        edits.replace(&model, quoted(options.model));
    }
    // New fields go behind the model, which is there in every request.
    let behind_model = edits.place(&model).end;
    if !options.variant.stream_options {
        // It reports usage unasked, and refuses to be asked.
        if let Some(stream_options) = root.get("stream_options") {
            edits.remove_field(&stream_options);
        }
    } else if request.is_stream() && options.include_usage {
        splice_usage(&root, behind_model, &mut edits)?;
    }
    if let Payload::Chat(chat) = request.payload()
        // A limit under a name that the server does not heed would be none, so it is repeated.
        && let Some(ceiling) = options.output_ceiling.or(chat.max_output_tokens.filter(|_| options.variant.output_limit == "max_tokens"))
    {
        splice_ceiling(&root, ceiling, options.variant.output_limit, behind_model, &mut edits)?;
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

/// Lowers what the caller set under either name, since a provider may heed only one of them. What surely is heeded is
/// `name`, and the older name, which everybody knows.
fn splice_ceiling(
    root: &Object<'_, '_>,
    ceiling: u64,
    name: &'static str,
    behind_model: usize,
    edits: &mut Edits<'_>,
) -> Result<(), Error> {
    let stated = |name| root.get(name).filter(|value: &Value<'_, '_>| !value.is_null());
    let mut lowest = ceiling;
    for value in ["max_completion_tokens", "max_tokens"].into_iter().filter_map(stated) {
        // Below zero means none.
        let limit = u64::try_from(value.integer()?).unwrap_or(u64::MAX);
        if limit > ceiling {
            edits.replace(&value, ceiling.to_string());
        }
        lowest = lowest.min(limit);
    }
    let heeded = [name, "max_tokens"];
    if heeded.into_iter().any(|name| stated(name).is_some()) {
        return Ok(());
    }
    // A null under the older name stays: whoever heeds the newer one may refuse the older.
    match root.get(name) {
        Some(null) => edits.replace(&null, lowest.to_string()),
        None => edits.insert(behind_model, format!(r#","{name}":{lowest}"#)),
    }
    Ok(())
}
