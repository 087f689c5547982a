//! How long lists may be, how many fields a request may have, and what is said of one more.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{EmbedInput, Error, ErrorKind, Output, Payload};
use llm_wire::openai::{decode_chat, decode_chat_answer, decode_embed, decode_embed_answer, decode_models};

const MESSAGE: &str = r#"{"role":"user","content":"hi"}"#;
const PART: &str = r#"{"type":"x"}"#;
const CALL: &str = r#"{"id":"a","function":{"name":"f"}}"#;
const CHOICE: &str = r#"{"message":{"content":"hi"}}"#;

fn list(item: &str, count: usize) -> String {
    format!("[{}]", vec![item; count].join(","))
}

fn chat(messages: &str, fields: &str) -> Result<Payload, Error> {
    let body = format!(r#"{{"model":"m","messages":{messages}{fields}}}"#);
    decode_chat(Bytes::from(body)).map(|request| request.payload().clone())
}

fn message(content: &str) -> Result<Payload, Error> {
    chat(&format!(r#"[{{"role":"user","content":{content}}}]"#), "")
}

fn embed(input: &str) -> Result<Vec<EmbedInput>, Error> {
    let body = format!(r#"{{"model":"m","input":{input}}}"#);
    decode_embed(Bytes::from(body)).map(|request| match request.payload() {
        Payload::Embed(embed) => embed.input.clone(),
        Payload::Chat(_) | Payload::CountTokens(_) => panic!("embeddings are embeddings"),
    })
}

/// Reads a list of `most` items and refuses one of `most + 1` as the caller's fault, naming the `field`.
fn assert_bounded<T>(field: &str, most: usize, read: impl Fn(usize) -> Result<T, Error>) {
    assert_bounded_as(ErrorKind::InvalidRequest, field, most, read);
}

fn assert_bounded_as<T>(kind: ErrorKind, field: &str, most: usize, read: impl Fn(usize) -> Result<T, Error>) {
    read(most).map(|_| ()).unwrap();
    for count in [most + 1, most + 1_000] {
        let error = read(count).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.message(), format!("{field}: must have at most {most} items"));
        assert_eq!(error.detail().unwrap().param.as_deref(), Some(field));
    }
}

#[test]
fn a_request_has_at_most_100_000_messages() {
    assert_bounded("messages", 100_000, |count| chat(&list(MESSAGE, count), ""));
}

#[test]
fn a_message_has_at_most_4_096_parts() {
    assert_bounded("messages[0].content", 4_096, |count| message(&list(PART, count)));
    assert_bounded("messages[0].content", 4_096, |count| {
        chat(&format!(r#"[{{"role":"tool","tool_call_id":"a","content":{}}}]"#, list(PART, count)), "")
    });
}

#[test]
fn a_message_has_at_most_4_096_tool_calls() {
    assert_bounded("messages[0].tool_calls", 4_096, |count| {
        chat(&format!(r#"[{{"role":"assistant","tool_calls":{}}}]"#, list(CALL, count)), "")
    });
}

#[test]
fn a_request_has_at_most_4_096_tools_and_64_stop_sequences() {
    let messages = list(MESSAGE, 1);
    assert_bounded("tools", 4_096, |count| chat(&messages, &format!(r#","tools":{}"#, list(PART, count))));
    assert_bounded("stop", 64, |count| chat(&messages, &format!(r#","stop":{}"#, list(r#""x""#, count))));
}

#[test]
fn a_request_has_at_most_500_000_fields_in_all_its_objects() {
    // `model`, `messages`, 2,499 messages of 200 fields each, and a last one with what is left.
    let with_last = |last: usize| {
        let whole = vec![message_of(200).as_str(); 2_499].join(",");
        chat(&format!("[{whole},{}]", message_of(last)), "")
    };
    with_last(198).map(|_| ()).unwrap();
    let error = with_last(199).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.message(), "the body: must have at most 500000 fields in all objects together");
    // What looks like fields in a text are none.
    message(&format!(r#""{}""#, r#"\"a\":1,"#.repeat(600_000))).map(|_| ()).unwrap();
}

/// A message with this many fields.
fn message_of(fields: usize) -> String {
    let unknown: Vec<_> = (2..fields).map(|number| format!(r#""f{number}":1"#)).collect();
    format!(r#"{{"role":"user","content":"hi",{}}}"#, unknown.join(","))
}

#[test]
fn an_embeddings_request_has_at_most_2_048_inputs_of_32_768_tokens() {
    assert_bounded("input", 2_048, |count| embed(&list(r#""x""#, count)));
    assert_bounded("input", 2_048, |count| embed(&list("[1]", count)));
    assert_bounded("input", 32_768, |count| embed(&list("1", count)));
    assert_bounded("input[1]", 32_768, |count| embed(&format!("[[1],{}]", list("1", count))));
}

#[test]
fn inputs_are_told_apart_by_the_first_whatever_stands_before_it() {
    assert_eq!(embed("[ \n\t\r7 , 8 ]").unwrap(), [EmbedInput::Tokens(vec![7, 8])]);
    assert_eq!(embed("[ [ 7 ] ]").unwrap(), [EmbedInput::Tokens(vec![7])]);
    assert_eq!(embed(r#"[ "7" ]"#).unwrap(), [EmbedInput::Text("7".to_owned())]);
    assert_eq!(embed("[ ]").unwrap_err().message(), "input: expected at least one input");
    for wrong in ["[-1]", "[1.0]", "[1e2]", "[4294967296]", r#"[1,"a"]"#, "[null]"] {
        assert_eq!(embed(wrong).unwrap_err().message(), "input: expected token numbers only", "{wrong}");
    }
    assert_eq!(embed(r#"["a",1]"#).unwrap_err().message(), "input[1]: expected a string");
    assert_eq!(embed(r#"[[1],"a"]"#).unwrap_err().message(), "input[1]: expected a list of tokens");
}

#[test]
fn the_first_wrong_item_is_refused_before_the_list_is_too_long() {
    let error = chat(&list("1", 200_000), "").unwrap_err();
    assert_eq!(error.message(), "messages[0]: expected an object");
}

#[test]
fn lists_of_an_answer_are_bounded_and_the_provider_is_to_blame() {
    let answer = |choices: &str| decode_chat_answer(Bytes::from(format!(r#"{{"choices":{choices}}}"#)));
    assert_bounded_as(ErrorKind::Undecodable, "choices", 4_096, |count| answer(&list(CHOICE, count)));
    let vectors = |count| {
        let body = format!(r#"{{"data":{}}}"#, list(r#"{"embedding":[0]}"#, count));
        decode_embed_answer(Bytes::from(body))
    };
    assert_bounded_as(ErrorKind::Undecodable, "data", 100_000, vectors);
    let models = |count| decode_models(format!(r#"{{"data":{}}}"#, list(r#"{"id":"m"}"#, count)).as_bytes());
    assert_bounded_as(ErrorKind::Undecodable, "data", 10_000, models);
}

#[test]
fn an_answer_may_have_more_fields_than_a_request() {
    let logprobs = list(r#"{"token":"a","logprob":-1}"#, 300_000);
    let body = format!(r#"{{"choices":[{{"message":{{"content":"hi"}},"logprobs":{logprobs}}}]}}"#);
    let Output::Chat(answer) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("a chat is a chat") };
    assert!(answer.choices[0].logprobs.is_some());
}
