//! Models as lists of them show them, in any dialect.

use llm_core::{Error, ErrorKind};

use crate::json::{Object, document};

/// The most models of a list. The largest marketplaces have several hundred.
const MAX_MODELS: usize = 10_000;

/// A model as the list of models shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name in requests.
    pub id: String,
    /// When it came out, in seconds since 1970; 0 if unknown.
    pub created: u64,
    /// Who runs it; empty if unknown.
    pub owned_by: String,
}

/// Reads the `data` of a list of models, each with `read`, which gets its fields without the `id`.
pub(crate) fn decode_list(
    body: &[u8],
    read: impl Fn(String, &mut Object<'_, '_>) -> ModelInfo,
) -> Result<Vec<ModelInfo>, Error> {
    let document = document(body, ErrorKind::Undecodable)?;
    let mut root = document.object()?;
    if root.get("data").is_none()
        && let Some(error) = crate::error::decode_in_band(body)
    {
        return Err(error);
    }
    root.required("data")?.list(MAX_MODELS, |model| {
        let mut model = model.object()?;
        let id = model.required("id")?.string()?.into_owned();
        Ok(read(id, &mut model))
    })
}
