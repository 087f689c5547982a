//! What is asked and answered in each dialect, whole and streamed, with tools and without.

use http::StatusCode;
use serde_json::{Value, json};

use super::Answer;

/// A client of one of the dialects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    OpenAi,
    Anthropic,
}

/// What an answer says: its text, and the tools that it calls with their arguments.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, Value)>,
}

impl Client {
    pub(crate) const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    pub(crate) fn ask(self, model: &str, stream: bool, with_tools: bool) -> Value {
        let content = if with_tools { "Call look_up." } else { "Hello!" };
        let mut body = json!({ "model": model, "stream": stream, "max_tokens": 200,
            "messages": [{ "role": "user", "content": content }] });
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
        match self {
            _ if !with_tools => {}
            Self::OpenAi => {
                body["tools"] =
                    json!([{ "type": "function", "function": { "name": "look_up", "parameters": schema } }]);
                body["tool_choice"] = json!("required");
            }
            Self::Anthropic => {
                body["tools"] = json!([{ "name": "look_up", "input_schema": schema }]);
                body["tool_choice"] = json!({ "type": "any" });
            }
        }
        body
    }

    /// Reads an answer that must be a whole and clean one of this dialect.
    pub(crate) fn read(self, answer: &Answer, stream: bool) -> Said {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let text = answer.text();
        match (self, stream) {
            (Self::OpenAi, false) => {
                let choice = &answer.json()["choices"][0];
                assert!(choice["finish_reason"].is_string(), "{text}");
                let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
                let calls = calls.map(|call| called(&call["function"]["name"], call["function"]["arguments"].as_str()));
                Said { text: string(&choice["message"]["content"]), calls: calls.collect() }
            }
            (Self::Anthropic, false) => {
                let json = answer.json();
                assert!(json["stop_reason"].is_string(), "{text}");
                let mut said = Said { text: String::new(), calls: Vec::new() };
                for block in json["content"].as_array().unwrap() {
                    said.text += &string(&block["text"]);
                    if block["type"] == "tool_use" {
                        said.calls.push((string(&block["name"]), block["input"].clone()));
                    }
                }
                said
            }
            (Self::OpenAi, true) => {
                assert_eq!(text.matches("[DONE]").count(), 1, "{text}");
                let (mut said, mut names, mut arguments) = (String::new(), Vec::new(), Vec::<String>::new());
                for event in events(&text) {
                    assert!(event.get("error").is_none(), "{text}");
                    let delta = &event["choices"][0]["delta"];
                    said += &string(&delta["content"]);
                    for call in delta["tool_calls"].as_array().into_iter().flatten() {
                        if call["function"]["name"].is_string() {
                            names.push(call["function"]["name"].clone());
                            arguments.push(String::new());
                        }
                        *arguments.last_mut().unwrap() += &string(&call["function"]["arguments"]);
                    }
                }
                let calls = names.iter().zip(&arguments).map(|(name, arguments)| called(name, Some(arguments)));
                Said { text: said, calls: calls.collect() }
            }
            (Self::Anthropic, true) => {
                assert_eq!(text.matches("event: message_start").count(), 1, "{text}");
                assert_eq!(text.matches("event: message_stop").count(), 1, "{text}");
                let (mut said, mut names, mut arguments) = (String::new(), Vec::new(), Vec::<String>::new());
                for event in events(&text) {
                    assert_ne!(event["type"], "error", "{text}");
                    if event["content_block"]["type"] == "tool_use" {
                        names.push(event["content_block"]["name"].clone());
                        arguments.push(String::new());
                    }
                    said += &string(&event["delta"]["text"]);
                    if let Some(arguments) = arguments.last_mut() {
                        *arguments += &string(&event["delta"]["partial_json"]);
                    }
                }
                let calls = names.iter().zip(&arguments).map(|(name, arguments)| called(name, Some(arguments)));
                Said { text: said, calls: calls.collect() }
            }
        }
    }
}

pub(crate) fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn called(name: &Value, arguments: Option<&str>) -> (String, Value) {
    (string(name), serde_json::from_str(arguments.unwrap()).unwrap())
}

pub(crate) fn events(text: &str) -> impl Iterator<Item = Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap())
}
