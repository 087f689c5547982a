//! Anthropic's dialect.

use llm_wire::anthropic::{self, StreamDecoder, StreamEncoder};

use super::Dialect;
use crate::canned::{EVENTS, MODEL, prose, quoted, turns, words};

pub(super) const DIALECT: Dialect = Dialect {
    name: "anthropic",
    decode_request: anthropic::decode_messages,
    encode_request: anthropic::encode_request,
    decode_answer: anthropic::decode_answer,
    encode_answer: anthropic::encode_answer,
    frame_decoder: || {
        let mut decoder = StreamDecoder::new();
        Box::new(move |frame| decoder.decode(frame))
    },
    frame_encoder: |head, request| {
        let mut encoder = StreamEncoder::new(head, request);
        Box::new(move |frame, out| encoder.encode(frame, out))
    },
    request,
    answer,
    stream,
};

fn request(bytes: usize) -> String {
    let roles = ["user", "assistant"].into_iter().cycle();
    let turn = |(text, role): (String, &str)| format!(r#"{{"role":"{role}","content":{}}}"#, quoted(&text));
    let turns: Vec<String> = turns(bytes.saturating_sub(440) * 15 / 16).into_iter().zip(roles).map(turn).collect();
    let tool = r#"{"name":"look_up","description":"Looks a word up.","input_schema":{"type":"object","properties":{"word":{"type":"string"},"language":{"type":"string","enum":["en","de","fr"]}},"required":["word"]}}"#;
    format!(
        r#"{{"model":"{MODEL}","max_tokens":8192,"system":"You answer in few words.","messages":[{}],"tools":[{tool}],"tool_choice":{{"type":"auto"}},"temperature":0.7,"stream":true,"metadata":{{"user_id":"bench"}}}}"#,
        turns.join(",")
    )
}

fn answer(bytes: usize) -> String {
    let text = quoted(&prose(bytes.saturating_sub(330) * 31 / 32));
    format!(
        r#"{{"id":"msg_bench","type":"message","role":"assistant","model":"{MODEL}","content":[{{"type":"text","text":{text}}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":100,"service_tier":"standard"}}}}"#
    )
}

fn stream() -> Vec<String> {
    let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
    let delta = |word: String| {
        event("content_block_delta", &format!(r#","index":0,"delta":{{"type":"text_delta","text":{}}}"#, quoted(&word)))
    };
    let start = format!(
        r#","message":{{"id":"msg_bench","type":"message","role":"assistant","model":"{MODEL}","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}}"#
    );
    let mut events = vec![
        event("message_start", &start),
        event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
    ];
    events.extend(words().take(EVENTS - 5).map(delta));
    events.push(event("content_block_stop", r#","index":0"#));
    let end = r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":100}"#;
    events.push(event("message_delta", end));
    events.push(event("message_stop", ""));
    events
}
