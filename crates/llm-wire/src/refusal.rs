//! What a provider cannot be told.

use llm_core::{Detail, Error};

/// The error about the field of this name, which cannot be sent as it is.
pub(crate) fn refuse(field: impl Into<String>, what: &str) -> Error {
    let field = field.into();
    Error::invalid_request(format!("{field}: this provider does not take {what}"))
        .with_detail(Detail { param: Some(field), ..Detail::default() })
}
