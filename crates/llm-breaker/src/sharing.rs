//! Which targets share a circuit.

use std::sync::Arc;

use llm_core::TargetRef;

/// Lets targets share a circuit.
///
/// Every target has a circuit of its own, unless one is found here. Where callers may name models that nobody has listed,
/// let those share one: or callers make up circuits, and with enough of them take the room of those that matter.
///
/// ```
/// use llm_breaker::{BreakerLayer, Sharing};
/// use llm_core::TargetRef;
///
/// /// Dated names of a model are one model to us.
/// struct Dated;
///
/// impl Sharing for Dated {
///     fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str> {
///         target.model.starts_with("gpt-4o-2024-").then_some("gpt-4o-2024-*")
///     }
/// }
///
/// let layer = BreakerLayer::new().sharing(Dated);
/// # let _ = layer;
/// ```
pub trait Sharing: Send + Sync {
    /// The name, in place of the model's, of the circuit that `target` shares with other targets of the same provider
    /// and key; `None` if it has its own.
    ///
    /// A shared circuit goes by the rules for this name, and by its provider's where there are none. It does not open
    /// because the provider knows no such model, nor cool because it throttles one: that says nothing of the others. A
    /// model that the [rules](crate::BreakerLayer::rules) name has a circuit of its own all the same.
    fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str>;
}

impl<T: Sharing + ?Sized> Sharing for Arc<T> {
    fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str> {
        (**self).shared_by(target)
    }
}
