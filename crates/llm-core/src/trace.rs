//! The caller's place in a distributed trace.

use std::fmt;

use http::HeaderValue;

/// The `traceparent` of the caller. A front door leaves it in the request's
/// [extensions](crate::LlmRequest::extensions) for whoever records spans; it is not sent on to providers.
///
/// Only a well-formed one is kept, as W3C Trace Context asks. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceParent(HeaderValue);

impl TraceParent {
    /// Takes a header's value if it is well formed: version, trace id, parent id and flags in lowercase hexadecimal,
    /// neither id zero. Later versions may add fields.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        const LENGTH: usize = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".len();
        // Longer than any version is expected to be; it is copied along with the request.
        const LONGEST: usize = 256;
        let text = value.to_str().ok().filter(|text| (LENGTH..=LONGEST).contains(&text.len()))?;
        let mut fields = text.split('-');
        let mut field = |length: usize| {
            fields.next().filter(|field| {
                field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        let is_nonzero = |field: &&str| field.bytes().any(|byte| byte != b'0');
        let version = field(2).filter(|version| *version != "ff")?;
        field(32).filter(is_nonzero)?;
        field(16).filter(is_nonzero)?;
        field(2)?;
        (version != "00" || text.len() == LENGTH).then(|| Self(value.clone()))
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.0.to_str().ok().and_then(|text| text.get(3..35)).expect("the constructor has checked it")
    }

    /// The header's value.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceParent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_parent_is_kept() {
        let parse = |text: &'static str| TraceParent::parse(&HeaderValue::from_static(text));
        let parent = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for broken in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert!(parse(broken).is_none(), "{broken}");
        }
    }
}
