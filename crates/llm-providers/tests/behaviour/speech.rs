//! One answer in each dialect that providers speak, for claims that hold in all of them.

use llm_core::Dialect;
use llm_providers::{Key, ProviderLayer};

/// An answer that says "Grüezi" and reports 9 tokens in and 3 out, as the dialect writes it.
#[derive(Debug)]
pub(crate) struct Speech {
    pub(crate) dialect: Dialect,
    /// The frames of the stream up to the first content.
    pub(crate) first: &'static [&'static str],
    /// A frame without content, as it comes while the model thinks.
    pub(crate) quiet: &'static str,
    /// The second and last content.
    pub(crate) second: &'static str,
    /// From there up to the finish reason.
    pub(crate) finish: &'static [&'static str],
    /// From there to the end.
    pub(crate) rest: &'static [&'static str],
    /// A frame that says that the provider is overloaded.
    pub(crate) overloaded: &'static str,
    /// The same answer whole, with the id `a1` and the model `small-1`.
    pub(crate) whole: &'static str,
    /// In place of an answer: there were too many requests.
    pub(crate) throttled: &'static str,
    /// The header with the id of the request, and the one with the requests that are left.
    pub(crate) headers: (&'static str, &'static str),
}

pub(crate) const OPENAI: Speech = Speech {
    dialect: Dialect::OpenAi,
    first: &[
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Gr\u{fc}\"}}]}\n\n",
    ],
    quiet: ": OPENROUTER PROCESSING\n\n",
    second: "data:{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ezi\"},\"odd\":1.50}]}\n\n",
    finish: &["data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"],
    rest: &[
        "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n",
        "data: [DONE]\n\n",
    ],
    overloaded: "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":503}}\n\n",
    whole: r#"{"id":"a1","object":"chat.completion","created":7,"model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"Grüezi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#,
    throttled: r#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#,
    headers: ("x-request-id", "x-ratelimit-remaining-requests"),
};

pub(crate) const ANTHROPIC: Speech = Speech {
    dialect: Dialect::Anthropic,
    first: &[
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Gr\u{fc}\"}       }\n\n",
    ],
    quiet: "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    second: "event:content_block_delta\ndata:{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ezi\"},\"odd\":1.50}\n\n",
    finish: &[
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":3}}\n\n",
    ],
    rest: &["event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"],
    overloaded: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}\n\n",
    whole: r#"{"id":"a1","type":"message","role":"assistant","model":"small-1","content":[{"type":"text","text":"Grüezi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}"#,
    throttled: r#"{"type":"error","error":{"type":"rate_limit_error","message":"Rate limit reached"},"request_id":"req_1"}"#,
    headers: ("request-id", "anthropic-ratelimit-requests-remaining"),
};

pub(crate) const ALL: [Speech; 2] = [OPENAI, ANTHROPIC];

impl Speech {
    /// All frames of the stream.
    pub(crate) fn frames(&self) -> Vec<&'static str> {
        [self.first, &[self.quiet, self.second], self.finish, self.rest].concat()
    }

    /// The frames with content.
    pub(crate) fn content(&self) -> Vec<&'static str> {
        [self.first, &[self.second]].concat()
    }

    /// The provider `p` with the key `a`.
    pub(crate) fn layer(&self) -> ProviderLayer {
        let base_url = "https://p.example/v1".parse().unwrap();
        let layer = match self.dialect {
            Dialect::OpenAi => ProviderLayer::openai("p", base_url),
            Dialect::Anthropic => ProviderLayer::anthropic("p", base_url),
        };
        layer.key(Key::new("a", &"sk-canary".into()).unwrap())
    }
}
