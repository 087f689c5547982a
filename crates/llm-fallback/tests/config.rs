//! Each key of the configuration does something, and each mistake is told with its place.

use futures_util::FutureExt;
use llm_core::{Caller, ConfigError, Error, ErrorKind, LlmRequest};
use llm_fallback::{Answer as Instead, FallbackConfig, FallbackLayer};
use llm_test::{Answer, Probe};
use tower::{Layer, ServiceExt};

/// Targets of this name are there, and answer with it.
fn read(text: &str) -> Result<FallbackLayer, String> {
    read_with(text, None)
}

fn read_with(text: &str, known_intents: Option<&[&str]>) -> Result<FallbackLayer, String> {
    let config: FallbackConfig = toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())?;
    let service = |target: &str| match target {
        "away" => Ok(Instead::service(Probe::answering(Answer::text("away")))),
        "local" => Ok(Instead::local_service(Probe::answering(Answer::text("local")))),
        other => Err(ConfigError::new("somewhere", format!("nobody serves `{other}`"))),
    };
    config.layer(service, known_intents).map_err(|error| error.to_string())
}

/// What a call of this workflow and intent is answered that fails so; nothing where it stays a failure.
fn answered(layer: &FallbackLayer, kind: ErrorKind, workflow: &str, intent: &'static str) -> Option<String> {
    let mut request = LlmRequest::chat("m").user("Why?").build();
    request.context_mut().set_caller(Caller { workflow: Some(workflow.into()), ..Caller::default() });
    request.context_mut().set_intent(intent);
    let failing = Probe::answering(Answer::fail(Error::new(kind, "down")));
    let response = layer.layer(failing).oneshot(request).now_or_never().expect("nobody waits").ok()?;
    Some(response.body.as_full()?.first_text())
}

#[test]
fn each_key_does_something() {
    let layer = read(
        r#"
        message = "for all"
        [[cases]]
        when = { kinds = ["connect", "timeout_head"], workflow = "mail" }
        target = "away"
        [[cases]]
        when = { intent = ["code", "math"] }
        message = "no expert"
        [[cases]]
        when = { kinds = "invalid_request" }
        message = "you are wrong"
        "#,
    )
    .unwrap();
    for (kind, workflow, intent, expected) in [
        (ErrorKind::Connect, "mail", "code", Some("away")),
        (ErrorKind::Timeout(llm_core::Phase::Head), "mail", "code", Some("away")),
        (ErrorKind::Server, "mail", "code", Some("no expert")),
        (ErrorKind::Connect, "chat", "math", Some("no expert")),
        (ErrorKind::Connect, "chat", "general", Some("for all")),
        (ErrorKind::InvalidRequest, "chat", "code", Some("you are wrong")),
        (ErrorKind::ContentPolicy, "mail", "code", None),
    ] {
        assert_eq!(answered(&layer, kind, workflow, intent).as_deref(), expected, "{kind} {workflow} {intent}");
    }
}

#[test]
fn a_case_that_a_message_could_not_answer_is_no_case_in_vain() {
    for text in [
        // Embeddings are left to the service, and what the service cannot answer to the message.
        "[[cases]]\nmessage = 'no'\n[[cases]]\ntarget = 'away'",
        "message = 'no'\n[[cases]]\ntarget = 'away'",
        // Sensitive calls are left to the one that is local.
        "[[cases]]\ntarget = 'away'\n[[cases]]\ntarget = 'local'",
    ] {
        assert!(read(text).is_ok(), "{text}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let case = |case: &str| {
        format!("message = 'for all'\n[[cases]]\nwhen = {{ workflow = 'a' }}\nmessage = 'a'\n[[cases]]\n{case}")
    };
    let never = |who: &str| format!("it is never reached: {who} answers whenever it would");
    for (text, sentence) in [
        (String::new(), "message: the layer answers nothing: it needs a message or cases".to_owned()),
        ("message = ''".to_owned(), "message: an empty answer is none".to_owned()),
        (case("message = ''\nwhen = { intent = 'x' }"), "cases[1].message: an empty answer is none".to_owned()),
        (case("when = { intent = 'x' }"), "cases[1].message: there is no answer: it needs this or `target`".to_owned()),
        (
            case("message = 'x'\ntarget = 'away'"),
            "cases[1].target: there is an answer already: leave out this or `message`".to_owned(),
        ),
        (case("target = 'mystery'"), "cases[1].target: nobody serves `mystery`".to_owned()),
        (case("target = 'away'\nwhen = { kinds = [] }"), "cases[1].when.kinds: the list is empty: leave it out".to_owned()),
        (
            case("target = 'away'\nwhen = { workflow = '' }"),
            "cases[1].when.workflow: an entry must not be empty".to_owned(),
        ),
        (
            case("target = 'away'\nwhen = { intent = [] }"),
            "cases[1].when.intent: the list is empty: leave it out".to_owned(),
        ),
        (case("message = 'x'"), format!("message: {}", never("cases[1]"))),
        (
            case("message = 'x'\nwhen = { workflow = 'a', intent = 'b' }"),
            format!("cases[1]: {}", never("cases[0]")),
        ),
        (
            "[[cases]]\ntarget = 'local'\n[[cases]]\ntarget = 'away'".to_owned(),
            format!("cases[1]: {}", never("cases[0]")),
        ),
        (
            "[[cases]]\nmessage = 'a'\nwhen = { kinds = 'server' }\n[[cases]]\nmessage = 'b'\nwhen = { kinds = 'connect' }\n\
             [[cases]]\nmessage = 'c'\nwhen = { kinds = ['connect', 'server'] }"
                .to_owned(),
            format!("cases[2]: {}", never("cases[0] or cases[1]")),
        ),
    ] {
        assert_eq!(read(&text).map(drop), Err(sentence), "{text}");
    }
    let unknown = read(&case("target = 'away'\nwhen = { kinds = ['server', 'busy'] }")).unwrap_err();
    assert!(
        unknown.starts_with("cases[1].when.kinds: there is no kind `busy`; known are `invalid_request`"),
        "{unknown}"
    );
    assert!(ErrorKind::ALL.iter().all(|kind| unknown.contains(&format!("`{kind}`"))), "{unknown}");
}

#[test]
fn an_intent_that_no_classifier_tells_is_refused() {
    let text = "[[cases]]\nmessage = 'no'\nwhen = { intent = ['code', 'coding'] }";
    let sentence = "cases[0].when.intent: there is no intent `coding`; known are `code`, `math`";
    assert_eq!(read_with(text, Some(&["code", "math"])).map(drop), Err(sentence.to_owned()));
    assert!(read(text).is_ok(), "callers may tell any");
}

#[test]
fn what_is_unknown_or_of_another_kind_is_refused() {
    for text in [
        "text = 'no'",
        "message = 5",
        "[[cases]]\nmessage = 'no'\nwhen = { kind = 'server' }",
        "[[cases]]\nmessage = 'no'\nwhen = { kinds = 5 }",
        "[[cases]]\nmessages = 'no'",
    ] {
        assert!(toml::from_str::<FallbackConfig>(text).is_err(), "{text}");
    }
}
