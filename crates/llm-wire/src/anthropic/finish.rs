//! Why an answer ended, by its names in this dialect.

use llm_core::FinishReason;

/// The reason that goes with a `stop_sequence`.
pub(super) const STOP_SEQUENCE: &str = "stop_sequence";

pub(super) fn decode_finish(name: &str) -> Option<FinishReason> {
    Some(match name {
        "" => return None,
        "end_turn" | STOP_SEQUENCE => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.into()),
    })
}

pub(super) fn encode_finish(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
        FinishReason::Error => "error",
        FinishReason::Other(name) => name,
    }
}
