//! What is refused, and what the errors say.

use llm_core::ErrorKind;

use super::*;

fn refused(body: &[u8]) -> Error {
    document(body, ErrorKind::InvalidRequest).and_then(|value| value.object().map(|_| ())).unwrap_err()
}

#[test]
fn nesting_is_refused_from_the_129th_level_on_wherever_it_is() {
    let nested = |depth: usize| [r#"{"x":"#, &"[".repeat(depth - 1), &"]".repeat(depth - 1), "}"].concat();
    assert!(document(nested(128).as_bytes(), ErrorKind::InvalidRequest).is_ok());
    for depth in [129, 10_000, 1_000_000] {
        assert!(refused(nested(depth).as_bytes()).message().contains("128 levels"));
    }
    assert!(refused("[{".repeat(5_000).as_bytes()).message().contains("128 levels"), "unbalanced too");
}

#[test]
fn brackets_in_strings_are_no_nesting() {
    let text = format!(r#"{{"a\"{0}":"{0}\\","b":"\\\"{0}"}}"#, "[{".repeat(500));
    assert!(document(text.as_bytes(), ErrorKind::InvalidRequest).unwrap().object().is_ok());
}

#[test]
fn a_field_given_twice_is_refused_however_it_is_spelled() {
    assert!(refused(br#"{"a":1,"b":2,"a":1}"#).message().contains("twice"));
    assert!(refused(br#"{"a":1,"\u0061":1}"#).message().contains("twice"));
}

#[test]
fn the_number_of_fields_is_bounded() {
    let fields = |count: usize| (0..count).map(|i| format!(r#""f{i}":{i}"#)).collect::<Vec<_>>().join(",");
    assert!(document(format!("{{{}}}", fields(256)).as_bytes(), ErrorKind::Internal).unwrap().object().is_ok());
    assert!(refused(format!("{{{}}}", fields(257)).as_bytes()).message().contains("256 fields"));
    refused(format!("{{{}}}", fields(300_000)).as_bytes());
}

#[test]
fn bytes_that_are_no_json_are_refused_with_their_place() {
    assert_eq!(refused(b"{\n \"a\": tru}").message(), "the body: not valid JSON at line 2 column 10");
    assert!(refused(b"{} {}").message().contains("not valid JSON"), "trailing garbage");
    assert!(refused(b"{\"a\":\"\xff\"}").message().contains("UTF-8"));
    assert!(refused(b"").message().contains("not valid JSON"));
    assert!(refused(b"[1]").message().contains("expected an object"));
}

#[test]
fn errors_name_the_place_and_not_the_value() {
    let body = br#"{"messages":[{"content":[{"type":"canary"}]}]}"#;
    let document = document(body, ErrorKind::InvalidRequest).unwrap();
    let messages = document.object().unwrap().required("messages").unwrap();
    let read_part = |part: Value<'_, '_>| part.object()?.required("type")?.boolean();
    let error = messages.list(9, |message| message.object()?.required("content")?.list(9, read_part)).unwrap_err();
    assert_eq!(error.message(), "messages[0].content[0].type: expected true or false");
    assert_eq!(error.detail().unwrap().param.as_deref(), Some("messages[0].content[0].type"));
}

#[test]
fn whole_numbers_may_be_spelled_as_floats() {
    let integer = |text: &str| document(text.as_bytes(), ErrorKind::Internal).unwrap().value().unwrap().integer();
    assert_eq!(integer("16").unwrap(), 16);
    assert_eq!(integer("1.6e1").unwrap(), 16);
    assert_eq!(integer("-0").unwrap(), 0);
    for wrong in ["1.5", "1e300", "\"1\"", "true", "1e999"] {
        assert!(integer(wrong).is_err(), "{wrong}");
    }
}
