//! The list of models, both ways.

use bytes::{Bytes, BytesMut};
use llm_core::Error;

use crate::{ModelInfo, json::ObjectWriter, models::decode_list};

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
/// The provider's own error if the body is one, else [`ErrorKind::Undecodable`](llm_core::ErrorKind::Undecodable).
pub fn decode_models(body: &[u8]) -> Result<Vec<ModelInfo>, Error> {
    decode_list(body, |id, model| {
        let created = model.take("created").and_then(|value| value.at_least(0).ok()).unwrap_or_default();
        let owned_by = model.take("owned_by").and_then(|value| value.string().ok()).unwrap_or_default().into_owned();
        ModelInfo { id, created, owned_by }
    })
}

#[cfg(test)]
mod tests {
    use llm_core::ErrorKind;

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
