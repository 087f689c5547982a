//! The message of an error: a sentence of ours, or the provider's, cleaned.

use std::borrow::Cow;

use llm_core::ErrorKind;

/// The longest message of a provider that is handed on, in characters.
const LONGEST: usize = 512;

/// How much of a message is looked at, in characters: enough for what control characters and secrets take away.
const LOOKED_AT: usize = 4 * LONGEST;

/// What stands where something looked like a secret.
const REDACTED: &str = "[redacted]";

/// How pydantic, and so vLLM and every server built with FastAPI, begins to quote the value that it refuses. What
/// follows is cut off.
const QUOTES: [&str; 3] = ["'input':", "\"input\":", "input_value="];

/// How keys and account ids of providers begin.
const OPENINGS: [&str; 14] =
    ["sk-", "sk_", "rk-", "pk-", "gsk_", "xai-", "AIza", "ya29", "AKIA", "hf_", "nvapi-", "org-", "org_", "proj_"];

/// An unbroken run of this many letters and digits, with both among them, is taken for a key. Words and model names
/// stay well below, and so do the groups of a UUID.
const KEY_LENGTH: usize = 20;

/// The message for callers and logs.
pub(super) fn for_caller(kind: ErrorKind, theirs: Option<&str>) -> Cow<'static, str> {
    let ours = match kind {
        ErrorKind::InvalidRequest => "the provider refused the request as invalid",
        ErrorKind::ContextLength => "the prompt does not fit the model's context window",
        ErrorKind::ContentPolicy => "a content policy of the provider refused the request",
        ErrorKind::TooLarge => "the request is too large for the provider",
        ErrorKind::ModelNotFound => "the provider has no such model",
        ErrorKind::ProviderCredentials => return "the provider refuses our credentials".into(),
        ErrorKind::QuotaExhausted => return "our quota at the provider is exhausted".into(),
        ErrorKind::RateLimited => return "the provider limits our rate".into(),
        ErrorKind::Overloaded => return "the provider is overloaded".into(),
        ErrorKind::Timeout(_) => return "the provider ran out of time".into(),
        ErrorKind::Interrupted => return "the provider cancelled the call".into(),
        ErrorKind::Undecodable => return "the provider's answer makes no sense".into(),
        // Only `Server` of these comes from a provider; the rest are listed so that a new kind is thought about here.
        ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::DeadlineExceeded
        | ErrorKind::UnknownModel
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Untranslatable
        | ErrorKind::Cancelled
        | ErrorKind::Internal => return "the provider failed".into(),
    };
    match theirs.map(clean) {
        Some(theirs) if !theirs.is_empty() => theirs.into(),
        _ => ours.into(),
    }
}

/// True if something in `text` looks like a key or an account id.
pub(super) fn has_secret(text: &str) -> bool {
    text.split(is_separator).any(looks_secret)
}

/// One line of at most 512 characters without control characters and without anything that looks like a secret.
fn clean(text: &str) -> String {
    let quote = QUOTES.iter().filter_map(|quote| text.find(quote)).min();
    let text = &text[..quote.unwrap_or(text.len())];
    let line: String = text
        .chars()
        .take(LOOKED_AT)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let mut cleaned = String::with_capacity(line.len());
    let mut is_after_bearer = false;
    for piece in line.trim().split_inclusive(is_separator) {
        let piece_word = piece.trim_end_matches(is_separator);
        if looks_secret(piece_word) || (is_after_bearer && !piece_word.is_empty()) {
            cleaned.push_str(REDACTED);
            cleaned.push_str(&piece[piece_word.len()..]);
        } else {
            cleaned.push_str(piece);
        }
        // Spaces between the scheme and the token are pieces of their own.
        is_after_bearer = piece_word.eq_ignore_ascii_case("bearer") || (is_after_bearer && piece_word.is_empty());
    }
    match cleaned.char_indices().nth(LONGEST) {
        Some(_) => cleaned.chars().take(LONGEST - 1).chain(['…']).collect(),
        None => cleaned,
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || "\"'`,;:=&?/\\()[]{}<>".contains(c)
}

fn looks_secret(word: &str) -> bool {
    let is_run = |run: &str| {
        run.len() >= KEY_LENGTH
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    OPENINGS.iter().any(|opening| word.starts_with(opening))
        // Half-hidden by the provider already.
        || word.contains("**")
        || word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_run)
}
