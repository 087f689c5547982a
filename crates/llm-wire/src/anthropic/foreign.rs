//! What other dialects can say and this one cannot: refused where it would change the answer, left out where it would
//! not. The table in the docs of `llm_wire` has every field.

use llm_core::{Chat, Error, Extra, Json, ResponseFormat, Sampling, ToolChoice, Trail};

use crate::refusal::refuse;

/// Unknown fields of OpenAI's dialect without which the answer would be another one.
const MEANINGFUL: [&str; 5] = ["functions", "function_call", "audio", "web_search_options", "modalities"];

/// Unknown fields of OpenAI's dialect that have a place here.
const CARRIED: [&str; 2] = ["user", "safety_identifier"];

/// Refuses what cannot be said and matters, and notes what is left out. `is_own` is false for a chat whose unknown
/// fields are another dialect's.
pub(super) fn check(chat: &Chat, is_own: bool, trail: &Trail) -> Result<(), Error> {
    check_sampling(&chat.sampling)?;
    if chat.n.is_some_and(|n| n.get() > 1) {
        return Err(refuse("n", "a number above 1"));
    }
    match &chat.response_format {
        Some(ResponseFormat::JsonObject) => {
            return Err(refuse("response_format", "an object of any shape: ask for one with a JSON Schema"));
        }
        Some(ResponseFormat::Other(_)) if !is_own => return Err(refuse("response_format", "a format of this kind")),
        Some(ResponseFormat::Text | ResponseFormat::JsonSchema(_) | ResponseFormat::Other(_)) | None => {}
    }
    if matches!(chat.tool_choice, Some(ToolChoice::Other(_))) && !is_own {
        return Err(refuse("tool_choice", "a choice of this kind"));
    }
    if chat.seed.is_some() {
        trail.note_left_out("seed");
    }
    if is_own {
        return Ok(());
    }
    for (name, json) in chat.extra.iter() {
        if MEANINGFUL.contains(&name) && json.get() != "null" && !is_default(name, json) {
            return Err(refuse(name, "this field"));
        }
        if !CARRIED.contains(&name) {
            trail.note_left_out(name);
        }
    }
    Ok(())
}

fn check_sampling(sampling: &Sampling) -> Result<(), Error> {
    // Taken apart, so that a new field is not forgotten.
    let Sampling {
        temperature,
        top_p: _,
        top_k: _,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
    } = sampling;
    if temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err(refuse("temperature", "a value above 1"));
    }
    for (name, penalty) in [("frequency_penalty", frequency_penalty), ("presence_penalty", presence_penalty)] {
        if penalty.is_some_and(|penalty| penalty != 0.0) {
            return Err(refuse(name, "a penalty"));
        }
    }
    if logit_bias.as_ref().is_some_and(|bias| !is_empty(bias)) {
        return Err(refuse("logit_bias", "a bias"));
    }
    if *logprobs == Some(true) || top_logprobs.is_some_and(|number| number > 0) {
        return Err(refuse("logprobs", "a question for the likelihood of tokens"));
    }
    Ok(())
}

/// Whether a field says no more than its absence would.
fn is_default(name: &str, json: &Json) -> bool {
    match name {
        "modalities" => json.parse::<Vec<String>>().is_ok_and(|kinds| kinds == ["text"]),
        "function_call" => matches!(json.get(), r#""auto""# | r#""none""#),
        "functions" => is_empty(json),
        _ => false,
    }
}

fn is_empty(json: &Json) -> bool {
    let text = json.get();
    text.len() > 2 && text[1..text.len() - 1].trim().is_empty() || matches!(text, "{}" | "[]")
}

/// Whom the call is for, by the names of OpenAI's dialect.
pub(super) fn end_user(chat: &Chat) -> Option<&Json> {
    let named = CARRIED.iter().rev().find_map(|name| chat.extra.get(name));
    named.filter(|json| json.get().starts_with('"'))
}

/// Notes unknown fields that are left out, each under `place` and its name.
pub(super) fn note(trail: &Trail, place: &str, extra: &Extra) {
    for (name, _) in extra.iter() {
        trail.note_left_out(format!("{place}.{name}"));
    }
}
