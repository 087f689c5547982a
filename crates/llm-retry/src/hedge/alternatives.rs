//! Where a second attempt may go instead.

use llm_core::{Context, Sensitivity, Target};

/// Names another key or replica of a target, for the second attempt beside a late one. Closures do.
///
/// ```
/// use llm_core::Target;
/// use llm_retry::hedge::HedgeLayer;
///
/// let second_key = |target: &Target| (target.key() == Some("first")).then(|| target.clone().with_key("second"));
/// let layer = HedgeLayer::new().alternatives(second_key);
/// # let _ = layer;
/// ```
pub trait Alternatives: Send + Sync {
    /// What answers as `target` does; `None` to ask that one again. Must not block.
    fn beside(&self, target: &Target) -> Option<Target>;
}

impl<F> Alternatives for F
where
    F: Fn(&Target) -> Option<Target> + Send + Sync,
{
    fn beside(&self, target: &Target) -> Option<Target> {
        self(target)
    }
}

/// Whether the call may go from `target` to `other`: one that may not leave the house stays with whom it was given to.
pub(super) fn may_go(context: &Context, target: &Target, other: &Target) -> bool {
    match context.sensitivity() {
        Sensitivity::Normal => true,
        Sensitivity::Sensitive => other.provider() == target.provider() && other.model() == target.model(),
    }
}
