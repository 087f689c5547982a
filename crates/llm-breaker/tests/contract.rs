//! The laws of all layers. The crate has no layer yet, only the rules that it will open circuits by.
