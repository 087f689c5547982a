//! The http server in Anthropic's dialect, without faults.

#![allow(clippy::unwrap_used)]

mod raw;

use llm_core::catalog::Capability;
use llm_sim::{Ended, ModelConfig, Sim, SimConfig, SimKey, SimServer};
use raw::{Answer, End, send};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";
const CHAT: &str = "/v1/chat/completions";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

async fn serve(config: SimConfig) -> SimServer {
    Sim::try_from(config).unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn instant() -> ModelConfig {
    ModelConfig { output_tokens: 10, ..ModelConfig::instant("m") }
}

async fn plain() -> SimServer {
    serve(SimConfig::new([instant()])).await
}

async fn thinker() -> SimServer {
    let mut model = instant();
    model.capabilities.insert(Capability::Reasoning);
    serve(SimConfig::new([model])).await
}

/// A question, with these fields besides or instead.
fn question(more: Value) -> String {
    let mut body = json!({ "model": "m", "max_tokens": 1000, "messages": [{ "role": "user", "content": "hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

async fn post(server: &SimServer, path: &str, more: Value) -> Answer {
    send(server.addr(), "POST", path, &[VERSION], &question(more)).await
}

async fn ask(server: &SimServer, more: Value) -> Value {
    let answer = post(server, MESSAGES, more).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

/// The events of a stream, whose names are those of their data.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let events = text.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    events.collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn texts(message: &Value) -> String {
    message["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect()
}

fn weather() -> Value {
    json!([{ "name": "get_weather", "input_schema": { "type": "object", "required": ["city"],
        "properties": { "city": { "type": "string" } } } }])
}

#[tokio::test]
async fn a_whole_answer_is_a_message_with_usage() {
    let server = plain().await;
    let answer = post(&server, "/v1/messages?beta=true", json!({})).await;
    assert_eq!((answer.status(), answer.end), (200, End::Whole));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
    assert_eq!((answer.header("x-request-id"), answer.header("x-should-retry")), (None, None));
    let message = answer.json();
    assert_eq!(
        (&message["type"], &message["role"], &message["model"]),
        (&json!("message"), &json!("assistant"), &json!("m"))
    );
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert!(message["content"][0]["text"].as_str().unwrap().starts_with("Simulated answer by m:"));
    assert_eq!((&message["stop_reason"], &message["usage"]["output_tokens"]), (&json!("end_turn"), &json!(10)));
    let log = server.log();
    assert_eq!((&*log[0].path, log[0].model.as_deref(), log[0].ended), (MESSAGES, Some("m"), Some(Ended::Complete)));
}

#[tokio::test]
async fn a_stream_has_the_providers_events_in_their_order() {
    let server = plain().await;
    let answer = post(&server, MESSAGES, json!({ "stream": true })).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!((answer.tokens(), answer.end), (10, End::Whole));
    let events = events(&answer);
    let deltas = ["content_block_delta"; 10];
    let expected = ["message_start", "content_block_start", "ping"].into_iter().chain(deltas);
    let expected: Vec<_> = expected.chain(["content_block_stop", "message_delta", "message_stop"]).collect();
    assert_eq!(names(&events), expected);
    let (start, end) = (&events[0]["message"], &events[events.len() - 2]);
    let input = &ask(&server, json!({})).await["usage"]["input_tokens"];
    assert!(input.as_u64().unwrap() > 3);
    assert_eq!((&start["usage"]["input_tokens"], &end["usage"]["input_tokens"]), (input, input));
    assert_eq!((&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]), (&json!("end_turn"), &json!(10)));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let ask = async || {
        let server = thinker().await;
        let more = json!({ "stream": true, "tools": weather(), "thinking": { "type": "adaptive" } });
        post(&server, MESSAGES, more).await.body()
    };
    assert_eq!(ask().await, ask().await);
}

#[tokio::test]
async fn a_count_is_what_the_call_will_report() {
    let server = plain().await;
    let more = json!({ "system": "Be brief.", "tools": weather(), "tool_choice": { "type": "none" } });
    let counted = post(&server, COUNT, more.clone()).await;
    let used = ask(&server, more).await;
    assert_eq!(counted.json(), json!({ "input_tokens": used["usage"]["input_tokens"] }));
    assert_eq!(&*server.log()[0].path, COUNT);
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let without_limit = send(server.addr(), "POST", COUNT, &[VERSION], &body).await;
    assert_eq!(without_limit.status(), 200, "a count needs no `max_tokens`");
}

#[tokio::test]
async fn models_are_told_in_the_dialect_of_the_request() {
    let server = plain().await;
    let ask = async |path, headers: &[(&str, &str)]| send(server.addr(), "GET", path, headers, "").await;
    let list = ask("/v1/models?limit=20", &[VERSION]).await.json();
    assert_eq!((&list["data"][0]["type"], &list["data"][0]["id"]), (&json!("model"), &json!("m")));
    assert_eq!((&list["has_more"], &list["last_id"]), (&json!(false), &json!("m")));
    assert_eq!(ask("/v1/models/m", &[VERSION]).await.json()["type"], "model");
    assert_eq!(ask("/v1/models", &[]).await.json()["object"], "list");
    let unknown = ask("/v1/models/x", &[VERSION]).await;
    assert_eq!((unknown.status(), &unknown.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_answered() {
    let server = plain().await;
    let asked = json!({ "role": "user", "content": "What is the weather in Oslo?" });
    let more = json!({ "tools": weather(), "messages": [asked] });
    let called = ask(&server, more.clone()).await;
    let call = &called["content"][0];
    assert_eq!(
        (&call["type"], &call["name"], &called["stop_reason"]),
        (&json!("tool_use"), &json!("get_weather"), &json!("tool_use"))
    );
    assert!(call["id"].as_str().unwrap().starts_with("toolu_"));
    assert!(call["input"]["city"].is_string());

    let stream = json!({ "tools": weather(), "messages": [asked], "stream": true });
    let events = events(&post(&server, MESSAGES, stream).await);
    let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), call["input"]);

    let result = json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": call["id"], "content": "snow" }] });
    let turn = json!({ "role": "assistant", "content": called["content"] });
    let more = json!({ "tools": weather(), "messages": [asked, turn, result] });
    let answered = ask(&server, more).await;
    assert_eq!((&answered["stop_reason"], &answered["content"][0]["type"]), (&json!("end_turn"), &json!("text")));
}

#[tokio::test]
async fn thinking_comes_when_it_is_asked_for_and_changes_nothing_else() {
    let server = thinker().await;
    let plain = ask(&server, json!({})).await;
    assert_eq!(
        (&plain["content"][0]["type"], &plain["usage"]["output_tokens_details"]["thinking_tokens"]),
        (&json!("text"), &json!(0))
    );
    for (more, tokens) in [
        (json!({ "max_tokens": 9000, "thinking": { "type": "enabled", "budget_tokens": 1024 } }), 16),
        (json!({ "max_tokens": 9000, "thinking": { "type": "enabled", "budget_tokens": 8192 } }), 64),
        (json!({ "thinking": { "type": "adaptive" } }), 32),
        (json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "max" } }), 128),
        (json!({ "output_config": { "effort": "low" } }), 16),
        (json!({ "thinking": { "type": "disabled" }, "output_config": { "effort": "low" } }), 0),
    ] {
        let thought = ask(&server, more.clone()).await;
        assert_eq!(thought["usage"]["output_tokens_details"]["thinking_tokens"], tokens, "{more}");
        assert_eq!(thought["usage"]["output_tokens"], 10 + tokens);
        assert_eq!(thought["content"][0]["type"] == "thinking", tokens > 0);
        assert_eq!(texts(&thought), texts(&plain));
    }
}

#[tokio::test]
async fn thinking_is_signed_whole_and_streamed_and_comes_back_as_it_was() {
    let server = thinker().await;
    let more = json!({ "thinking": { "type": "adaptive" } });
    let whole = ask(&server, more).await;
    let block = &whole["content"][0];
    assert!(block["signature"].as_str().unwrap().len() > 20);
    let streamed =
        events(&post(&server, MESSAGES, json!({ "thinking": { "type": "adaptive" }, "stream": true })).await);
    let delta = |name: &str| streamed.iter().filter_map(|event| event["delta"][name].as_str()).collect::<String>();
    assert_eq!(
        (delta("thinking"), delta("signature")),
        (block["thinking"].as_str().unwrap().to_owned(), block["signature"].as_str().unwrap().to_owned())
    );
    assert_eq!(names(&streamed)[..3], ["message_start", "content_block_start", "ping"]);
    assert_eq!(names(&streamed).iter().filter(|name| **name == "ping").count(), 1);

    let back = |block: Value| {
        json!({ "messages": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": [block] },
            { "role": "user", "content": "and?" }] })
    };
    ask(&server, back(block.clone())).await;
    for (field, value) in
        [("thinking", json!("something else")), ("signature", json!("sim_0")), ("signature", json!(""))]
    {
        let mut altered = block.clone();
        altered[field] = value;
        let refused = post(&server, MESSAGES, back(altered)).await;
        assert_eq!((refused.status(), &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(refused.text().contains("signature"), "{}", refused.text());
    }
}

#[tokio::test]
async fn the_stop_text_that_was_met_is_told() {
    let server = plain().await;
    for stream in [false, true] {
        let more = json!({ "stop_sequences": ["nowhere", "by m"], "stream": stream });
        let answer = post(&server, MESSAGES, more).await;
        let end = if stream {
            events(&answer).into_iter().find(|event| event["type"] == "message_delta").unwrap()["delta"].clone()
        } else {
            answer.json()
        };
        assert_eq!((&end["stop_reason"], &end["stop_sequence"]), (&json!("stop_sequence"), &json!("by m")));
    }
    let cut = ask(&server, json!({ "stop_sequences": ["nowhere"], "max_tokens": 2 })).await;
    assert_eq!((&cut["stop_reason"], &cut["stop_sequence"]), (&json!("max_tokens"), &json!(null)));
}

#[tokio::test]
async fn a_conversation_gets_the_same_text_in_either_dialect() {
    let server = thinker().await;
    let chat = async |body: Value| {
        let answer = send(server.addr(), "POST", CHAT, &[], &body.to_string()).await.json();
        answer["choices"][0]["message"].clone()
    };
    let message = async |messages: Value| {
        ask(&server, json!({ "system": "Be brief.", "tools": weather(), "messages": messages })).await
    };
    let function = json!({ "name": "get_weather", "parameters": weather()[0]["input_schema"] });
    let tool = json!({ "type": "function", "function": function });
    let said = "What is the weather in Oslo?";
    let asked = json!({ "role": "user", "content": said });
    let theirs = message(json!([asked])).await;
    let system = json!({ "role": "developer", "content": "Be brief." });
    let user = json!({ "role": "user", "content": [{ "type": "text", "text": said }] });
    let ours = chat(json!({ "model": "m", "tools": [tool], "messages": [system, user] })).await;
    let call = &ours["tool_calls"][0];
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(theirs["content"][0]["input"], arguments);

    let call_of_theirs = &theirs["content"][0];
    let results = json!([{ "type": "tool_result", "tool_use_id": call_of_theirs["id"], "content": "snow" }]);
    let turn = json!({ "role": "assistant", "content": [call_of_theirs] });
    let theirs = message(json!([asked, turn, { "role": "user", "content": results }])).await;
    let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "snow" });
    let ours = chat(json!({ "model": "m", "tools": [tool], "messages": [system, user, ours, result] })).await;
    assert_eq!(texts(&theirs), ours["content"].as_str().unwrap());
    assert!(texts(&theirs).starts_with("Simulated answer"));
    let paths: Vec<_> = server.log().iter().map(|call| call.path.to_string()).collect();
    assert_eq!(paths, [MESSAGES, CHAT, MESSAGES, CHAT]);
}

#[tokio::test]
async fn a_marked_prefix_is_written_to_the_prompt_cache_and_then_read() {
    let server = plain().await;
    let marked = |text: &str, ttl: &str| {
        let mark = json!({ "type": "ephemeral", "ttl": ttl });
        json!({ "type": "text", "text": text, "cache_control": mark })
    };
    let long = "word ".repeat(2_000);
    let with = |more: Value| {
        let mut fields = json!({ "system": [marked(&long, "5m")] });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let usage = async |more: Value| {
        let usage = ask(&server, more.clone()).await["usage"].clone();
        let count = |name: &str| usage[name].as_u64().unwrap();
        let counts = [count("cache_creation_input_tokens"), count("cache_read_input_tokens"), count("input_tokens")];
        let all = post(&server, COUNT, more).await.json();
        assert_eq!(counts.iter().sum::<u64>(), all["input_tokens"].as_u64().unwrap(), "right to the token");
        (counts, usage)
    };
    let ([written, 0, rest], first) = usage(with(json!({}))).await else { panic!("nothing can be read") };
    assert!(written >= 2_000 && rest < 20, "{written} {rest}");
    assert_eq!(first["cache_creation"]["ephemeral_5m_input_tokens"], written);
    assert_eq!(usage(with(json!({}))).await.0, [0, written, rest]);

    let other = json!({ "messages": [{ "role": "user", "content": [marked(&"other ".repeat(1_500), "1h")] }] });
    let ([added, read, 0], second) = usage(with(other)).await else { panic!("everything is marked") };
    assert_eq!((read, &second["cache_creation"]["ephemeral_1h_input_tokens"]), (written, &json!(added)));

    let stream = events(&post(&server, MESSAGES, with(json!({ "stream": true }))).await);
    let end = stream.iter().find(|event| event["type"] == "message_delta").unwrap();
    for usage in [&stream[0]["message"]["usage"], &end["usage"]] {
        assert_eq!((&usage["cache_read_input_tokens"], &usage["input_tokens"]), (&json!(written), &json!(rest)));
    }

    let short = json!({ "system": [marked(&"word ".repeat(500), "5m")] });
    for _ in 0..2 {
        assert_eq!(usage(short.clone()).await.0[..2], [0, 0]);
    }
}

#[tokio::test]
async fn a_call_that_was_refused_leaves_nothing_in_the_prompt_cache() {
    let server = plain().await;
    let more = json!({ "system": "word ".repeat(2_000), "cache_control": { "type": "ephemeral" } });
    for fault in ["status 529", "error-body overloaded_error", "cut"] {
        send(server.addr(), "POST", MESSAGES, &[VERSION, ("x-sim-fault", fault)], &question(more.clone())).await;
    }
    let read = async || ask(&server, more.clone()).await["usage"]["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!(read().await, 0);
    assert!(read().await > 2_000, "a mark on the whole request is one on its last block");
}

#[tokio::test]
async fn limits_are_told_in_anthropics_headers() {
    let model = ModelConfig { requests_per_minute: Some(1), tokens_per_minute: Some(10_000), ..instant() };
    let server = serve(SimConfig::new([model])).await;
    let answer = post(&server, MESSAGES, json!({})).await;
    let header = |name: &str| answer.header(&format!("anthropic-ratelimit-{name}"));
    assert_eq!((header("requests-limit"), header("requests-remaining")), (Some("1"), Some("0")));
    assert_eq!(header("tokens-limit"), Some("10000"));
    let used = answer.json()["usage"]["input_tokens"].as_u64().unwrap();
    assert_eq!(header("tokens-remaining"), Some((10_000 - used).to_string().as_str()));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
    let reset = header("requests-reset").unwrap();
    let reset = humantime_of(reset);
    let log = server.log();
    assert!(reset > log[0].at && reset <= log[0].at + std::time::Duration::from_secs(62), "{reset:?}");

    let refused = post(&server, MESSAGES, json!({})).await;
    assert_eq!((refused.status(), &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(refused.header("x-should-retry"), Some("true"));
}

/// A reset such as `2026-08-19T14:34:11Z`, as a client of ours reads it.
fn humantime_of(text: &str) -> std::time::SystemTime {
    assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    humantime::parse_rfc3339(text).unwrap()
}

#[tokio::test]
async fn a_key_comes_in_either_header() {
    let config = SimConfig { keys: vec![SimKey::new("first", "sk-canary")], ..SimConfig::new([instant()]) };
    let server = serve(config).await;
    let good = [("x-api-key", "sk-canary"), ("authorization", "Bearer sk-canary")];
    let bad = [("x-api-key", "sk-wrong"), ("authorization", "Bearer sk-wrong"), ("x-note", "none")];
    for header in good {
        assert_eq!(send(server.addr(), "POST", MESSAGES, &[VERSION, header], &question(json!({}))).await.status(), 200);
    }
    for header in bad {
        let answer = send(server.addr(), "POST", MESSAGES, &[VERSION, header], &question(json!({}))).await;
        assert_eq!((answer.status(), &answer.json()["error"]["type"]), (401, &json!("authentication_error")));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let other_door = send(server.addr(), "POST", CHAT, &[good[0]], &question(json!({}))).await;
    assert_eq!(other_door.status(), 401, "OpenAI knows one header only");
    let keys: Vec<_> = server.log().iter().map(|call| call.key.as_deref().map(str::to_owned)).collect();
    assert_eq!(keys[..2], [Some("first".to_owned()), Some("first".to_owned())]);
    assert!(keys[2..].iter().all(Option::is_none));
    assert!(!format!("{:?}", server.log()).contains("canary"));
}

#[tokio::test]
async fn no_tokens_at_all_only_warm_the_cache() {
    let server = plain().await;
    let message = ask(&server, json!({ "max_tokens": 0 })).await;
    assert_eq!((&message["content"], &message["usage"]["output_tokens"]), (&json!([]), &json!(0)));
}
