//! Every field of a request, one at a time: those that matter tell two requests apart, and no others do.
//!
//! The lists below take each type apart without a rest. A new field does not compile until it is named, and a field that
//! is named and not changed is an unused variable.

use std::{collections::HashMap, num::NonZeroU32};

use llm_core::{
    AllowedModels, Audio, CacheDirective, CacheTtl, Caller, Chat, Context, Dialect, Embed, EmbedInput, Extra, File,
    Function, Image, Json, JsonSchema, LlmRequest, Message, Other, Part, PartContent, Payload, Reasoning,
    ReasoningEffort, ResponseFormat, Role, Sampling, Sensitivity, Source, Stop, Target, Thinking, Tool, ToolCall,
    ToolCallKind, ToolChoice, ToolKind, ToolResult, VectorEncoding,
};

use super::*;

/// What changing a field does to the key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Differ,
    Share,
}
use Does::{Differ, Share};

type Change<'a> = (&'static str, Does, Box<dyn FnOnce() + 'a>);

fn change<'a>(name: &'static str, does: Does, change: impl FnOnce() + 'a) -> Change<'a> {
    (name, does, Box::new(change))
}

/// What becomes of a value when each of its fields is changed, one at a time.
fn varied<T: Clone>(base: &T, fields: for<'a> fn(&'a mut T) -> Vec<Change<'a>>) -> Vec<(&'static str, Does, T)> {
    let count = fields(&mut base.clone()).len();
    let vary = |at| {
        let mut value = base.clone();
        let (name, does, change) = fields(&mut value).into_iter().nth(at).unwrap();
        change();
        (name, does, value)
    };
    (0..count).map(vary).collect()
}

fn json(text: &str) -> Json {
    Json::from_text(text).unwrap()
}

fn unknown(extra: &mut Extra) {
    extra.insert("x_unknown", json("1"));
}

fn chat_fields(chat: &mut Chat) -> Vec<Change<'_>> {
    let Chat {
        system,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        sampling: _, // has its own list
        max_output_tokens,
        stop,
        seed,
        n,
        stream,
        include_usage,
        reasoning_effort,
        thinking,
        extra,
        dialect,
    } = chat;
    vec![
        change("system", Differ, || system.push(Message::text(Role::System, "more"))),
        change("messages", Differ, || messages.push(Message::text(Role::User, "more"))),
        change("tools", Differ, || tools.push(tools[0].clone())),
        change("tool_choice", Differ, || *tool_choice = Some(ToolChoice::Required)),
        change("parallel_tool_calls", Differ, || *parallel_tool_calls = Some(false)),
        change("response_format", Differ, || *response_format = Some(ResponseFormat::JsonObject)),
        change("max_output_tokens", Differ, || *max_output_tokens = Some(7)),
        change("stop", Differ, || *stop = Stop(vec!["end".into()])),
        change("seed", Differ, || *seed = Some(7)),
        change("n", Differ, || *n = NonZeroU32::new(2)),
        change("stream", Share, || *stream = true),
        change("include_usage", Share, || *include_usage = true),
        change("reasoning_effort", Differ, || *reasoning_effort = Some(ReasoningEffort::Low)),
        change("thinking", Differ, || *thinking = Some(Thinking::Adaptive)),
        change("extra", Differ, || unknown(extra)),
        change("dialect", Share, || *dialect = Some(Dialect::Anthropic)),
    ]
}

fn sampling_fields(sampling: &mut Sampling) -> Vec<Change<'_>> {
    let Sampling { temperature, top_p, top_k, frequency_penalty, presence_penalty, logit_bias, logprobs, top_logprobs } =
        sampling;
    vec![
        change("temperature", Differ, || *temperature = Some(0.5)),
        change("top_p", Differ, || *top_p = Some(0.5)),
        change("top_k", Differ, || *top_k = Some(5)),
        change("frequency_penalty", Differ, || *frequency_penalty = Some(0.5)),
        change("presence_penalty", Differ, || *presence_penalty = Some(0.5)),
        change("logit_bias", Differ, || *logit_bias = Some(json(r#"{"5":1}"#))),
        change("logprobs", Differ, || *logprobs = Some(true)),
        change("top_logprobs", Differ, || *top_logprobs = Some(5)),
    ]
}

fn message_fields(message: &mut Message) -> Vec<Change<'_>> {
    let Message { role, parts, name, extra } = message;
    vec![
        change("message.role", Differ, || *role = Role::Assistant),
        change("message.parts", Differ, || parts.push(Part::text("more"))),
        change("message.name", Differ, || *name = Some("Ada".into())),
        change("message.extra", Differ, || unknown(extra)),
    ]
}

fn part_fields(part: &mut Part) -> Vec<Change<'_>> {
    let Part { content, cache, extra } = part;
    vec![
        change("part.content", Differ, || *content = PartContent::Text("other".into())),
        change("part.cache", Share, || *cache = Some(CacheTtl::OneHour)),
        change("part.extra", Differ, || unknown(extra)),
    ]
}

fn tool_fields(tool: &mut Tool) -> Vec<Change<'_>> {
    let Tool { kind, cache, extra } = tool;
    vec![
        change("tool.kind", Differ, || *kind = ToolKind::Other(Other { kind: "web".into(), json: json("{}") })),
        change("tool.cache", Share, || *cache = Some(CacheTtl::OneHour)),
        change("tool.extra", Differ, || unknown(extra)),
    ]
}

fn function_fields(function: &mut Function) -> Vec<Change<'_>> {
    let Function { name, description, parameters, strict } = function;
    vec![
        change("function.name", Differ, || name.push('2')),
        change("function.description", Differ, || *description = None),
        change("function.parameters", Differ, || *parameters = Some(json("{}"))),
        change("function.strict", Differ, || *strict = Some(true)),
    ]
}

fn schema_fields(schema: &mut JsonSchema) -> Vec<Change<'_>> {
    let JsonSchema { name, description, schema, strict, extra } = schema;
    vec![
        change("schema.name", Differ, || *name = Some("n".into())),
        change("schema.description", Differ, || *description = Some("d".into())),
        change("schema.schema", Differ, || *schema = json("[]")),
        change("schema.strict", Differ, || *strict = Some(true)),
        change("schema.extra", Differ, || unknown(extra)),
    ]
}

fn embed_fields(embed: &mut Embed) -> Vec<Change<'_>> {
    let Embed { input, single, dimensions, encoding, extra } = embed;
    vec![
        change("embed.input", Differ, || input.push(EmbedInput::Text("more".into()))),
        change("embed.single", Share, || *single = true),
        change("embed.dimensions", Differ, || *dimensions = Some(256)),
        change("embed.encoding", Share, || *encoding = VectorEncoding::Base64),
        change("embed.extra", Differ, || unknown(extra)),
    ]
}

fn caller_fields(caller: &mut Caller) -> Vec<Change<'_>> {
    let Caller { tenant, user, key, workflow, job } = caller;
    vec![
        change("caller.tenant", Differ, || *tenant = Some("globex".into())),
        change("caller.user", Share, || *user = Some("ada".into())),
        change("caller.key", Share, || *key = Some("second".into())),
        change("caller.workflow", Differ, || *workflow = Some("support".into())),
        change("caller.job", Share, || *job = Some("night".into())),
    ]
}

/// The setters of a context, whose fields nobody can take apart.
fn contexts() -> Vec<(&'static str, Does, Context)> {
    type Set = fn(&mut Context);
    let setters: [(&str, Does, Set); 13] = [
        ("target.provider", Differ, |context| context.set_target(Target::new("openai", "m"))),
        ("target.model", Differ, |context| context.set_target(Target::new("openai", "m2"))),
        ("intent", Differ, |context| context.set_intent("code")),
        ("tags", Differ, |context| context.set_tags(["fast"])),
        ("allowed_models", Differ, |context| context.set_allowed_models(AllowedModels::new(["m"]))),
        ("sensitivity", Differ, |context| context.raise_sensitivity(Sensitivity::Sensitive)),
        ("output_ceiling", Differ, |context| context.lower_output_ceiling(100)),
        ("deadline", Share, |context| context.set_deadline(tokio::time::Instant::now())),
        ("read_timeout", Share, |context| context.set_read_timeout(std::time::Duration::ZERO)),
        ("cache", Share, |context| context.set_cache(CacheDirective { force: true, ..CacheDirective::default() })),
        ("probe", Share, |context| context.set_probe(true)),
        ("attempt", Share, |context| context.begin_attempt(llm_core::Again::Retry, std::time::Duration::ZERO)),
        ("call", Share, |context| *context = Context::default()),
    ];
    let set = |(name, does, set): (&'static str, Does, Set)| {
        let mut context = Context::default();
        set(&mut context);
        (name, does, context)
    };
    setters.into_iter().map(set).collect()
}

fn contents() -> Vec<PartContent> {
    let image = |source, detail: Option<&str>| PartContent::Image(Image { source, detail: detail.map(str::to_owned) });
    let data = |media_type: &str, data: &str| Source::Data { media_type: media_type.into(), data: data.into() };
    let file = |id: &str, filename: Option<&str>| {
        PartContent::File(File { source: Source::File(id.into()), filename: filename.map(str::to_owned) })
    };
    let audio = |data: &str, format: &str| PartContent::Audio(Audio { data: data.into(), format: format.into() });
    let reasoning = |text: &str, signature: Option<&str>, redacted: Option<&str>| {
        let [signature, redacted] = [signature, redacted].map(|text| text.map(str::to_owned));
        PartContent::Reasoning(Reasoning { text: text.into(), signature, redacted })
    };
    let call = |id: &str, name: &str, arguments: &str| PartContent::ToolCall(ToolCall::function(id, name, arguments));
    let custom = ToolCall { kind: ToolCallKind::Custom, ..ToolCall::function("1", "f", "{}") };
    let result = |call_id: &str, content: Vec<Part>, is_error| {
        PartContent::ToolResult(ToolResult { call_id: call_id.into(), content, is_error })
    };
    let other = |kind: &str, text: &str| PartContent::Other(Other { kind: kind.into(), json: json(text) });
    vec![
        PartContent::Text("a".into()),
        PartContent::Refusal("a".into()),
        reasoning("a", None, None),
        reasoning("a", Some("s"), None),
        reasoning("a", None, Some("s")),
        image(Source::Url("u".into()), None),
        image(Source::Url("u".into()), Some("low")),
        image(data("image/png", "AA"), None),
        image(data("image/gif", "AA"), None),
        image(data("image/png", "AB"), None),
        image(Source::File("u".into()), None),
        audio("AA", "wav"),
        audio("AB", "wav"),
        audio("AA", "mp3"),
        file("u", None),
        file("u", Some("a.pdf")),
        call("1", "f", "{}"),
        call("2", "f", "{}"),
        call("1", "g", "{}"),
        call("1", "f", "{ }"),
        PartContent::ToolCall(custom),
        result("1", vec![], false),
        result("2", vec![], false),
        result("1", vec![Part::text("a")], false),
        result("1", vec![], true),
        other("a", "{}"),
        other("b", "{}"),
        other("a", "[]"),
    ]
}

/// Which variant it is; each has to be among those that are tried.
fn variant_of_content(content: &PartContent) -> usize {
    match content {
        PartContent::Text(_) => 0,
        PartContent::Reasoning(_) => 1,
        PartContent::Refusal(_) => 2,
        PartContent::Image(_) => 3,
        PartContent::Audio(_) => 4,
        PartContent::File(_) => 5,
        PartContent::ToolCall(_) => 6,
        PartContent::ToolResult(_) => 7,
        PartContent::Other(_) => 8,
    }
}

fn base_message() -> Message {
    Message::text(Role::User, "Why is the sky blue?")
}

fn base() -> Chat {
    Chat {
        messages: vec![base_message()],
        tools: vec![Tool::function("f", "does", json(r#"{"a":1}"#))],
        ..Chat::default()
    }
}

fn with_message(message: Message) -> Chat {
    Chat { messages: vec![message], ..base() }
}

fn with_part(part: Part) -> Chat {
    with_message(Message { parts: vec![part], ..base_message() })
}

fn with_content(content: PartContent) -> Chat {
    with_part(Part::from(content))
}

fn ask(chat: Chat) -> LlmRequest {
    LlmRequest::new("m", Payload::Chat(chat)).with_context(Context::new(llm_core::CallId(1)))
}

/// All chats that differ from the base in one place.
fn chats() -> Vec<(String, Does, Chat)> {
    let mut all: Vec<(String, Does, Chat)> = Vec::new();
    let mut add = |name: &str, does, chat| all.push((name.to_owned(), does, chat));
    for (name, does, chat) in varied(&base(), chat_fields) {
        add(name, does, chat);
    }
    for (name, does, sampling) in varied(&Sampling::default(), sampling_fields) {
        add(name, does, Chat { sampling, ..base() });
    }
    for (name, does, message) in varied(&base_message(), message_fields) {
        add(name, does, with_message(message));
    }
    for (name, does, message) in varied(&base_message(), message_fields) {
        if does == Differ {
            add(&format!("system {name}"), does, Chat { system: vec![message], ..base() });
        }
    }
    for (name, does, part) in varied(&Part::text("Why is the sky blue?"), part_fields) {
        add(name, does, with_part(part));
    }
    let tool = base().tools.remove(0);
    for (name, does, tool) in varied(&tool, tool_fields) {
        add(name, does, Chat { tools: vec![tool], ..base() });
    }
    let ToolKind::Function(function) = tool.kind else { unreachable!() };
    for (name, does, function) in varied(&function, function_fields) {
        let tool = Tool { kind: ToolKind::Function(function), cache: None, extra: Extra::new() };
        add(name, does, Chat { tools: vec![tool], ..base() });
    }
    let schema = JsonSchema { name: None, description: None, schema: json("{}"), strict: None, extra: Extra::new() };
    let of_schema = |schema| Chat { response_format: Some(ResponseFormat::JsonSchema(schema)), ..base() };
    add("json_schema", Differ, of_schema(schema.clone()));
    for (name, does, schema) in varied(&schema, schema_fields) {
        add(name, does, of_schema(schema));
    }
    for (at, content) in contents().into_iter().enumerate() {
        add(&format!("content {at}"), Differ, with_content(content));
    }
    all
}

fn key(request: &LlmRequest) -> Key {
    Keys::default().of(request)
}

#[test]
fn each_field_that_matters_tells_two_requests_apart_and_no_other_does() {
    let base_key = key(&ask(base()));
    let mut known: HashMap<Key, String> = HashMap::from([(base_key, "the base".to_owned())]);
    for (name, does, chat) in chats() {
        let key = key(&ask(chat));
        match does {
            Share => assert_eq!(key, base_key, "{name} should make no difference"),
            Differ => {
                if let Some(other) = known.insert(key, name.clone()) {
                    panic!("{name} is taken for {other}");
                }
            }
        }
    }
}

#[test]
fn every_kind_of_content_is_among_those_that_are_tried() {
    let tried: std::collections::BTreeSet<_> = contents().iter().map(variant_of_content).collect();
    assert_eq!(tried, (0..9).collect());
}

#[test]
fn every_variant_of_an_enumeration_is_a_value_of_its_own() {
    let mut chats = Vec::new();
    for role in [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool] {
        chats.push(with_message(Message { role, ..base_message() }));
    }
    let other = |text| ToolChoice::Other(json(text));
    let named = |name: &str| ToolChoice::Function(name.into());
    for choice in [ToolChoice::None, ToolChoice::Auto, ToolChoice::Required, named("f"), named("g"), other("1")] {
        chats.push(Chat { tool_choice: Some(choice), ..base() });
    }
    for format in [ResponseFormat::JsonObject, ResponseFormat::Other(json("{}"))] {
        chats.push(Chat { response_format: Some(format), ..base() });
    }
    for thinking in [Thinking::Disabled, Thinking::Adaptive, Thinking::Budget(0), Thinking::Budget(1)] {
        chats.push(Chat { thinking: Some(thinking), ..base() });
    }
    let efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max", "more"];
    chats.extend(efforts.map(|name| Chat { reasoning_effort: Some(name.into()), ..base() }));
    let keys: std::collections::HashSet<_> = chats.iter().map(|chat| key(&ask(chat.clone()))).collect();
    assert_eq!(keys.len(), chats.len());
}

#[test]
fn who_asks_whom_tells_two_requests_apart() {
    let mut known: HashMap<Key, &str> = HashMap::new();
    let base_key = key(&ask(base()));
    for (name, does, context) in contexts() {
        let key = key(&ask(base()).with_context(context));
        assert_eq!(key == base_key, does == Share, "{name}");
        if does == Differ
            && let Some(other) = known.insert(key, name)
        {
            panic!("{name} is taken for {other}");
        }
    }
    for (name, does, caller) in varied(&Caller::tenant("acme"), caller_fields) {
        let of = |caller: Caller| {
            let mut request = ask(base());
            request.context_mut().set_caller(caller);
            key(&request)
        };
        assert_eq!(of(Caller::tenant("acme")) == of(caller), does == Share, "{name}");
    }
    let mut other = ask(base());
    other.set_model("m2");
    assert_ne!(key(&other), base_key);
    let of = |key| {
        let mut request = ask(base());
        request.context_mut().set_target(Target::new("openai", "m").with_key(key));
        self::key(&request)
    };
    assert_eq!(of("first"), of("second"), "the answer is the same whoever pays");
}

#[test]
fn counting_and_continuing_are_two_questions() {
    let count = LlmRequest::new("m", Payload::CountTokens(base()));
    assert_ne!(key(&count), key(&ask(base())));
}

#[test]
fn order_and_spelling_of_what_is_unknown_make_no_difference_and_its_dialect_does() {
    let with = |fields: [(&str, &str); 2], dialect| {
        let mut chat = Chat { dialect, ..base() };
        for (name, value) in fields {
            chat.extra.insert(name, json(value));
        }
        key(&ask(chat))
    };
    let openai = Some(Dialect::OpenAi);
    let one = with([("x_a", r#"{"b":1,"c":2}"#), ("x_b", "1")], openai);
    assert_eq!(one, with([("x_b", "1"), ("x_a", r#"{ "c":2, "b":1 }"#)], openai));
    assert_ne!(one, with([("x_a", r#"{"b":1,"c":2}"#), ("x_b", "1")], Some(Dialect::Anthropic)));
    assert_ne!(one, with([("x_a", "1"), ("x_b", r#"{"b":1,"c":2}"#)], openai));
}

#[test]
fn fields_that_are_declared_irrelevant_are_so_at_the_top_and_nowhere_else() {
    let top = |name: &str| {
        let mut chat = base();
        chat.extra.insert(name, json("\"u-1\""));
        ask(chat)
    };
    for name in crate::meaning::IRRELEVANT {
        assert_eq!(key(&top(name)), key(&ask(base())), "{name}");
    }
    let keys = Keys { irrelevant: Box::new(["x_trace".into()]), ..Keys::default() };
    assert_eq!(keys.of(&top("x_trace")), keys.of(&ask(base())));
    assert_ne!(key(&top("x_trace")), key(&ask(base())));
    let mut message = base_message();
    message.extra.insert("user", json("\"u-1\""));
    assert_ne!(key(&ask(with_message(message))), key(&ask(base())));
}

#[test]
fn a_scope_says_who_shares() {
    let of = |scope, tenant: &str, user: &str| {
        let mut request = ask(base());
        request.context_mut().set_caller(Caller { user: Some(user.into()), ..Caller::tenant(tenant) });
        Keys { scope, ..Keys::default() }.of(&request)
    };
    for (scope, users, tenants) in
        [(Scope::Tenant, true, false), (Scope::User, false, false), (Scope::Everyone, true, true)]
    {
        assert_eq!(of(scope, "acme", "ada") == of(scope, "acme", "bob"), users, "{scope:?}");
        assert_eq!(of(scope, "acme", "ada") == of(scope, "globex", "ada"), tenants, "{scope:?}");
    }
    let nobody = key(&ask(base()));
    let empty = of(Scope::Tenant, "", "");
    assert_ne!(nobody, empty, "no tenant is not the tenant without a name");
}

#[test]
fn what_stands_beside_a_request_tells_it_apart_where_somebody_says_so() {
    #[derive(Clone)]
    struct Features(&'static [&'static str]);
    let says: Arc<Says> = Arc::new(|request: &LlmRequest, say: &mut dyn FnMut(&str)| {
        if let Some(Features(names)) = request.extensions().get() {
            names.iter().for_each(|name| say(name));
        }
    });
    let keys = Keys { vary: Vary(Some(says)), ..Keys::default() };
    let with = |names| {
        let mut request = ask(base());
        request.extensions_mut().insert(Features(names));
        request
    };
    let all = [keys.of(&ask(base())), keys.of(&with(&["a"])), keys.of(&with(&["a", "b"])), keys.of(&with(&["ab"]))];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    assert_eq!(keys.of(&with(&[])), all[0]);
    assert_eq!(key(&with(&["a"])), key(&ask(base())), "and nowhere else");
}

#[test]
fn embeddings_are_told_apart_by_what_matters_as_a_whole_and_by_item() {
    let ask = |embed| LlmRequest::new("e", Payload::Embed(embed));
    let text = |text: &str| EmbedInput::Text(text.into());
    let base = Embed { input: vec![text("1"), EmbedInput::Tokens(vec![1, 2])], ..Embed::default() };
    for (name, does, embed) in varied(&base, embed_fields) {
        let (one, other) = (ask(base.clone()), ask(embed));
        assert_eq!(key(&one) == key(&other), does == Share, "{name}");
        let items = |request| Keys::default().of_inputs(request)[0];
        let is_shared = does == Share || name == "embed.input";
        assert_eq!(items(&one) == items(&other), is_shared, "{name}, by item");
    }
    let inputs = [text("1"), text("2"), EmbedInput::Tokens(vec![1]), EmbedInput::Tokens(vec![1, 2]), text("1")];
    let keys = Keys::default().of_inputs(&ask(Embed { input: inputs.to_vec(), ..Embed::default() }));
    assert_eq!(keys[0], keys[4]);
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), 4);
    assert!(Keys::default().of_inputs(&self::ask(self::base())).is_empty());
}

#[test]
fn a_key_is_shown_as_hexadecimal_digits() {
    let mut bytes = [0xab; 32];
    bytes[0] = 1;
    let key = Key::from_bytes(bytes);
    assert_eq!(key.to_string(), format!("01{}", "ab".repeat(31)));
    assert_eq!(key.as_bytes(), &bytes);
}
