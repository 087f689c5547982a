//! What providers call their failures. Words are compared without regard to case, and a hyphen is an underscore.
//!
//! Sources: the error pages and API references of OpenAI, Anthropic, Google (Gemini and `google.rpc`), Azure,
//! OpenRouter, Groq, Mistral, DeepSeek, xAI, Ollama and vLLM.

use llm_core::ErrorKind;

use super::object::ErrorObject;

/// Our own word for an error of OpenRouter that lists moderation reasons.
pub(super) const MODERATION: &str = "content_policy_violation";

/// Words that say more than a status, whatever the status is. The first row with a word of the error decides.
const WORDS: [(ErrorKind, &[&str]); 7] = [
    (
        ErrorKind::QuotaExhausted,
        &[
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
            "enforced_spend_limit_reached",
            "billing_error",
            "payment_required",
        ],
    ),
    (ErrorKind::ContextLength, &["context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded"]),
    (
        ErrorKind::ContentPolicy,
        &[
            MODERATION,
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "image_content_policy_violation",
            "bio_policy",
            "refusal",
        ],
    ),
    (
        ErrorKind::ProviderCredentials,
        &["invalid_api_key", "API_KEY_INVALID", "ip_not_authorized", "unsupported_country_region_territory"],
    ),
    (ErrorKind::ModelNotFound, &["model_not_found", "DeploymentNotFound"]),
    // Too long for a field, not for the model, though the message reads alike.
    (ErrorKind::InvalidRequest, &["string_above_max_length", "string_too_long"]),
    (ErrorKind::Overloaded, &["overloaded_error", "server_is_overloaded", "provider_overloaded"]),
];

/// Words that say no more than a status. They stand in for it inside streams. The vaguest come last, because an error
/// may have a vague type and a plain code, or the other way round.
const STATUS_WORDS: [(u16, &[&str]); 15] = [
    (
        429,
        &[
            "rate_limit_exceeded",
            "rate_limit_error",
            "RateLimitReached",
            "RESOURCE_EXHAUSTED",
            "too_many_requests",
            "slow_down",
            "requests",
            "tokens",
        ],
    ),
    (401, &["authentication_error", "authentication", "UNAUTHENTICATED"]),
    (403, &["permission_error", "permission_denied"]),
    (404, &["not_found_error", "not_found", "NotFoundError"]),
    (409, &["conflict_error"]),
    (413, &["request_too_large", "payload_too_large"]),
    (422, &["unprocessable"]),
    (499, &["CANCELLED"]),
    (502, &["provider_unavailable"]),
    (503, &["service_unavailable_error", "UNAVAILABLE"]),
    (504, &["timeout_error", "timeout", "DEADLINE_EXCEEDED", "vector_store_timeout"]),
    (
        400,
        &[
            "invalid_value",
            "unsupported_value",
            "unknown_parameter",
            "decimal_below_min_value",
            "unsupported_file",
            "data_residency_mismatch",
            "precondition_failed",
            "FAILED_PRECONDITION",
            "json_validate_failed",
            "tool_use_failed",
            "invalid_prompt",
        ],
    ),
    (
        400,
        &[
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "invalid_image_mode",
            "image_too_large",
            "image_too_small",
            "image_file_too_large",
            "image_parse_error",
            "image_file_not_found",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
        ],
    ),
    (500, &["server_error", "api_error", "INTERNAL", "server", "InternalServerError"]),
    (400, &["invalid_request_error", "invalid_request", "INVALID_ARGUMENT", "BadRequestError"]),
];

/// Phrases of a prompt that does not fit: all fragments of one row, in lower case.
pub(super) const CONTEXT_LENGTH: &[&[&str]] = &[
    &["maximum context length"],
    &["context length exceeded"],
    &["exceeds the context window"],
    &["exceed context limit"],
    &["prompt is too long"],
    &["prompt too long"],
    &["input token count", "exceeds the maximum"],
    &["input tokens exceed the configured limit"],
    &["exceeds the maximum number of tokens allowed"],
    &["model's maximum context limit"],
    &["is longer than the model's context length"],
    &["exceeds the available context size"],
    &["`inputs` tokens + `max_new_tokens` must be"],
    &["maximum input length is"],
    &["too many input tokens"],
];

/// Phrases of a content policy.
pub(super) const CONTENT_POLICY: &[&[&str]] = &[
    &["content_policy_violation"],
    &["responsibleaipolicyviolation"],
    &["azure openai's content management"],
    &["rejected as a result of our safety system"],
    &["violating our usage policy"],
    &["content filtering policy"],
];

/// Phrases of missing capacity.
pub(super) const OVERLOADED: &[&[&str]] = &[&["overloaded"], &["capacity exceeded"], &["high demand"]];

/// How a 400 begins that is about our account and not about the request: xAI's and Gemini's bad key, a billing state
/// of Anthropic, a region of Gemini. Only the beginning counts, since a message may quote the request, and these open
/// the circuit of a key.
pub(super) const ACCOUNT_OPENINGS: [(ErrorKind, &str); 5] = [
    (ErrorKind::ProviderCredentials, "incorrect api key"),
    (ErrorKind::ProviderCredentials, "api key not valid"),
    (ErrorKind::ProviderCredentials, "user location is not supported"),
    (ErrorKind::QuotaExhausted, "you have reached your specified api usage limits"),
    (ErrorKind::QuotaExhausted, "your credit balance is too low"),
];

/// What the words of an error say for certain.
pub(super) fn by_word(object: &ErrorObject) -> Option<ErrorKind> {
    WORDS.iter().find(|(_, words)| words.iter().any(|word| object.says(word))).map(|(kind, _)| *kind)
}

/// The status that the words of an error stand for.
pub(super) fn status_by_word(object: &ErrorObject) -> Option<u16> {
    STATUS_WORDS.iter().find(|(_, words)| words.iter().any(|word| object.says(word))).map(|(status, _)| *status)
}

/// True for words about a key or an account's money.
pub(super) fn is_about_an_account(word: &str) -> bool {
    WORDS
        .iter()
        .filter(|(kind, _)| matches!(kind, ErrorKind::QuotaExhausted | ErrorKind::ProviderCredentials))
        .any(|(_, words)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// What a status means by itself; without one, the provider failed.
pub(super) fn by_status(status: Option<u16>) -> ErrorKind {
    use llm_core::Phase;
    let Some(status) = status else { return ErrorKind::Server };
    match status {
        400 | 422 => ErrorKind::InvalidRequest,
        401 | 403 => ErrorKind::ProviderCredentials,
        402 => ErrorKind::QuotaExhausted,
        404 => ErrorKind::ModelNotFound,
        408 | 504 | 524 => ErrorKind::Timeout(Phase::Head),
        // A conflict passes, and core has no kind of its own for what one calls again.
        409 => ErrorKind::Server,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        498 | 503 | 529 => ErrorKind::Overloaded,
        499 => ErrorKind::Interrupted,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::Server,
        // A redirect, or success with an error's body.
        _ => ErrorKind::Undecodable,
    }
}
