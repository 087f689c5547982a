//! Where a JSON value ends that comes in pieces.

/// Follows one JSON object or list from its first byte to its last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonExtent {
    depth: u32,
    has_begun: bool,
    is_in_string: bool,
    is_escaped: bool,
}

impl JsonExtent {
    /// Takes in the next piece, wherever it was cut.
    pub(super) fn add(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.is_in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.is_in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => {
                    self.has_begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether every bracket that was opened is closed, and one was opened.
    pub(super) fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.is_in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_with_its_last_byte_wherever_it_is_cut() {
        let text = r#"{"a":"}\"]","b":[{"c":"\\"},[]]}"#;
        for cut in 0..=text.len() {
            let mut extent = JsonExtent::default();
            extent.add(&text[..cut]);
            assert_eq!(extent.is_whole(), cut == text.len(), "{cut}");
            extent.add(&text[cut..]);
            assert!(extent.is_whole());
        }
    }

    #[test]
    fn nothing_is_not_whole() {
        let mut extent = JsonExtent::default();
        extent.add(" ");
        assert!(!extent.is_whole());
    }
}
