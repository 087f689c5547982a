//! The same conversation, the same target.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use llm_core::{Chat, EmbedInput, LlmRequest, Message, PartContent, Payload, ToolKind};

use super::{Asked, Choice, Rank};

/// The same in every process, so that all replicas of a service have the same favourite.
const SEED: u64 = 0x6c6c_6d2d_726f_7574;

/// So many bytes of the instructions and tools count. Conversations that begin with the same 4 KB have the same
/// favourite, and hashing takes no longer for a system prompt that is a book.
const INSTRUCTIONS: usize = 4096;

/// So many bytes of the first message count.
const FIRST_MESSAGE: usize = 1024;

/// A favourite is left while it has more than so many times the mean of the calls under way.
const OVER_THE_MEAN: f64 = 1.25;

/// A favourite with no more calls under way than this is not left: so few are no burden to any target, and with hardly
/// any calls at all the second one of a conversation would be above the mean already.
const NO_BURDEN: usize = 4;

/// A favourite is left while more than this share of its calls fail.
const FAILING: f32 = 0.5;

/// The target that a conversation's beginning names, so that a provider's prompt cache has it.
///
/// The beginning is the tenant, the instructions, the tools, and the first message, which later turns of a conversation
/// have in common. Each target has a number for each beginning, and the highest is the favourite (rendezvous hashing:
/// Thaler and Ravishankar, 1998), so a target that comes or goes takes only its own conversations with it. When it has
/// too much to do or fails, the next highest of those that do not is chosen, as in Mirrokni, Thorup and Zadimoghaddam,
/// "Consistent Hashing with Bounded Loads" (2016).
#[derive(Clone, Copy, Debug)]
pub(super) struct Affinity;

impl Rank for Affinity {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        if choices.len() < 2 {
            return 0;
        }
        let beginning = beginning(asked.request);
        let all: usize = choices.iter().map(|choice| choice.candidate.in_flight()).sum();
        let most = (all as f64 / choices.len() as f64 * OVER_THE_MEAN).max(NO_BURDEN as f64);
        super::score::lowest(asked.random, choices, |choice| {
            let candidate = choice.candidate;
            let is_failing = candidate.stats().at(asked.now).repute().failing > FAILING;
            (is_failing, candidate.in_flight() as f64 > most, distance(beginning, choice))
        })
    }
}

/// How far a target is from being the favourite. Of two of which one has twice the weight of the other, it is closer
/// twice as often.
fn distance(beginning: u64, choice: &Choice<'_>) -> f64 {
    let hash = FixedState::with_seed(beginning).hash_one(choice.candidate.target().names());
    // Above zero and at most one.
    let unit = ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    if choice.weight > 0.0 { -unit.ln() / choice.weight } else { -unit.ln() }
}

/// What later turns of a conversation have in common.
fn beginning(request: &LlmRequest) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    request.context().caller().tenant.hash(&mut hasher);
    match request.payload() {
        Payload::Chat(chat) | Payload::CountTokens(chat) => of_chat(chat, &mut hasher),
        Payload::Embed(embed) => {
            let mut beginning = Beginning { hasher: &mut hasher, left: FIRST_MESSAGE };
            match embed.input.first() {
                Some(EmbedInput::Text(text)) => beginning.text(text),
                Some(EmbedInput::Tokens(tokens)) => tokens[..tokens.len().min(FIRST_MESSAGE / 4)].hash(&mut hasher),
                None => {}
            }
        }
    }
    hasher.finish()
}

fn of_chat(chat: &Chat, hasher: &mut impl Hasher) {
    let mut instructions = Beginning { hasher, left: INSTRUCTIONS };
    chat.system.iter().for_each(|message| instructions.message(message));
    for tool in &chat.tools {
        match &tool.kind {
            ToolKind::Function(function) => {
                instructions.text(&function.name);
                instructions.text(function.description.as_deref().unwrap_or_default());
                instructions.text(function.parameters.as_ref().map_or("", |schema| schema.get()));
            }
            ToolKind::Other(other) => instructions.text(other.json.get()),
        }
    }
    let mut first = Beginning { hasher, left: FIRST_MESSAGE };
    chat.messages.iter().take(1).for_each(|message| first.message(message));
}

/// Takes in texts until so many bytes are used up.
struct Beginning<'h, H> {
    hasher: &'h mut H,
    left: usize,
}

impl<H: Hasher> Beginning<'_, H> {
    fn message(&mut self, message: &Message) {
        for part in &message.parts {
            if self.left == 0 {
                return;
            }
            match &part.content {
                PartContent::Text(text) | PartContent::Refusal(text) => self.text(text),
                PartContent::Other(other) => self.text(other.json.get()),
                PartContent::Image(_) | PartContent::Audio(_) | PartContent::File(_) => {}
                PartContent::Reasoning(_) | PartContent::ToolCall(_) | PartContent::ToolResult(_) => {}
            }
        }
    }

    fn text(&mut self, text: &str) {
        let taken = &text.as_bytes()[..text.len().min(self.left)];
        // With its length, so that the end of a text and the beginning of the next are told apart.
        taken.hash(self.hasher);
        self.left -= taken.len();
    }
}

#[cfg(test)]
#[path = "affinity_tests.rs"]
mod tests;
