//! A prompt as blocks in the order in which a cache reads them: tools, instructions, messages.

use llm_core::{
    CacheTtl, Chat, Json, Message, Part, PartContent, Payload, TokenFamily, Tool, ToolKind, estimate_prompt,
};
use serde::Deserialize;

use crate::seed::Seed;

/// The blocks of a prompt that has marks.
pub(super) struct Blocks<'a> {
    chat: &'a Chat,
    family: TokenFamily,
    /// Of the prompt up to and including each block.
    hashes: Vec<u64>,
    /// In their order: the block that has one, and for how long.
    marks: Vec<(usize, CacheTtl)>,
}

/// A mark, and what it is on.
pub(super) struct Mark {
    /// The block, from 0.
    pub(super) at: usize,
    pub(super) ttl: CacheTtl,
    /// The tokens of the prompt up to there.
    pub(super) tokens: u64,
}

/// How many marks there are, for whatever a cache makes of them.
pub(crate) fn marks(chat: &Chat) -> usize {
    let tools = chat.tools.iter().filter(|tool| of_tool(tool).is_some()).count();
    let parts = chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts);
    tools + parts.map(|part| of_part(part).count()).sum::<usize>() + usize::from(of_all(chat).is_some())
}

impl<'a> Blocks<'a> {
    /// `None` if nothing is marked.
    pub(super) fn of(model: &str, chat: &'a Chat) -> Option<Self> {
        if marks(chat) == 0 {
            return None;
        }
        let mut blocks = Self { chat, family: TokenFamily::of(model), hashes: Vec::new(), marks: Vec::new() };
        let mut hash = Seed::new(0);
        for tool in &chat.tools {
            hash.feed_tool(tool);
            blocks.push(&hash, of_tool(tool));
        }
        for message in chat.system.iter().chain(&chat.messages) {
            for part in &message.parts {
                hash.feed_part(message.role, &part.content);
                blocks.push(&hash, of_part(part).last());
            }
        }
        // A mark on the request as a whole is one on its last block.
        let last = blocks.hashes.len().checked_sub(1)?;
        blocks.marks.extend(of_all(chat).map(|ttl| (last, ttl)));
        Some(blocks)
    }

    fn push(&mut self, hash: &Seed, mark: Option<CacheTtl>) {
        self.marks.extend(mark.map(|ttl| (self.hashes.len(), ttl)));
        self.hashes.push(hash.number());
    }

    pub(super) fn hash(&self, at: usize) -> u64 {
        self.hashes[at]
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.marks.iter().map(|(at, ttl)| Mark { at: *at, ttl: *ttl, tokens: self.tokens(*at) })
    }

    /// The tokens of the prompt up to and including a block.
    pub(super) fn tokens(&self, at: usize) -> u64 {
        let mut left = at + 1;
        let tools = self.chat.tools.iter().take(left).cloned().collect::<Vec<_>>();
        left -= tools.len();
        let system = beginning(&self.chat.system, &mut left);
        let messages = beginning(&self.chat.messages, &mut left);
        let prefix = Payload::CountTokens(Chat { tools, system, messages, ..Chat::default() });
        estimate_prompt(&prefix, self.family).likely
    }
}

/// The messages up to a block of them; `left` is how many blocks there may be.
fn beginning(messages: &[Message], left: &mut usize) -> Vec<Message> {
    let mut beginning = Vec::new();
    for message in messages {
        if *left == 0 {
            break;
        }
        let parts: Vec<_> = message.parts.iter().take(*left).cloned().collect();
        *left -= parts.len();
        beginning.push(Message { name: message.name.clone(), ..Message::new(message.role, parts) });
    }
    beginning
}

fn of_tool(tool: &Tool) -> Option<CacheTtl> {
    match &tool.kind {
        ToolKind::Function(_) => tool.cache,
        ToolKind::Other(other) => tool.cache.or_else(|| in_json(&other.json)),
    }
}

/// The marks of a part, and of what is in it.
fn of_part(part: &Part) -> impl Iterator<Item = CacheTtl> {
    let (inner, json) = match &part.content {
        PartContent::ToolResult(result) => (&result.content[..], None),
        PartContent::Other(other) => (&[][..], Some(&other.json)),
        PartContent::Text(_)
        | PartContent::Reasoning(_)
        | PartContent::Refusal(_)
        | PartContent::Image(_)
        | PartContent::Audio(_)
        | PartContent::File(_)
        | PartContent::ToolCall(_) => (&[][..], None),
    };
    inner.iter().filter_map(|part| part.cache).chain(json.and_then(in_json)).chain(part.cache)
}

fn of_all(chat: &Chat) -> Option<CacheTtl> {
    mark(chat.extra.get("cache_control")?)
}

/// The mark of a block without a type of its own.
fn in_json(block: &Json) -> Option<CacheTtl> {
    #[derive(Deserialize)]
    struct Block {
        cache_control: Json,
    }
    mark(&block.parse::<Block>().ok()?.cache_control)
}

fn mark(json: &Json) -> Option<CacheTtl> {
    #[derive(Deserialize)]
    struct Mark {
        ttl: Option<String>,
    }
    match json.parse::<Mark>().ok()?.ttl.as_deref() {
        Some("1h") => Some(CacheTtl::OneHour),
        Some(_) | None => Some(CacheTtl::FiveMinutes),
    }
}
