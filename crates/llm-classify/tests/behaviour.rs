//! Stories of requests that are judged, and of what the services below see.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use llm_classify::{
    Classifier, ClassifyConfig, ClassifyCounts, ClassifyLayer, Detector, Finding, Guess, Pattern, Patterns,
};
use llm_core::{
    Body, Caller, Chat, Embed, EmbedInput, Error, Extra, File, Head, Image, Json, JsonSchema, LlmRequest, LlmResponse,
    Measures, Message, Other, Output, Part, PartContent, Payload, Reasoning, ResponseFormat, Role, Sensitivity, Source,
    Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
use llm_test::CapturedLogs;
use tower::{Layer, ServiceExt, service_fn};

const ADDRESS: &str = "jane@example.com";

/// What the service below sees of a request.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    intent: Option<String>,
    sensitivity: Sensitivity,
}

/// What comes through `layer` of the request.
async fn through(layer: &ClassifyLayer, request: LlmRequest) -> Seen {
    let seen = Arc::new(Mutex::new(None));
    let writes = Arc::clone(&seen);
    let inner = service_fn(move |request: LlmRequest| {
        let context = request.context();
        let intent = context.intent().map(str::to_owned);
        *writes.lock().expect("nobody panics with it") = Some(Seen { intent, sensitivity: context.sensitivity() });
        async { Ok::<_, Error>(LlmResponse::new(Head::default(), Body::full(Output::text("Because.")))) }
    });
    layer.layer(inner).oneshot(request).await.expect("it always answers");
    let seen = seen.lock().expect("nobody panics with it").take();
    seen.expect("the inner service was called")
}

async fn is_sensitive(layer: &ClassifyLayer, request: LlmRequest) -> bool {
    through(layer, request).await.sensitivity == Sensitivity::Sensitive
}

fn asks(text: &str) -> LlmRequest {
    LlmRequest::chat("m").user(text).build()
}

/// Takes what has a brace for code, is sure of nothing else, and panics when told to.
#[derive(Debug)]
struct Braces;

impl Classifier for Braces {
    fn intents(&self) -> &[&'static str] {
        &["code", "prose"]
    }

    fn classify(&self, request: &LlmRequest) -> Option<Guess> {
        let Payload::Chat(Chat { messages, .. }) = request.payload() else { return None };
        let text = messages[0].parts[0].as_text().expect("it is a text");
        match text {
            "panic" => panic!("as told"),
            "unlisted" => Some(Guess { intent: "poetry", confidence: 0.5 }),
            _ => text.contains('{').then_some(Guess { intent: "code", confidence: 0.9 }),
        }
    }
}

/// Finds a word, and counts the texts it was shown.
#[derive(Clone, Debug)]
struct Finds {
    word: &'static str,
    kind: &'static str,
    shown: Arc<AtomicUsize>,
}

impl Finds {
    fn new(word: &'static str, kind: &'static str) -> Self {
        Self { word, kind, shown: Arc::default() }
    }
}

impl Detector for Finds {
    fn find(&self, text: &str) -> Option<Finding> {
        self.shown.fetch_add(1, Relaxed);
        text.contains(self.word).then_some(Finding { kind: self.kind })
    }
}

#[derive(Debug)]
struct Panics;

impl Detector for Panics {
    fn find(&self, _: &str) -> Option<Finding> {
        panic!("always")
    }
}

#[tokio::test]
async fn a_new_layer_says_nothing() {
    let seen = through(&ClassifyLayer::new(), asks(ADDRESS)).await;
    assert_eq!(seen, Seen { intent: None, sensitivity: Sensitivity::Normal });
}

#[tokio::test]
async fn what_is_found_marks_the_request_for_those_below() {
    let layer = ClassifyLayer::new().detector(Patterns::all());
    assert!(is_sensitive(&layer, asks("Write to jane@example.com.")).await);
    assert!(!is_sensitive(&layer, asks("Why is the sky blue?")).await);
    assert_eq!(layer.handle().counts().findings, [("email", 1)]);
}

#[tokio::test]
async fn what_the_classifier_says_is_seen_below_and_what_it_does_not_say_is_counted() {
    let layer = ClassifyLayer::new().classifier(Braces);
    assert_eq!(through(&layer, asks("fn main() {}")).await.intent.as_deref(), Some("code"));
    assert_eq!(through(&layer, asks("Why?")).await.intent, None);
    assert_eq!(through(&layer, asks("unlisted")).await.intent.as_deref(), Some("poetry"));
    let expected =
        ClassifyCounts { intents: vec![("code", 1), ("prose", 0)], unlisted: 1, abstained: 1, findings: Vec::new() };
    assert_eq!(layer.handle().counts(), expected);
}

#[tokio::test]
async fn the_intent_that_the_caller_has_set_stays() {
    let layer = ClassifyLayer::new().classifier(Braces);
    let mut request = asks("fn main() {}");
    request.context_mut().set_intent("translation");
    assert_eq!(through(&layer, request).await.intent.as_deref(), Some("translation"));
    assert_eq!(layer.handle().counts().intents_of("code"), 0);
}

#[tokio::test]
async fn sensitivity_only_rises_and_is_not_looked_for_twice() {
    let detector = Finds::new("secret", "word");
    let layer = ClassifyLayer::new().detector(detector.clone());
    let mut request = asks("Why?");
    request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    assert!(is_sensitive(&layer, request).await);
    assert_eq!(detector.shown.load(Relaxed), 0);
    assert!(layer.handle().counts().findings.is_empty());
}

#[tokio::test]
async fn detectors_are_asked_in_order_until_one_finds_something() {
    let (first, second) = (Finds::new("one", "first"), Finds::new("o", "second"));
    let layer = ClassifyLayer::new().detector(first.clone()).detector(second.clone());
    assert!(is_sensitive(&layer, asks("one")).await);
    assert!(is_sensitive(&layer, asks("two")).await);
    assert!(!is_sensitive(&layer, asks("six")).await);
    assert_eq!((first.shown.load(Relaxed), second.shown.load(Relaxed)), (3, 2));
    let counts = layer.handle().counts();
    assert_eq!((counts.findings_of("first"), counts.findings_of("second")), (1, 1));
}

#[tokio::test]
async fn every_request_of_a_sensitive_tenant_is_sensitive() {
    let layer = ClassifyLayer::new().sensitive_tenants(["bank"]).sensitive_tenants(["clinic"]);
    let of = |tenant: &'static str| {
        let mut request = asks("Why?");
        request.context_mut().set_caller(Caller::tenant(tenant));
        request
    };
    assert!(is_sensitive(&layer, of("clinic")).await);
    assert!(is_sensitive(&layer, of("bank")).await);
    assert!(!is_sensitive(&layer, of("school")).await);
    assert!(!is_sensitive(&layer, asks("Why?")).await);
    assert_eq!(layer.handle().counts().findings_of("tenant"), 2);
}

#[tokio::test]
async fn a_detector_that_panics_makes_the_request_sensitive() {
    let layer = ClassifyLayer::new().detector(Panics);
    assert!(is_sensitive(&layer, asks("Why?")).await);
    assert_eq!(layer.handle().counts().findings_of("detector_panicked"), 1);
}

#[tokio::test]
async fn a_classifier_that_panics_has_said_nothing() {
    let layer = ClassifyLayer::new().classifier(Braces).detector(Finds::new("panic", "word"));
    let seen = through(&layer, asks("panic")).await;
    assert_eq!(seen, Seen { intent: None, sensitivity: Sensitivity::Sensitive });
    assert_eq!(layer.handle().counts().abstained, 1);
}

fn message(content: impl Into<PartContent>) -> LlmRequest {
    LlmRequest::chat("m").message(Message::new(Role::User, vec![Part::from(content.into())])).build()
}

#[tokio::test]
async fn every_text_that_is_sent_is_looked_at() {
    let json = || Json::from_value(&format!("to {ADDRESS}")).unwrap();
    let result = |content| PartContent::ToolResult(ToolResult { call_id: "1".into(), content, is_error: false });
    let with = |change: fn(&mut Chat)| LlmRequest::chat("m").user("Why?").with(change).build();
    let count = Payload::CountTokens(Chat { messages: vec![Message::text(Role::User, ADDRESS)], ..Chat::default() });
    let format = |change: fn(&mut JsonSchema)| {
        let schema = Json::from_text("{}").unwrap();
        let mut format = JsonSchema { name: None, description: None, schema, strict: None, extra: Extra::default() };
        change(&mut format);
        let set = |chat: &mut Chat| chat.response_format = Some(ResponseFormat::JsonSchema(format));
        LlmRequest::chat("m").user("Why?").with(set).build()
    };
    let requests = [
        ("system", LlmRequest::chat("m").system(ADDRESS).user("Why?").build()),
        ("user", asks(ADDRESS)),
        ("an earlier turn", LlmRequest::chat("m").user(ADDRESS).assistant("Yes?").user("Why?").build()),
        ("assistant", LlmRequest::chat("m").user("Who?").assistant(ADDRESS).user("Why?").build()),
        ("refusal", message(PartContent::Refusal(ADDRESS.into()))),
        ("reasoning", message(PartContent::Reasoning(Reasoning { text: ADDRESS.into(), ..Reasoning::default() }))),
        ("tool call", message(PartContent::ToolCall(ToolCall::function("1", "send", json().get())))),
        ("the name of a call", message(PartContent::ToolCall(ToolCall::function("1", ADDRESS, "{}")))),
        ("tool result", message(result(vec![Part::text("Sent."), Part::text(ADDRESS)]))),
        ("a part without a type", message(PartContent::Other(Other { kind: "note".into(), json: json() }))),
        (
            "a file's name",
            message(PartContent::File(File { source: Source::File("1".into()), filename: Some(ADDRESS.into()) })),
        ),
        ("a speaker's name", with(|chat| chat.messages[0].name = Some(ADDRESS.into()))),
        (
            "a tool's description",
            with(|chat| chat.tools.push(Tool::function("f", ADDRESS, Json::from_text("{}").unwrap()))),
        ),
        (
            "a tool's schema",
            with(|chat| {
                let schema = Json::from_text(format!("{{\"default\":\"{ADDRESS}\"}}")).unwrap();
                chat.tools.push(Tool::function("f", "", schema));
            }),
        ),
        ("a tool's name", with(|chat| chat.tools.push(Tool::function(ADDRESS, "", Json::from_text("{}").unwrap())))),
        ("a tool's choice", with(|chat| chat.tool_choice = Some(ToolChoice::Function(ADDRESS.into())))),
        (
            "a choice of another kind",
            with(|chat| chat.tool_choice = Some(ToolChoice::Other(Json::from_value(ADDRESS).unwrap()))),
        ),
        (
            "a tool of another kind",
            with(|chat| {
                let other = Other { kind: "web_search".into(), json: Json::from_value(ADDRESS).unwrap() };
                chat.tools.push(Tool { kind: ToolKind::Other(other), cache: None, extra: Extra::default() });
            }),
        ),
        ("the name of the answer's schema", format(|schema| schema.name = Some(ADDRESS.into()))),
        ("its description", format(|schema| schema.description = Some(ADDRESS.into()))),
        ("the schema", format(|schema| schema.schema = Json::from_value(ADDRESS).unwrap())),
        ("a field beside it", format(|schema| schema.extra.insert("note", Json::from_value(ADDRESS).unwrap()))),
        (
            "a format of another kind",
            with(|chat| chat.response_format = Some(ResponseFormat::Other(Json::from_value(ADDRESS).unwrap()))),
        ),
        ("stop", with(|chat| chat.stop.0.push(ADDRESS.into()))),
        ("a field without a name", with(|chat| chat.extra.insert("prediction", Json::from_value(ADDRESS).unwrap()))),
        ("the name of a field", with(|chat| chat.extra.insert(ADDRESS, Json::from_value("").unwrap()))),
        ("a message's field", with(|chat| chat.messages[0].extra.insert("note", Json::from_value(ADDRESS).unwrap()))),
        (
            "a part's field",
            with(|chat| chat.messages[0].parts[0].extra.insert("note", Json::from_value(ADDRESS).unwrap())),
        ),
        ("embedding", LlmRequest::embed("m", ["Why?", ADDRESS])),
        ("counting", LlmRequest::new("m", count)),
    ];
    let layer = ClassifyLayer::new().detector(Patterns::of([Pattern::Email]));
    for (place, request) in requests {
        assert!(is_sensitive(&layer, request).await, "{place}");
    }
}

#[tokio::test]
async fn pictures_documents_and_token_ids_are_not_looked_into() {
    let url = || Source::Url(format!("https://example.com/?to={ADDRESS}"));
    let tokens = Embed { input: vec![EmbedInput::Tokens(vec![1, 2])], ..Embed::default() };
    let layer = ClassifyLayer::new().detector(Patterns::all());
    for request in [
        message(PartContent::Image(Image { source: url(), detail: None })),
        message(PartContent::File(File { source: url(), filename: None })),
        LlmRequest::new("m", Payload::Embed(tokens)),
    ] {
        assert!(!is_sensitive(&layer, request).await);
    }
}

#[tokio::test]
async fn a_request_that_was_judged_keeps_the_callers_bytes() {
    let layer = ClassifyLayer::new().classifier(Braces).detector(Patterns::all());
    let bytes = br#"{"model":"m"}"#;
    let request = asks("{ jane@example.com }").with_wire(llm_core::Dialect::OpenAi, bytes.to_vec().into());
    let inner = service_fn(|request: LlmRequest| async move {
        assert_eq!(request.wire().expect("nothing was changed").bytes, &bytes[..]);
        assert_eq!(request.context().sensitivity(), Sensitivity::Sensitive);
        Ok::<_, Error>(LlmResponse::new(Head::default(), Body::full(Output::text(""))))
    });
    layer.layer(inner).oneshot(request).await.expect("it always answers");
}

#[tokio::test]
async fn the_log_tells_intent_kind_and_call_and_no_text() {
    let layer = ClassifyLayer::new().classifier(Braces).detector(Patterns::all());
    for (text, intent) in [("{ Write to jane@example.com. }", "classified"), ("jane@example.com", "no intent is clear")]
    {
        let request = asks(text);
        let id = request.context().id().to_string();
        let logs = CapturedLogs::start();
        through(&layer, request).await;
        let text = logs.text();
        assert_eq!(text.matches(&id).count(), 2, "{text}");
        assert!(text.contains("email") && text.contains(intent), "{text}");
        assert!(!text.contains("jane"), "{text}");
    }
}

#[tokio::test]
async fn the_handle_measures_what_was_judged() {
    let layer = ClassifyLayer::new().classifier(Braces).detector(Patterns::all());
    for text in ["{", "{ jane@example.com }", "Why?", "unlisted"] {
        through(&layer, asks(text)).await;
    }
    let mut measured = Vec::new();
    layer.handle().measure(&mut |measure| {
        let labels: Vec<String> = measure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        measured.push(format!("{}{labels:?} {}", measure.name, measure.value));
    });
    let expected = [
        r#"llm.classify.intents["intent=code"] 2"#,
        r#"llm.classify.intents["intent=unlisted"] 1"#,
        "llm.classify.abstained[] 1",
        r#"llm.classify.findings["kind=email"] 1"#,
    ];
    assert_eq!(measured, expected);
}

#[tokio::test]
async fn services_and_clones_of_a_layer_share_their_counts_and_setters_start_fresh_ones() {
    let layer = ClassifyLayer::new().detector(Patterns::all());
    through(&layer, asks(ADDRESS)).await;
    through(&layer.clone(), asks(ADDRESS)).await;
    let handle = layer.handle();
    assert_eq!(handle.counts().findings_of("email"), 2);
    assert_eq!(layer.sensitive_tenants(["clinic"]).handle().counts(), ClassifyCounts::default());
    assert_eq!(handle.counts().findings_of("email"), 2);
}

fn configured(text: &str) -> ClassifyLayer {
    let config: ClassifyConfig = toml::from_str(text).expect("it is a configuration");
    ClassifyLayer::try_from(config).expect("it can be built")
}

#[tokio::test]
async fn a_configuration_names_patterns_and_tenants() {
    let cards = configured(r#"detect = ["card"]"#);
    assert!(is_sensitive(&cards, asks("4111 1111 1111 1111")).await);
    assert!(!is_sensitive(&cards, asks(ADDRESS)).await);
    assert!(is_sensitive(&configured(r#"detect = "all""#), asks(ADDRESS)).await);
    assert!(is_sensitive(&configured(r#"detect = "email""#), asks(ADDRESS)).await);
    let mut request = asks("Why?");
    request.context_mut().set_caller(Caller::tenant("clinic"));
    assert!(is_sensitive(&configured(r#"tenants = ["clinic"]"#), request.clone()).await);
    assert!(!is_sensitive(&configured(""), request).await);
}

#[tokio::test]
async fn a_configuration_turns_the_built_in_model_on_and_says_how_sure_it_must_be() {
    let code = || asks("Write a Rust function `fn add(a: i32, b: i32) -> i32` that adds two numbers.");
    let intent = async |text: &str| through(&configured(text), code()).await.intent;
    assert_eq!(intent("intent = true").await.as_deref(), Some("code"));
    assert_eq!(intent("intent = {}").await.as_deref(), Some("code"));
    assert_eq!(intent("intent = { confidence = 0.1 }").await.as_deref(), Some("code"));
    assert_eq!(intent("intent = { confidence = 1.0 }").await, None);
    assert_eq!(intent("intent = false").await, None);
    assert_eq!(intent("").await, None);
}
