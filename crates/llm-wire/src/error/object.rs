//! Finds the error object in a body, whoever wrote it, and reads what it says.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::{message, table};
use crate::{headers::time, json::parse_mended};

/// How many bodies may stand inside one another as text: a gateway's message holds the provider's body.
const DEEPEST: u8 = 3;

/// How many headers of a provider behind a gateway are read; a header map has a bound above which it panics.
const MOST_HEADERS: usize = 32;

/// What an error object says, in the words of whoever wrote it.
///
/// It has no `Debug`: its message may hold anything.
#[derive(Default)]
pub(super) struct ErrorObject {
    /// The message, of the innermost object that has one.
    pub(super) message: Option<String>,
    /// The message in lower case, to look for phrases. Empty without a message.
    pub(super) text: String,
    /// The `type` field.
    pub(super) kind: Option<String>,
    /// The `code` field.
    pub(super) code: Option<String>,
    /// The name of the field at fault.
    pub(super) param: Option<String>,
    /// Every word that names the failure: codes, types, reasons.
    words: Vec<String>,
    /// The status that the object itself names, from 400 to 599.
    pub(super) status: Option<u16>,
    /// A `QuotaFailure` of Google that no wait of minutes will mend: a limit a day, or a limit of zero.
    pub(super) is_spent: bool,
    /// The wait that Google's `RetryInfo` asks for.
    pub(super) retry_delay: Option<Duration>,
    /// Headers of the provider behind a gateway.
    pub(super) headers: HeaderMap,
}

impl ErrorObject {
    /// Reads the body of a failed answer. Without JSON in it a short text is the message, and HTML says nothing.
    pub(super) fn in_failure(body: &[u8]) -> Self {
        let mut object = Self::default();
        match parse(body) {
            Some(value) => object.read_body(&value, 0),
            None => match std::str::from_utf8(body).map(str::trim) {
                Ok(text) if !text.is_empty() && !text.starts_with('<') => object.message = Some(text.to_owned()),
                Ok(_) | Err(_) => {}
            },
        }
        object.finished()
    }

    /// Reads a body that should be an answer, if it is an error.
    pub(super) fn in_answer(body: &[u8]) -> Option<Self> {
        // All forms have this very string, as a name or as a value. In an answer's own text it would be escaped.
        memchr::memmem::find(body, b"\"error\"")?;
        let value = parse(body)?;
        let Value::Object(fields) = only(&value) else { return None };
        let says_so = |name| fields.get(name).and_then(Value::as_str) == Some("error");
        if error_field(fields).is_none() && !says_so("type") && !says_so("object") {
            return None;
        }
        let mut object = Self::default();
        object.read_body(&value, 0);
        Some(object.finished())
    }

    /// True if the object names the failure so, whatever the case, with hyphens or underscores.
    pub(super) fn says(&self, word: &str) -> bool {
        let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
        self.words.iter().any(|said| said.bytes().map(plain).eq(word.bytes().map(plain)))
    }

    fn finished(mut self) -> Self {
        self.text = self.message.as_deref().unwrap_or_default().to_lowercase();
        self
    }

    fn read_body(&mut self, body: &Value, depth: u8) {
        let fields = match only(body) {
            Value::Object(fields) => fields,
            Value::String(text) => return self.read_message(text, depth),
            _ => return,
        };
        match (error_field(fields), fields.get("detail")) {
            (Some(Value::Object(error)), _) => self.read_fields(error, depth),
            (Some(Value::String(text)), _) => {
                self.read_fields(fields, depth);
                self.read_message(text, depth);
            }
            (Some(_), _) | (None, None | Some(Value::Null)) => self.read_fields(fields, depth),
            (None, Some(Value::Array(problems))) => self.read_validation(problems),
            (None, Some(detail)) if depth < DEEPEST => self.read_body(detail, depth + 1),
            (None, Some(_)) => {}
        }
    }

    fn read_fields(&mut self, fields: &Map<String, Value>, depth: u8) {
        self.status = self.status.or_else(|| {
            ["code", "status", "status_code", "statusCode"].iter().find_map(|name| status(fields.get(*name)?))
        });
        let code = word(fields.get("code"));
        // The outermost object of some dialects has the type "error", which says nothing.
        let kind = word(fields.get("type")).filter(|kind| kind != "error");
        let inner = fields.get("innererror").and_then(|inner| word(inner.get("code")));
        self.words.extend([&code, &kind, &inner, &word(fields.get("status"))].into_iter().flatten().cloned());
        self.code = code.or(self.code.take());
        self.kind = kind.or(self.kind.take());
        self.param = word(fields.get("param")).or(self.param.take());
        match fields.get("details") {
            Some(Value::Array(details)) => {
                let text = fields.get("message").and_then(Value::as_str).unwrap_or_default();
                self.read_google_details(details, text);
            }
            Some(Value::Object(details)) => self.words.extend(word(details.get("error_code"))), // Anthropic
            _ => {}
        }
        if let Some(text) = fields.get("message").and_then(Value::as_str) {
            self.read_message(text, depth);
        }
        if let Some(Value::Object(metadata)) = fields.get("metadata") {
            self.read_gateway_metadata(metadata, depth);
        }
    }

    /// A message, which some proxies make of the whole body of the provider.
    fn read_message(&mut self, text: &str, depth: u8) {
        if depth < DEEPEST
            && text.trim_start().starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(text)
        {
            return self.read_body(&value, depth + 1);
        }
        if !text.trim().is_empty() {
            self.message = Some(text.to_owned());
        }
    }

    /// FastAPI's list of problems (Mistral): the first one, without the `input` that it repeats.
    fn read_validation(&mut self, problems: &[Value]) {
        let Some(problem) = problems.first() else { return };
        let place = problem.get("loc").and_then(Value::as_array).map(|steps| {
            let steps = steps.iter().filter_map(|step| word(Some(step))).filter(|step| step != "body");
            steps.collect::<Vec<_>>().join(".")
        });
        self.param = place.filter(|place| !place.is_empty());
        self.kind = word(problem.get("type"));
        if let Some(text) = problem.get("msg").and_then(Value::as_str) {
            self.message = Some(match &self.param {
                Some(place) => format!("{place}: {text}"),
                None => text.to_owned(),
            });
        }
    }

    /// The `google.rpc` messages that Gemini and Vertex add.
    fn read_google_details(&mut self, details: &[Value], text: &str) {
        for detail in details {
            let name = detail.get("@type").and_then(Value::as_str).unwrap_or_default();
            if name.ends_with("google.rpc.RetryInfo") {
                let delay = detail.get("retryDelay").and_then(Value::as_str).and_then(time::leading_duration);
                self.retry_delay = delay.and_then(|(delay, _)| time::sensible(delay)).or(self.retry_delay);
            } else if name.ends_with("google.rpc.ErrorInfo") {
                self.words.extend(word(detail.get("reason")));
            } else if name.ends_with("google.rpc.QuotaFailure") {
                let violations = detail.get("violations").and_then(Value::as_array);
                self.is_spent |= violations.is_some_and(|all| all.iter().any(|one| is_spent(one, text)));
            }
        }
    }

    /// What OpenRouter adds: its own name for the failure, and the body of the provider behind it.
    fn read_gateway_metadata(&mut self, metadata: &Map<String, Value>, depth: u8) {
        self.words.extend(word(metadata.get("error_type")));
        if metadata.contains_key("flagged_input") || metadata.contains_key("reasons") {
            self.words.push(table::MODERATION.to_owned());
        }
        if let Some(Value::Object(headers)) = metadata.get("headers") {
            self.headers.extend(headers.iter().take(MOST_HEADERS).filter_map(|(name, value)| {
                let value = word(Some(value))?;
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            }));
        }
        let mut behind = Self::default();
        behind.words.extend(word(metadata.get("provider_code")));
        match metadata.get("raw") {
            Some(Value::String(raw)) => behind.read_message(raw, depth),
            Some(raw) if depth < DEEPEST => behind.read_body(raw, depth + 1),
            _ => {}
        }
        // The account that the provider behind a gateway complains about is the gateway's, not ours.
        self.words.extend(behind.words.into_iter().filter(|word| !table::is_about_an_account(word)));
        self.message = behind.message.or(self.message.take());
        self.kind = behind.kind.or(self.kind.take());
        self.code = behind.code.or(self.code.take());
        self.param = behind.param.or(self.param.take());
        self.retry_delay = behind.retry_delay.or(self.retry_delay);
    }
}

fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok().or_else(|| parse_mended(body))
}

/// The only element of an array of one, else the value itself.
fn only(value: &Value) -> &Value {
    match value {
        Value::Array(elements) if elements.len() == 1 => &elements[0],
        value => value,
    }
}

/// The field that holds the error, where there is one: `error`, or that of a failed response inside an event.
fn error_field(fields: &Map<String, Value>) -> Option<&Value> {
    let of_response = || fields.get("response")?.get("error");
    let is_error = |value: &&Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    fields.get("error").map(only).filter(is_error).or_else(|| of_response().filter(is_error))
}

/// A code, type or field name: short, printable, and nothing like a key.
fn word(value: Option<&Value>) -> Option<String> {
    let word = match value? {
        Value::String(word) => word.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_plain = !word.is_empty() && word.len() <= 64 && word.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (is_plain && !message::has_secret(&word)).then_some(word)
}

fn status(value: &Value) -> Option<u16> {
    let number = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// True for a limit a day, and for a limit of zero: a model outside the plan. Zero is written `"0"`, left out, or only
/// told by the message.
fn is_spent(violation: &Value, message: &str) -> bool {
    let text = |name: &str| violation.get(name).and_then(Value::as_str);
    let mut told = message.split("limit: ").skip(1).map(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    let is_zero = match (text("quotaId"), text("quotaValue")) {
        (_, Some(value)) => value == "0",
        (Some(_), None) => told.clone().all(|limit| limit == Some("0")),
        (None, None) => false,
    };
    is_zero || told.any(|limit| limit == Some("0")) || text("quotaId").is_some_and(|id| id.contains("PerDay"))
}
