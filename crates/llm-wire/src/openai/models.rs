//! The list of models, both ways.

use bytes::{Bytes, BytesMut};
use llm_core::{Error, ErrorKind};

use crate::{
    json::{ObjectWriter, Value, document},
    limits::MAX_MODELS,
};

/// A model as the list of models shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name in requests.
    pub id: String,
    /// When it came out, in seconds since 1970; 0 if unknown.
    pub created: u64,
    /// Who runs it.
    pub owned_by: String,
}

/// The list of `models`.
pub fn encode_models(models: &[ModelInfo]) -> Bytes {
    let mut out = BytesMut::new();
    let mut list = ObjectWriter::begin(&mut out);
    list.field("object", "list");
    let mut data = list.array("data");
    for model in models {
        write_model(model, data.object());
    }
    data.end();
    list.end();
    out.freeze()
}

/// One model.
pub fn encode_model(model: &ModelInfo) -> Bytes {
    let mut out = BytesMut::new();
    write_model(model, ObjectWriter::begin(&mut out));
    out.freeze()
}

fn write_model(model: &ModelInfo, mut object: ObjectWriter<'_>) {
    object.field("id", &model.id);
    object.field("object", "model");
    object.field("created", &model.created);
    object.field("owned_by", &model.owned_by);
    object.end();
}

/// Reads a list of models. What compatible servers leave out is empty or 0.
///
/// # Errors
/// The provider's own error if the body is one, else [`ErrorKind::Undecodable`].
pub fn decode_models(body: &[u8]) -> Result<Vec<ModelInfo>, Error> {
    let document = document(body, ErrorKind::Undecodable)?;
    let mut root = document.object()?;
    if root.get("data").is_none()
        && let Some(error) = crate::error::decode_in_band(body)
    {
        return Err(error);
    }
    let data = root.required("data")?;
    data.list(MAX_MODELS, |model| read_model(&model))
}

fn read_model(value: &Value<'_, '_>) -> Result<ModelInfo, Error> {
    let mut object = value.object()?;
    let created = object.take("created").and_then(|value| value.at_least(0).ok());
    let owned_by = object.take("owned_by").and_then(|value| value.string().ok());
    Ok(ModelInfo {
        id: object.required("id")?.string()?.into_owned(),
        created: created.unwrap_or_default(),
        owned_by: owned_by.unwrap_or_default().into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let models = ["small", "large \"2\""].map(|id| ModelInfo { id: id.into(), created: 7, owned_by: "us".into() });
        assert_eq!(decode_models(&encode_models(&models)).unwrap(), models);
        let one: serde_json::Value = serde_json::from_slice(&encode_model(&models[0])).unwrap();
        assert_eq!(one, serde_json::json!({"id": "small", "object": "model", "created": 7, "owned_by": "us"}));
    }

    #[test]
    fn what_servers_leave_out_is_no_reason_to_fail() {
        let models = decode_models(br#"{"data":[{"id":"m","created":null}]}"#).unwrap();
        assert_eq!(models, [ModelInfo { id: "m".into(), created: 0, owned_by: String::new() }]);
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        let error = decode_models(br#"{"error":{"message":"no","type":"server_error","code":null}}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        assert_eq!(decode_models(b"[]").unwrap_err().kind(), ErrorKind::Undecodable);
    }
}
