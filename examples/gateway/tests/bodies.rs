//! A body that is no good request gets a prompt 4xx in the caller's dialect, takes bounded memory, and the next caller
//! is served.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use harness::{
    Answer, Gateway, chat,
    doors::{CHAT, COUNT_TOKENS, DOORS, Door, MESSAGES},
};
use http::{HeaderValue, Method};

const CONFIG: &str = "[server]\nmax_body_bytes = 8000000\n[simulated]\n\
                      models = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 100000.0 }, \
                      { name = \"e\", dimensions = 8 }]\n";

/// The most memory that one body of up to 8 MB may take besides itself, in KiB.
const MOST_MEMORY: u64 = 64_000;

fn model(door: &Door) -> &'static str {
    if door.path.ends_with("embeddings") { "e" } else { "m" }
}

async fn is_served(gateway: &Gateway) {
    for door in DOORS {
        let answer = gateway.post(door.path, door.body(model(&door), "")).await;
        assert_eq!(answer.status, 200, "{}: {}", door.path, answer.text());
    }
}

async fn is_refused(gateway: &Gateway, door: &Door, name: &str, body: impl Into<Vec<u8>>) {
    let answer = gateway.post(door.path, body.into()).await;
    assert!(matches!(answer.status.as_u16(), 400 | 413), "{} {name}: {} {}", door.path, answer.status, answer.text());
    assert!(!door.error_message(&answer).is_empty(), "{} {name}", door.path);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{} {name}", door.path);
    assert_eq!(answer.header("x-should-retry"), Some("false"), "{} {name}", door.path);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let good = door.body(model(&door), "");
        for (name, body) in [
            ("empty", String::new()),
            ("white space", " \r\n\t".to_owned()),
            ("cut", good[..good.len() - 1].to_owned()),
            ("cut within a string", good[..12].to_owned()),
            ("an array", format!("[{good}]")),
            ("a string", r#""model""#.to_owned()),
            ("null", "null".to_owned()),
            ("trailing garbage", good.clone() + "x"),
            ("two of them", good.clone() + &good),
            ("a trailing comma", good[..good.len() - 1].to_owned() + ",}"),
            ("a byte order mark", "\u{feff}".to_owned() + &good),
            ("a comment", good.replacen(',', ",/* x */", 1)),
            ("single quotes", good.replace('"', "'")),
            ("a raw line end in a string", good.replacen(model(&door), "m\n", 1)),
            ("a raw zero byte in a string", good.replacen(model(&door), "m\0", 1)),
            ("a zero byte behind", good.clone() + "\0"),
            ("a bad escape", good.replacen(model(&door), "\\x", 1)),
            ("half an escape", good.replacen(model(&door), "\\u12", 1)),
            ("half a character", good.replacen(model(&door), "m\\ud800", 1)),
            ("two second halves", good.replacen(model(&door), "m\\udc00\\udc00", 1)),
            ("no number", door.body("m", r#""x":NaN"#)),
            ("infinity", door.body("m", r#""x":Infinity"#)),
            ("a hexadecimal number", door.body("m", r#""x":0x10"#)),
            ("a leading zero", door.body("m", r#""x":01"#)),
            ("a leading plus", door.body("m", r#""x":+1"#)),
            ("half a number", door.body("m", r#""x":1."#)),
            ("python", door.body("m", r#""x":True"#)),
        ] {
            is_refused(&gateway, &door, name, body).await;
        }
        for (name, bytes) in [
            ("no UTF-8", &b"\xff"[..]),
            ("an overlong slash", b"\xc0\xaf"),
            ("an overlong zero", b"\xe0\x80\x80"),
            ("half a surrogate pair", b"\xed\xa0\x80"),
            ("beyond Unicode", b"\xf4\x90\x80\x80"),
            ("a cut character", b"\xe2\x82"),
            ("a lone continuation", b"\x80"),
        ] {
            for place in ["Hello!", "more"] {
                let body = door.body(model(&door), r#""x":"more""#);
                let (before, after) = body.split_once(place).unwrap();
                is_refused(&gateway, &door, name, [before.as_bytes(), bytes, after.as_bytes()].concat()).await;
            }
        }
        let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        is_refused(&gateway, &door, "UTF-16", utf16).await;
        is_refused(&gateway, &door, "gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec()).await;
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn wrong_names_types_and_numbers_are_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let good = door.body(model(&door), "");
        let of_model = format!(r#""{}""#, model(&door));
        for model in [
            r#""""#,
            r#""m\r\nx-injected: canary""#,
            r#""m\n""#,
            r#""m\u0000""#,
            r#""m\u001b[31m""#,
            r#""m\u007f""#,
            r#""m\u0085""#,
            "null",
            "1",
            "true",
            "[]",
            "{}",
            r#"["m"]"#,
        ] {
            is_refused(&gateway, &door, model, good.replacen(&of_model, model, 1)).await;
        }
        is_refused(&gateway, &door, "a long name", good.replacen(&of_model, &format!("\"{}\"", "m".repeat(10_000)), 1))
            .await;
        is_refused(&gateway, &door, "no model", good.replacen("\"model\"", "\"modle\"", 1)).await;
    }
    for (name, fields) in [
        ("a temperature beyond all", r#""temperature":1e999"#),
        ("a negative temperature", r#""temperature":-1e999"#),
        ("a limit beyond all", r#""max_tokens":1e999"#),
        ("a limit beyond 64 bits", r#""max_tokens":18446744073709551616"#),
        ("a negative limit", r#""max_tokens":-2"#),
        ("half a token", r#""max_tokens":1.5"#),
        ("a text for a limit", r#""max_tokens":"1""#),
        ("a seed beyond all", r#""seed":1e400"#),
        ("no choices", r#""n":0"#),
        ("endless choices", r#""n":99999999999"#),
        ("a number for a switch", r#""stream":1"#),
        ("a text for a switch", r#""stream":"true""#),
        ("options that are none", r#""stream_options":[]"#),
        ("tools that are none", r#""tools":{}"#),
        ("a tool that is none", r#""tools":[1]"#),
    ] {
        is_refused(&gateway, &CHAT, name, CHAT.body("m", fields)).await;
    }
    for messages in [
        r#""hello""#,
        "[]",
        "{}",
        "null",
        "[1]",
        "[null]",
        "[[]]",
        "[{}]",
        r#"[{"role":"user"}]"#,
        r#"[{"role":1,"content":"x"}]"#,
        r#"[{"role":"user","content":1}]"#,
        r#"[{"role":"user","content":[1]}]"#,
        r#"[{"role":"user","content":[{"type":"text","text":1}]}]"#,
        r#"[{"role":"user","content":[{"type":"image_url","image_url":1}]}]"#,
    ] {
        is_refused(&gateway, &CHAT, messages, format!(r#"{{"model":"m","messages":{messages}}}"#)).await;
    }
    is_served(&gateway).await;
}

/// Two readers could each take another one of them.
#[tokio::test]
async fn a_name_that_stands_twice_in_an_object_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let model = model(&door);
        is_refused(&gateway, &door, "model", door.body(model, r#""model":"other""#)).await;
        is_refused(&gateway, &door, "model, escaped", door.body(model, r#""mod\u0065l":"other""#)).await;
        is_refused(&gateway, &door, "an unknown field", door.body(model, r#""x":1,"x":2"#)).await;
        let good = door.body(model, "");
        let (_, needed) = good[..good.len() - 1].split_once(',').unwrap();
        is_refused(&gateway, &door, "what it needs", door.body(model, needed)).await;
    }
    let message = r#"{"role":"user","content":"x"}"#;
    let with_message = |message: &str| format!(r#"{{"model":"m","messages":[{message}]}}"#);
    let with = |fields: &str| format!(r#"{{"model":"m","messages":[{message}],{fields}}}"#);
    let with_part = |part: &str| with_message(&format!(r#"{{"role":"user","content":[{part}]}}"#));
    let with_call = |call: &str| {
        let called = r#"{"role":"tool","tool_call_id":"c","content":"x"}"#;
        format!(r#"{{"model":"m","messages":[{message},{{"role":"assistant","tool_calls":[{call}]}},{called}]}}"#)
    };
    for (name, body) in [
        ("a role", with_message(r#"{"role":"user","role":"system","content":"x"}"#)),
        ("a content", with_message(r#"{"role":"user","content":"x","content":"y"}"#)),
        ("an escaped content", with_message(r#"{"role":"user","content":"x","c\u006fntent":"y"}"#)),
        ("a part's type", with_part(r#"{"type":"text","type":"text","text":"x"}"#)),
        ("a part's text", with_part(r#"{"type":"text","text":"x","text":"y"}"#)),
        ("an image", with_part(r#"{"type":"image_url","image_url":{"url":"http://a","url":"http://b"}}"#)),
        ("a sound", with_part(r#"{"type":"input_audio","input_audio":{"data":"aa","data":"bb","format":"wav"}}"#)),
        ("a file", with_part(r#"{"type":"file","file":{"file_id":"a","file_id":"b"}}"#)),
        ("a call", with_call(r#"{"id":"c","id":"d","type":"function","function":{"name":"f","arguments":"{}"}}"#)),
        (
            "a called function",
            with_call(r#"{"id":"c","type":"function","function":{"name":"f","name":"g","arguments":"{}"}}"#),
        ),
        ("a tool", with(r#""tools":[{"type":"function","type":"function","function":{"name":"f"}}]"#)),
        ("a function", with(r#""tools":[{"type":"function","function":{"name":"f","name":"g"}}]"#)),
        (
            "its parameters",
            with(r#""tools":[{"type":"function","function":{"name":"f","parameters":{},"parameters":{}}}]"#),
        ),
        (
            "a choice of tools",
            with(
                r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","type":"function","function":{"name":"f"}}"#,
            ),
        ),
        (
            "a chosen function",
            with(
                r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f","name":"g"}}"#,
            ),
        ),
        ("stream options", with(r#""stream":true,"stream_options":{"include_usage":true,"include_usage":false}"#)),
        ("a format", with(r#""response_format":{"type":"text","type":"json_object"}"#)),
        (
            "a schema",
            with(r#""response_format":{"type":"json_schema","json_schema":{"name":"a","name":"b","schema":{}}}"#),
        ),
    ] {
        is_refused(&gateway, &CHAT, name, body).await;
    }
    let with_block =
        |block: &str| format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{block}]}}]}}"#);
    for door in [MESSAGES, COUNT_TOKENS] {
        let with = |fields: &str| door.body("m", fields);
        for (name, body) in [
            ("a block's text", with_block(r#"{"type":"text","text":"x","text":"y"}"#)),
            ("a block's type", with_block(r#"{"type":"text","type":"image","text":"x"}"#)),
            ("a source", with_block(r#"{"type":"image","source":{"type":"url","url":"http://a","url":"http://b"}}"#)),
            ("a result", with_block(r#"{"type":"tool_result","tool_use_id":"a","tool_use_id":"b","content":"x"}"#)),
            ("a system block", with(r#""system":[{"type":"text","text":"x","text":"y"}]"#)),
            ("a tool", with(r#""tools":[{"name":"f","name":"g","input_schema":{"type":"object"}}]"#)),
            ("a choice of tools", with(r#""tool_choice":{"type":"auto","type":"any"}"#)),
            ("a budget of thought", with(r#""thinking":{"type":"enabled","budget_tokens":1024,"budget_tokens":2048}"#)),
        ] {
            is_refused(&gateway, &door, name, body).await;
        }
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_body_that_is_huge_in_depth_or_number_is_refused_in_bounded_memory() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    is_served(&gateway).await;
    let million = |item: &str| format!("[{}{item}]", format!("{item},").repeat(999_999));
    let before = gateway.memory();
    for door in DOORS {
        let nested = |open: &str, close: &str| {
            door.body(model(&door), &format!(r#""x":{}1{}"#, open.repeat(10_000), close.repeat(10_000)))
        };
        for (name, body) in [
            ("deep arrays", nested("[", "]")),
            ("deep objects", nested("{\"a\":", "}")),
            ("deep and never closed", nested("[", "")),
            ("only brackets", "[".repeat(1_000_000)),
            ("only braces", "{\"a\":".repeat(1_000_000)),
            ("a million fields", door.body(model(&door), &vec![r#""a":1"#; 1_000_000].join(","))),
            (
                "a million names",
                door.body(model(&door), &(0..700_000).map(|n| format!(r#""{n}":1"#)).collect::<Vec<_>>().join(",")),
            ),
        ] {
            is_refused(&gateway, &door, name, body).await;
        }
        // An array that nobody looks into goes on to the provider as it came.
        let unknown = gateway.post(door.path, door.body(model(&door), &format!(r#""x":{}"#, million("1")))).await;
        assert!(unknown.status == 200 || unknown.status == 400, "{}: {}", door.path, unknown.text());
    }
    let messages = |list: String| format!(r#"{{"model":"m","messages":{list}}}"#);
    for (name, body) in [
        ("messages", messages(million("1"))),
        ("empty messages", messages(million("{}"))),
        ("parts", messages(format!(r#"[{{"role":"user","content":{}}}]"#, million("{}")))),
        ("tools", CHAT.body("m", &format!(r#""tools":{}"#, million("{}")))),
        ("stops", CHAT.body("m", &format!(r#""stop":{}"#, million("\"\"")))),
        ("biases", CHAT.body("m", &format!(r#""logit_bias":{}"#, million("1")))),
        ("a million inputs", format!(r#"{{"model":"e","input":{}}}"#, million("{}"))),
    ] {
        let door = if name.ends_with("inputs") { DOORS[1] } else { CHAT };
        is_refused(&gateway, &door, name, body).await;
    }
    is_served(&gateway).await;
    let peak = gateway.peak_memory();
    assert!(peak < before + MOST_MEMORY, "{before} KiB, and {peak} KiB at the most");
}

/// Whatever control characters come in, in names of all kinds, none comes out as one in a head or in a log.
#[tokio::test]
async fn a_line_end_in_a_name_ends_no_line() {
    let config = format!(
        "{CONFIG}[[providers]]\nname = \"elsewhere\"\nmodels = [\"x*\"]\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n"
    );
    let gateway = Gateway::start(&config).await;
    let evil = r"a\r\nx-injected: canary\r\n\r\n\u001b[31m\u0000\u0085\u2028b";
    let mut bodies = vec![
        (CHAT, CHAT.body("m", &format!(r#""user":"{evil}""#))),
        (CHAT, CHAT.body("m", &format!(r#""metadata":{{"{evil}":"{evil}"}}"#))),
        (CHAT, CHAT.body("m", &format!(r#""{evil}":"{evil}""#))),
        (CHAT, CHAT.body("m", &format!(r#""tools":[{{"type":"function","function":{{"name":"{evil}"}}}}]"#))),
        (CHAT, CHAT.body("m", &format!(r#""tools":[{{"type":"{evil}"}}]"#))),
        (CHAT, CHAT.body("m", &format!(r#""tool_choice":"{evil}","reasoning_effort":"{evil}""#))),
        (CHAT, CHAT.body("m", &format!(r#""stream":true,"stop":["{evil}"]"#))),
        (CHAT, CHAT.body("m", &format!(r#""stream_options":{{"{evil}":1}}"#))),
        (CHAT, CHAT.body("m", &format!(r#""response_format":{{"type":"{evil}"}}"#))),
        (CHAT, format!(r#"{{"model":"m","messages":[{{"role":"{evil}","name":"{evil}","content":"x"}}]}}"#)),
        (CHAT, format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"{evil}"}}]}}]}}"#)),
    ];
    for door in DOORS {
        // Also a model that is unknown, one that a provider is asked for in vain, and one with letters from elsewhere.
        for model in [evil, "nobody/a", "x\u{2028}y", "x\u{202e}y", "ü\u{2029}"] {
            bodies.push((door, door.body(model, "")));
        }
    }
    for (door, body) in bodies {
        let mut request = gateway.request(Method::POST, door.path, body);
        for name in ["x-request-id", "traceparent", "user-agent", "x-stainless-retry-count", "grpc-timeout"] {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_bytes(b"\xc2\x85\x9b31m\tx-injected: canary").unwrap());
        }
        let answer = Answer::read(gateway.send(request).await).await;
        assert_eq!(answer.header("x-injected"), None, "{}", answer.text());
        let head =
            format!("{:?}", answer.headers.iter().filter(|(name, _)| *name != "x-request-id").collect::<Vec<_>>());
        assert!(!head.contains("canary"), "{head}");
    }
    for target in ["/v1/%0d%0ax-injected:%20canary", "/v1/models/%0d%0ax-injected:%20canary", "/v1/\u{9b}31m\u{85}"] {
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = harness::raw::raw(gateway.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains("\r\nx-injected"), "{answer}");
    }
    assert_eq!(gateway.post("/v1/chat/completions", chat("m", false)).await.status, 200);
    let said = gateway.said();
    assert!(said.contains("/v1/chat/completions"));
    for line in said.lines() {
        assert!(!line.chars().any(|c| c.is_control() && c != '\t' || "\u{2028}\u{2029}".contains(c)), "{line:?}");
        assert!(!line.trim_start().starts_with("x-injected"), "{line:?}");
    }
}
