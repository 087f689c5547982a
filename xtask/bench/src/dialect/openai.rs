//! OpenAI's dialect.

use llm_wire::openai::{self, StreamDecoder, StreamEncoder};

use super::Dialect;
use crate::canned::{MODEL, prose, quoted, turns, words};

pub(super) const DIALECT: Dialect = Dialect {
    name: "openai",
    decode_request: openai::decode_chat,
    encode_request: openai::encode_request,
    decode_answer: openai::decode_chat_answer,
    encode_answer: openai::encode_answer,
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

/// What a request has besides its turns.
const AROUND_TURNS: usize = 580;

fn request(bytes: usize) -> String {
    let roles = ["user", "assistant"].into_iter().cycle();
    let turn = |(text, role): (String, &str)| format!(r#"{{"role":"{role}","content":{}}}"#, quoted(&text));
    let turns: Vec<String> =
        turns(bytes.saturating_sub(AROUND_TURNS) * 15 / 16).into_iter().zip(roles).map(turn).collect();
    let tool = r#"{"type":"function","function":{"name":"look_up","description":"Looks a word up.","parameters":{"type":"object","properties":{"word":{"type":"string"},"language":{"type":"string","enum":["en","de","fr"]}},"required":["word"]},"strict":true}}"#;
    format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"system","content":"You answer in few words."}},{}],"tools":[{tool}],"tool_choice":"auto","temperature":0.7,"max_completion_tokens":8192,"stream":true,"stream_options":{{"include_usage":true}},"user":"bench"}}"#,
        turns.join(",")
    )
}

fn answer(bytes: usize) -> String {
    let text = quoted(&prose(bytes.saturating_sub(480) * 31 / 32));
    format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1750000000,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
    )
}

fn stream() -> Vec<String> {
    let chunk = |rest: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\
             \"model\":\"{MODEL}\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\",{rest}}}\n\n"
        )
    };
    let delta = |delta: &str, finish: &str| {
        chunk(&format!(
            r#""choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":null"#
        ))
    };
    let mut events = vec![delta(r#"{"role":"assistant","content":"","refusal":null}"#, "null")];
    events.extend(words().map(|word| delta(&format!(r#"{{"content":{}}}"#, quoted(&word)), "null")));
    events.push(delta("{}", r#""stop""#));
    events.push(chunk(r#""choices":[],"usage":{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112}"#));
    events.push("data: [DONE]\n\n".to_owned());
    events
}
