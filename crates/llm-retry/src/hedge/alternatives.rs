//! Where a second attempt may go instead.

use llm_core::{Context, LlmRequest, Sensitivity, Target};

/// Names another key or replica of a target, for the second attempt beside a late one. Closures do.
///
/// ```
/// use llm_core::{LlmRequest, Target};
/// use llm_retry::hedge::HedgeLayer;
///
/// let second_key = |target: &Target, _: &LlmRequest| (target.key() == Some("first")).then(|| target.clone().with_key("second"));
/// let layer = HedgeLayer::new().alternatives(second_key);
/// # let _ = layer;
/// ```
pub trait Alternatives: Send + Sync {
    /// What answers as `target` does, and may be sent this request; `None` to ask that one again. Must not block.
    fn beside(&self, target: &Target, request: &LlmRequest) -> Option<Target>;
}

impl<F> Alternatives for F
where
    F: Fn(&Target, &LlmRequest) -> Option<Target> + Send + Sync,
{
    fn beside(&self, target: &Target, request: &LlmRequest) -> Option<Target> {
        self(target, request)
    }
}

/// Whether the call may go from `target` to `other`: one that may not leave the house stays with whom it was given to.
pub(super) fn may_go(context: &Context, target: &Target, other: &Target) -> bool {
    match context.sensitivity() {
        Sensitivity::Normal => true,
        Sensitivity::Sensitive => other.provider() == target.provider() && other.model() == target.model(),
    }
}
