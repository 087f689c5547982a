//! Why an answer ended, by its names in this dialect.

use llm_core::FinishReason;

/// Reads a finish reason. Some servers say `stop`, or nothing, when they mean tool calls: what counts is whether there
/// were any.
pub(crate) fn decode_finish(name: &str, has_tool_calls: bool) -> Option<FinishReason> {
    Some(match name {
        "" | "stop" if has_tool_calls => FinishReason::ToolCalls,
        "" => return None,
        "stop" => FinishReason::Stop,
        "length" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "error" | "insufficient_system_resource" => FinishReason::Error,
        other => FinishReason::Other(other.into()),
    })
}

pub(crate) fn encode_finish(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Error => "error",
        FinishReason::Other(name) => name,
    }
}
