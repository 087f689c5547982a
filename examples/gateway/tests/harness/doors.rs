//! The doors that take a body, so that one test knocks at all of them.

use serde_json::Value;

use super::Answer;

/// A door, and how its dialect speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) path: &'static str,
    /// The fields that it needs besides the model.
    needs: &'static str,
    /// Where its errors hold their sentence, as a JSON pointer, and the fields that are always the same.
    message: &'static str,
    marks: &'static [(&'static str, &'static str)],
    /// What its errors say of a caller without a good key.
    pub(crate) unauthenticated: &'static str,
}

/// The door for chats of OpenAI's dialect.
pub(crate) const CHAT: Door = Door {
    path: "/v1/chat/completions",
    needs: r#""messages":[{"role":"user","content":"Hello!"}]"#,
    message: "/error/message",
    marks: &[],
    unauthenticated: "invalid_api_key",
};

/// The door for embeddings of OpenAI's dialect.
pub(crate) const EMBEDDINGS: Door = Door { path: "/v1/embeddings", needs: r#""input":"Hello!""#, ..CHAT };

/// The door for chats of Anthropic's dialect.
pub(crate) const MESSAGES: Door = Door {
    path: "/v1/messages",
    needs: r#""max_tokens":500,"messages":[{"role":"user","content":"Hello!"}]"#,
    message: "/error/message",
    marks: &[("/type", "error")],
    unauthenticated: "authentication_error",
};

/// The door that counts the tokens of a chat of Anthropic's dialect.
pub(crate) const COUNT_TOKENS: Door =
    Door { path: "/v1/messages/count_tokens", needs: r#""messages":[{"role":"user","content":"Hello!"}]"#, ..MESSAGES };

/// Every door that takes a body.
pub(crate) const DOORS: [Door; 4] = [CHAT, EMBEDDINGS, MESSAGES, COUNT_TOKENS];

impl Door {
    /// Whether its calls reach a provider: one without an endpoint for them is not asked for token counts.
    pub(crate) fn reaches_provider(&self) -> bool {
        self.path != COUNT_TOKENS.path
    }

    /// The smallest good body, with further fields before its last brace.
    pub(crate) fn body(&self, model: &str, more: &str) -> String {
        let comma = if more.is_empty() { "" } else { "," };
        format!(r#"{{"model":"{model}",{}{comma}{more}}}"#, self.needs)
    }

    /// A whole request of HTTP/1.1 with a body, and further lines in its head.
    pub(crate) fn request(&self, lines: &str, body: &str) -> String {
        let (path, length) = (self.path, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    /// The sentence of an error, after checking that it is one in the door's dialect.
    pub(crate) fn error_message(&self, answer: &Answer) -> String {
        let error: Value = answer.json();
        for (pointer, value) in self.marks {
            assert_eq!(error.pointer(pointer).and_then(Value::as_str), Some(*value), "{}: {error}", self.path);
        }
        let message = error.pointer(self.message).and_then(Value::as_str);
        message.unwrap_or_else(|| panic!("{}: no error: {error}", self.path)).to_owned()
    }
}
