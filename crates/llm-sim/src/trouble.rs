//! What is wrong with a call, in the words of each dialect.

use bytes::Bytes;
use http::StatusCode;
use llm_core::Dialect;
use serde_json::json;

/// What an error object says, before a dialect spells it.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    code: String,
    message: String,
    /// The message in Anthropic's dialect, where it has words of its own for this.
    anthropic_message: Option<String>,
    param: Option<String>,
}

const SIMULATED: &str = "this failure is simulated";

impl Trouble {
    /// Trouble of this code: one of OpenAI's, or a type of Anthropic's.
    pub(crate) fn new(code: &str, message: &str, param: Option<&str>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            anthropic_message: None,
            param: param.map(str::to_owned),
        }
    }

    /// The prompt has more tokens than the model takes.
    pub(crate) fn too_long(tokens: u64, window: u64) -> Self {
        let message = format!("this model's maximum context length is {window} tokens, and the prompt has {tokens}");
        let trouble = Self::new("context_length_exceeded", &message, Some("messages"));
        trouble.spelled_by_anthropic(format!("prompt is too long: {tokens} tokens > {window} maximum"))
    }

    /// Trouble that a script makes.
    pub(crate) fn simulated(code: &str) -> Self {
        let trouble = Self::new(code, SIMULATED, None);
        // In Anthropic's dialect only the message tells these from other invalid requests.
        match code {
            "context_length_exceeded" => trouble.spelled_by_anthropic(format!("prompt is too long: {SIMULATED}")),
            "content_policy_violation" => {
                trouble.spelled_by_anthropic(format!("output blocked by content filtering policy: {SIMULATED}"))
            }
            _ => trouble,
        }
    }

    fn spelled_by_anthropic(self, message: String) -> Self {
        Self { anthropic_message: Some(message), ..self }
    }

    /// The status that the provider sends with it.
    pub(crate) fn status(&self, dialect: Dialect) -> StatusCode {
        let status = match (dialect, self.row()) {
            (Dialect::OpenAi, Some(row)) => row.openai.0,
            (Dialect::Anthropic, Some(row)) => row.anthropic.0,
            (Dialect::OpenAi | Dialect::Anthropic, None) => 500,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error object, as a body or an event of a stream. `request_id` is said where the dialect says it.
    pub(crate) fn object(&self, dialect: Dialect, request_id: &str) -> Bytes {
        let row = self.row();
        let object = match dialect {
            Dialect::OpenAi => {
                let (kind, code) = row.map_or(("server_error", self.code.as_str()), |row| (row.openai.1, row.code));
                json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": code } })
            }
            Dialect::Anthropic => {
                let message = self.anthropic_message.as_ref().unwrap_or(&self.message);
                let error = match row {
                    Some(row) => json!({ "type": row.anthropic.1, "message": message }),
                    None => json!({ "type": "api_error", "message": message, "details": { "error_code": self.code } }),
                };
                json!({ "type": "error", "error": error, "request_id": request_id })
            }
        };
        Bytes::from(object.to_string())
    }

    fn row(&self) -> Option<&'static Row> {
        let by_code = ROWS.iter().find(|row| row.code == self.code);
        by_code.or_else(|| ROWS.iter().find(|row| row.anthropic.1 == self.code))
    }
}

/// The code that OpenAI most often sends with a status.
pub(crate) fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "invalid_api_key",
        402 => "insufficient_quota",
        403 => "permission_denied",
        404 => "model_not_found",
        408 | 504 => "timeout",
        409 => "conflict",
        413 => "request_too_large",
        429 => "rate_limit_exceeded",
        503 | 529 => "server_is_overloaded",
        400..=499 => "invalid_value",
        _ => "server_error",
    }
}

/// The same trouble at both providers: OpenAI's code, and the status and type that go with it.
struct Row {
    code: &'static str,
    openai: (u16, &'static str),
    anthropic: (u16, &'static str),
}

const fn row(code: &'static str, openai: (u16, &'static str), anthropic: (u16, &'static str)) -> Row {
    Row { code, openai, anthropic }
}

/// What OpenAI calls whatever the caller has done wrong, and Anthropic most of it.
const INVALID: &str = "invalid_request_error";

/// By the API references of both. Of rows with the same type of Anthropic's, the first is what that type means in a
/// script.
const ROWS: [Row; 17] = [
    row("invalid_value", (400, INVALID), (400, INVALID)),
    row("unsupported_value", (400, INVALID), (400, INVALID)),
    row("context_length_exceeded", (400, INVALID), (400, INVALID)),
    row("content_policy_violation", (400, INVALID), (400, INVALID)),
    row("method_not_allowed", (405, INVALID), (405, INVALID)),
    row("invalid_api_key", (401, INVALID), (401, "authentication_error")),
    row("insufficient_quota", (429, "insufficient_quota"), (402, "billing_error")),
    row("permission_denied", (403, INVALID), (403, "permission_error")),
    row("model_not_found", (404, INVALID), (404, "not_found_error")),
    row("not_found", (404, INVALID), (404, "not_found_error")),
    row("conflict", (409, "conflict_error"), (409, "conflict_error")),
    row("request_too_large", (413, INVALID), (413, "request_too_large")),
    row("rate_limit_exceeded", (429, "requests"), (429, "rate_limit_error")),
    row("slow_down", (429, "rate_limit_error"), (429, "rate_limit_error")),
    row("server_is_overloaded", (503, "service_unavailable_error"), (529, "overloaded_error")),
    row("timeout", (504, "timeout_error"), (504, "timeout_error")),
    row("server_error", (500, "server_error"), (500, "api_error")),
];

#[cfg(test)]
mod tests {
    use llm_core::ErrorKind;
    use serde_json::Value;

    use super::*;

    fn object(code: &str, dialect: Dialect) -> Value {
        serde_json::from_slice(&Trouble::simulated(code).object(dialect, "req_1")).unwrap()
    }

    #[test]
    fn a_code_of_either_provider_is_the_same_trouble_in_both_dialects() {
        for (openai, anthropic, statuses) in [
            ("invalid_value", INVALID, (400, 400)),
            ("invalid_api_key", "authentication_error", (401, 401)),
            ("insufficient_quota", "billing_error", (429, 402)),
            ("permission_denied", "permission_error", (403, 403)),
            ("model_not_found", "not_found_error", (404, 404)),
            ("rate_limit_exceeded", "rate_limit_error", (429, 429)),
            ("request_too_large", "request_too_large", (413, 413)),
            ("server_is_overloaded", "overloaded_error", (503, 529)),
            ("timeout", "timeout_error", (504, 504)),
            ("server_error", "api_error", (500, 500)),
        ] {
            for code in [openai, anthropic] {
                let trouble = Trouble::simulated(code);
                let status = |dialect| trouble.status(dialect).as_u16();
                assert_eq!((status(Dialect::OpenAi), status(Dialect::Anthropic)), statuses, "{code}");
                assert_eq!(object(code, Dialect::OpenAi)["error"]["code"], openai);
                assert_eq!(object(code, Dialect::Anthropic)["error"]["type"], anthropic);
            }
        }
    }

    #[test]
    fn clients_make_the_same_of_it_in_both_dialects() {
        for code in ROWS.iter().map(|row| row.code).chain(["odd", "enforced_spend_limit_reached"]) {
            let kind = |dialect| {
                let object = Trouble::simulated(code).object(dialect, "req_1");
                llm_wire::error::decode_in_band(&object).unwrap().kind()
            };
            assert_eq!(kind(Dialect::OpenAi), kind(Dialect::Anthropic), "{code}");
        }
        let long = Trouble::too_long(10, 5).object(Dialect::Anthropic, "req_1");
        assert_eq!(llm_wire::error::decode_in_band(&long).unwrap().kind(), ErrorKind::ContextLength);
    }

    #[test]
    fn a_code_that_nobody_knows_is_handed_on() {
        assert_eq!(object("odd", Dialect::OpenAi)["error"]["code"], "odd");
        let object = object("odd", Dialect::Anthropic);
        assert_eq!((&object["type"], &object["error"]["type"]), (&json!("error"), &json!("api_error")));
        assert_eq!(
            (&object["error"]["details"]["error_code"], &object["request_id"]),
            (&json!("odd"), &json!("req_1"))
        );
    }
}
