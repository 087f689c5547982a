//! Which tools a model calls.

use fastrand::Rng;
use llm_core::{Chat, Function, Part, PartContent, Role, ToolChoice, ToolKind};
use serde::Deserialize;

/// The most calls in one answer.
const MOST_CALLS: usize = 8;

/// The functions to call, in the order in which they are offered; none when the answer is text.
///
/// When the choice is the model's (`auto`), it calls whatever the last user turn names, or else any one function;
/// and once a tool has answered, it answers too. Tools that are no functions are never called.
pub(super) fn to_call<'a>(chat: &'a Chat, rng: &mut Rng) -> Vec<&'a Function> {
    let offered = chat.tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Function(function) => Some(function),
        ToolKind::Other(_) => None,
    });
    let mut functions: Vec<_> = offered.collect();
    let must_call = match &chat.tool_choice {
        Some(ToolChoice::None) => return Vec::new(),
        Some(ToolChoice::Function(name)) => {
            functions.retain(|function| function.name == *name);
            true
        }
        Some(ToolChoice::Required) => true,
        Some(ToolChoice::Other(choice)) => match choice.parse::<AllowedTools>() {
            Ok(AllowedTools { allowed_tools }) => {
                functions.retain(|function| allowed_tools.tools.iter().any(|tool| tool.function.name == function.name));
                allowed_tools.mode == "required"
            }
            Err(_) => return Vec::new(),
        },
        Some(ToolChoice::Auto) | None => false,
    };
    if !must_call && has_results(chat) {
        return Vec::new();
    }
    let said = last_user_text(chat);
    let named: Vec<_> = functions.iter().copied().filter(|function| is_named(&function.name, &said)).collect();
    let mut calls = if named.is_empty() { rng.choice(functions).into_iter().collect() } else { named };
    calls.truncate(if chat.parallel_tool_calls == Some(false) { 1 } else { MOST_CALLS });
    calls
}

/// OpenAI's choice among some of the tools.
#[derive(Deserialize)]
struct AllowedTools {
    allowed_tools: Allowed,
}

#[derive(Deserialize)]
struct Allowed {
    mode: String,
    tools: Vec<AllowedTool>,
}

#[derive(Deserialize)]
struct AllowedTool {
    function: Name,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Whether a tool has answered since the user last spoke.
fn has_results(chat: &Chat) -> bool {
    let since_user = chat.messages.iter().rev().take_while(|message| {
        let is_result = |part: &Part| matches!(part.content, PartContent::ToolResult(_));
        // In some dialects a result is part of a user turn.
        message.role != Role::User || message.parts.iter().any(is_result)
    });
    since_user.flat_map(|message| &message.parts).any(|part| matches!(part.content, PartContent::ToolResult(_)))
}

fn last_user_text(chat: &Chat) -> String {
    // In some dialects a user turn may hold nothing but results.
    let mut turns = chat.messages.iter().rev().filter(|message| message.role == Role::User);
    let last = turns.find_map(|message| {
        let texts: Vec<_> = message.parts.iter().filter_map(Part::as_text).collect();
        (!texts.is_empty()).then(|| texts.join(" ").to_lowercase())
    });
    last.unwrap_or_default()
}

/// Whether a word of the function's name is said. Words of one or two letters (`is`, `to`) and `get` say nothing.
fn is_named(name: &str, said: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.split(|char: char| !char.is_alphanumeric()).filter(|word| word.len() > 2 && *word != "get");
    words.any(|word| said.split(|char: char| !char.is_alphanumeric()).any(|spoken| spoken == word))
}
