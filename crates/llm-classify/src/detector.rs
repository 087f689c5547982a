//! What in a text must not leave the house.

use std::fmt;

/// Finds what makes a text sensitive. The extension point for detectors of one's own.
///
/// It is shown each text of a request by itself. If it panics, the request counts as sensitive.
pub trait Detector: fmt::Debug + Send + Sync {
    /// The first sensitive thing in `text`, if there is one. Must not block.
    fn find(&self, text: &str) -> Option<Finding>;
}

/// Something sensitive: what it is, never what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What was found, such as `email`. The names are the detector's and stable. They are logged and label a count.
    pub kind: &'static str,
}
