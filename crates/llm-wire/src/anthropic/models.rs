//! The list of models, both ways.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use llm_core::Error;

use crate::{ModelInfo, json::ObjectWriter, models::decode_list};

/// A page of the list of models; `has_more` says whether others come after it.
pub fn encode_models(models: &[ModelInfo], has_more: bool) -> Bytes {
    let mut out = BytesMut::new();
    let mut list = ObjectWriter::begin(&mut out);
    let mut data = list.array("data");
    for model in models {
        write_model(model, data.object());
    }
    data.end();
    list.field("has_more", &has_more);
    list.field("first_id", &models.first().map(|model| &model.id));
    list.field("last_id", &models.last().map(|model| &model.id));
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
    let created = i64::try_from(model.created).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    object.field("type", "model");
    object.field("id", &model.id);
    object.field("display_name", &model.id);
    object.field("created_at", &created.unwrap_or(Timestamp::UNIX_EPOCH).to_string());
    object.end();
}

/// Reads a list of models, or a page of it. What compatible servers leave out is empty or 0.
///
/// # Errors
/// The provider's own error if the body is one, else [`ErrorKind::Undecodable`](llm_core::ErrorKind::Undecodable).
pub fn decode_models(body: &[u8]) -> Result<Vec<ModelInfo>, Error> {
    decode_list(body, |id, model| {
        let created = model.take("created_at").and_then(|value| value.string().ok()?.parse::<Timestamp>().ok());
        let created = created.and_then(|created| u64::try_from(created.as_second()).ok()).unwrap_or_default();
        ModelInfo { id, created, owned_by: String::new() }
    })
}

#[cfg(test)]
mod tests {
    use llm_core::ErrorKind;

    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let models =
            ["small", "large \"2\""].map(|id| ModelInfo { id: id.into(), created: 1_700_000_000, owned_by: "".into() });
        let page = encode_models(&models, true);
        assert_eq!(decode_models(&page).unwrap(), models);
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        assert_eq!((&page["first_id"], &page["last_id"]), (&"small".into(), &"large \"2\"".into()));
        assert_eq!(page["has_more"], true);
        assert_eq!(page["data"][0]["created_at"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn an_empty_list_has_no_first_and_no_last() {
        let page: serde_json::Value = serde_json::from_slice(&encode_models(&[], false)).unwrap();
        assert_eq!(page, serde_json::json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        let error =
            decode_models(br#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(decode_models(b"[]").unwrap_err().kind(), ErrorKind::Undecodable);
    }
}
