//! Thinking that nobody signed.

use memchr::memmem;

/// What stands in the place of a signature where a model of another dialect thought: readers want one, and it tells us
/// later that no provider will know this thinking as its own. It is base64, like the real ones, of "unsigned".
pub(super) const UNSIGNED: &str = "dW5zaWduZWQ=";

/// The signature, if a provider gave one.
pub(super) fn given<T: AsRef<str>>(signature: T) -> Option<T> {
    Some(signature).filter(|signature| !signature.as_ref().is_empty() && signature.as_ref() != UNSIGNED)
}

/// Whether a request may hold thinking that we handed out without a signature. Then it is not sent as it is, because
/// the provider would refuse it.
pub(super) fn may_hold_unsigned(body: &[u8]) -> bool {
    memmem::find(body, UNSIGNED.as_bytes()).is_some()
}
