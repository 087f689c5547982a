//! The list of models, and which door answers what path.

#![allow(clippy::unwrap_used)]

mod scripted;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use llm_serve::{ModelInfo, ModelList, Models, OpenAiDoor};
use scripted::{CHAT, assert_refused, post, read, says, unreached};
use tower::ServiceExt;

fn model(id: &str) -> ModelInfo {
    ModelInfo { id: id.to_owned(), created: 1_700_000_000, owned_by: "acme".to_owned() }
}

fn list() -> ModelList {
    ModelList::from_iter([model("small"), model("org/large"), model("größe")])
}

fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::default()).unwrap()
}

async fn get(path: &str) -> serde_json::Value {
    let door = OpenAiDoor::new(unreached(), list());
    let (status, headers, body) = read(door.oneshot(request("GET", path)).await.unwrap()).await;
    assert_eq!(status, 200, "{path}");
    assert_eq!(headers["content-type"], "application/json");
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn all_models_are_listed() {
    for path in ["/v1/models", "/models", "/v1/models/", "/v1/models?limit=1"] {
        let listed = get(path).await;
        assert_eq!(listed["object"], "list");
        let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
        assert_eq!(ids, ["small", "org/large", "größe"]);
    }
}

#[tokio::test]
async fn one_model_is_found_by_its_id_however_it_is_spelled() {
    let spellings = [
        ("/v1/models/small", "small"),
        ("/v1/models/org/large", "org/large"),
        ("/v1/models/org%2Flarge", "org/large"),
        ("/v1/models/gr%C3%B6%C3%9Fe", "größe"),
    ];
    for (path, id) in spellings {
        let found = get(path).await;
        assert_eq!(found["id"], id);
        assert_eq!(found["object"], "model");
    }
}

#[tokio::test]
async fn an_unknown_model_is_a_404_of_the_dialect() {
    for path in ["/v1/models/none", "/v1/models/%FF%00", "/v1/models/org"] {
        let response = OpenAiDoor::new(unreached(), list()).oneshot(request("GET", path)).await.unwrap();
        let (headers, error) = assert_refused(response, 404).await;
        assert_eq!(headers["x-llm-error-kind"], "unknown_model");
        assert_eq!(error["code"], "model_not_found");
    }
}

#[tokio::test]
async fn the_door_of_its_own_answers_wherever_it_is_mounted() {
    for path in ["/v1/models/small", "/models/small", "/small", "/v1/models/small/"] {
        let (status, _, _) = read(Models::new(list()).oneshot(request("GET", path)).await.unwrap()).await;
        assert_eq!(status, 200, "{path}");
    }
}

#[tokio::test]
async fn models_are_only_read() {
    for path in ["/v1/models", "/v1/models/small"] {
        let response = OpenAiDoor::new(unreached(), list()).oneshot(request("POST", path)).await.unwrap();
        let (headers, _) = assert_refused(response, 405).await;
        assert_eq!(headers["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn a_replaced_list_is_seen_by_open_doors() {
    let models = list();
    let door = OpenAiDoor::new(unreached(), models.clone());
    models.replace([model("new")]);
    let response = door.clone().oneshot(request("GET", "/v1/models/small")).await.unwrap();
    assert_refused(response, 404).await;
    assert_eq!(door.oneshot(request("GET", "/v1/models/new")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn calls_find_their_door() {
    let door = OpenAiDoor::new(says("ok"), list());
    for path in ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/", "/v1/chat/completions?x=1"] {
        assert_eq!(door.clone().oneshot(post(path, CHAT)).await.unwrap().status(), 200, "{path}");
    }
    let (status, _, body) =
        read(door.oneshot(post("/v1/embeddings", r#"{"model":"m","input":["a"]}"#)).await.unwrap()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}

#[tokio::test]
async fn any_other_path_is_a_404_of_the_dialect() {
    for path in ["/", "/v1", "/v1/", "/v2/models", "/v1/modelsx", "/v1/completions", "/v1//chat/completions", "/v1/%2e"]
    {
        let response = OpenAiDoor::new(unreached(), list()).oneshot(post(path, CHAT)).await.unwrap();
        let (headers, error) = assert_refused(response, 404).await;
        assert_eq!(headers["x-should-retry"], "false");
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn a_call_with_get_is_refused_with_the_right_method() {
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        let response = OpenAiDoor::new(unreached(), list()).oneshot(request("GET", path)).await.unwrap();
        let (headers, _) = assert_refused(response, 405).await;
        assert_eq!(headers["allow"], "POST");
    }
}
