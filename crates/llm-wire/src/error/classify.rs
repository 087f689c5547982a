//! Decides what a failure is: words, then status, then, for some statuses, the message.

use llm_core::ErrorKind;

use super::{
    object::ErrorObject,
    table::{self, ACCOUNT_OPENINGS, CONTENT_POLICY, CONTEXT_LENGTH, OVERLOADED},
};

/// The kind of a failure. `http` is the status of a failed answer, `None` inside a stream.
pub(super) fn kind(http: Option<u16>, object: &ErrorObject) -> ErrorKind {
    if let Some(kind) = table::by_word(object) {
        return kind;
    }
    // A status below 400 says nothing about a failure, so the object's own goes first.
    let status =
        http.filter(|status| *status >= 400).or(object.status).or_else(|| table::status_by_word(object)).or(http);
    by_message(status, object).unwrap_or_else(|| table::by_status(status))
}

/// What the message adds to the status. Messages quote requests, so what would count against the provider or the key
/// is believed only where a caller cannot write it.
fn by_message(status: Option<u16>, object: &ErrorObject) -> Option<ErrorKind> {
    let text = object.text.as_str();
    let is_one_too_large = text.starts_with("request too large") && text.contains("requested");
    match status {
        Some(413 | 429) if is_one_too_large => return Some(ErrorKind::TooLarge),
        Some(429) if object.is_spent || text.contains("free-models-per-day") => return Some(ErrorKind::QuotaExhausted),
        // A missing thing that is not the model: a file, an earlier response.
        Some(404) if object.param.as_deref().is_some_and(|param| param != "model") => {
            return Some(ErrorKind::InvalidRequest);
        }
        Some(400) if object.says("FAILED_PRECONDITION") && text.contains("billing") => {
            return Some(ErrorKind::ProviderCredentials);
        }
        Some(400 | 413 | 422 | 500) | None => {}
        Some(_) => return None,
    }
    if matches!(status, Some(400) | None) {
        let account = ACCOUNT_OPENINGS.iter().find(|(_, opening)| text.starts_with(opening));
        if let Some((kind, _)) = account {
            return Some(*kind);
        }
    }
    if has_phrase(text, CONTEXT_LENGTH) && object.param.as_deref() != Some("user") {
        Some(ErrorKind::ContextLength)
    } else if has_phrase(text, CONTENT_POLICY) {
        Some(ErrorKind::ContentPolicy)
    } else if matches!(status, Some(500) | None) && has_phrase(text, OVERLOADED) {
        Some(ErrorKind::Overloaded)
    } else {
        None
    }
}

/// A word on retrying where the class alone would be wrong or, for money, must be heard by every client.
pub(super) fn should_retry(kind: ErrorKind, object: &ErrorObject) -> Option<bool> {
    if kind == ErrorKind::QuotaExhausted {
        Some(false)
    } else if object.says("tool_use_failed") {
        // Groq: the model wrote a bad call, and the next sample is often a good one.
        Some(true)
    } else {
        None
    }
}

fn has_phrase(text: &str, phrases: &[&[&str]]) -> bool {
    phrases.iter().any(|fragments| fragments.iter().all(|fragment| text.contains(fragment)))
}
