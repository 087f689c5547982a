//! The caller's own bytes with as little changed as can be.

use bytes::Bytes;
use llm_core::{Error, ErrorKind};

use crate::{
    EncodeOptions,
    edits::{Edits, quoted},
    json::{Value, known_document},
};

/// The caller's bytes with the options spliced in. `None` when they name no model, and so cannot be the request.
pub(super) fn splice(body: &Bytes, options: &EncodeOptions<'_>) -> Result<Option<Bytes>, Error> {
    let document = known_document(body, ErrorKind::InvalidRequest)?;
    let root = document.object()?;
    let Some(model) = root.get("model").filter(|model| model.is_string()) else { return Ok(None) };
    let mut edits = Edits::new(body);
    if model.string()? != options.model {
        edits.replace(&model, quoted(options.model));
    }
    // A limit is there in every request for an answer, and in no question for a count.
    if let (Some(ceiling), Some(limit)) = (options.output_ceiling, root.get("max_tokens"))
        && limit.at_least(0)? > ceiling
    {
        edits.replace(&limit, ceiling.to_string());
        if let Some(thinking) = root.get("thinking").filter(Value::is_object)
            && let Some(budget) = thinking.object()?.get("budget_tokens")
            // Thinking of another kind may have a budget that is no number, and none to lower.
            && budget.at_least(0).is_ok_and(|tokens| tokens >= ceiling)
        {
            match budget_below(ceiling) {
                Some(lower) => edits.replace(&budget, lower.to_string()),
                None => edits.replace(&thinking, r#"{"type":"disabled"}"#),
            }
        }
    }
    Ok(Some(edits.apply()))
}

/// The smallest budget for thinking that the provider takes (Anthropic API reference, Extended thinking).
const LEAST_BUDGET: u64 = 1_024;

/// The largest budget for thinking below a limit on the output, as the provider demands it; none if that leaves no
/// room to think.
pub(super) fn budget_below(limit: u64) -> Option<u64> {
    limit.checked_sub(1).filter(|budget| *budget >= LEAST_BUDGET)
}
