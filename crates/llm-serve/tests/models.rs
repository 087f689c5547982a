//! The list of models, and which door answers what path.

#![allow(clippy::unwrap_used)]

mod scripted;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use llm_core::{AllowedModels, BoxLlmService, Dialect, Output, Provenance, TokenCount};
use llm_serve::{Door, ModelInfo, ModelList, Models};
use scripted::{ANTHROPIC, CLIENTS, Client, OPENAI, post, read, recording, says, unreached};
use tower::ServiceExt;

fn model(id: &str) -> ModelInfo {
    ModelInfo { id: id.to_owned(), created: 1_700_000_000, owned_by: "acme".to_owned() }
}

fn list() -> ModelList {
    ModelList::from_iter([model("small"), model("org/large"), model("größe")])
}

impl Client {
    /// The door to all that clients of the dialect look for.
    fn own_door(self, service: BoxLlmService) -> Door<BoxLlmService> {
        match self.dialect {
            Dialect::OpenAi => Door::openai(service, list()),
            Dialect::Anthropic => Door::anthropic(service, list()),
        }
    }

    /// A request as the client's SDK sends it.
    fn request(self, method: &str, path: &str) -> Request<Full<Bytes>> {
        let request = Request::builder().method(method).uri(path);
        let request = match self.dialect {
            Dialect::OpenAi => request.header("authorization", "Bearer k"),
            Dialect::Anthropic => request.header("x-api-key", "k").header("anthropic-version", "2023-06-01"),
        };
        request.body(Full::default()).unwrap()
    }

    /// What the client reads at `path`, at its own door and at the one for both.
    async fn get(self, path: &str) -> serde_json::Value {
        let [own, shared] = [self.own_door(unreached()), Door::new(unreached(), list())].map(|door| async {
            let (status, headers, body) = read(door.oneshot(self.request("GET", path)).await.unwrap()).await;
            assert_eq!(status, 200, "{path}");
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(headers.contains_key("request-id"), self.dialect == Dialect::Anthropic);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        });
        let told = own.await;
        assert_eq!(told, shared.await);
        told
    }

    /// The same for what is refused there.
    async fn is_refused(self, request: Request<Full<Bytes>>, status: u16) -> (http::HeaderMap, serde_json::Value) {
        let shared = Door::new(unreached(), list()).oneshot(request.clone()).await.unwrap();
        self.assert_refused(shared, status).await;
        self.assert_refused(self.own_door(unreached()).oneshot(request).await.unwrap(), status).await
    }
}

fn ids(listed: &serde_json::Value) -> Vec<&str> {
    listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn all_models_are_listed() {
    for client in CLIENTS {
        for path in ["/v1/models", "/models", "/v1/models/", "/v1/models?x=1"] {
            assert_eq!(ids(&client.get(path).await), ["small", "org/large", "größe"]);
        }
    }
    assert_eq!(OPENAI.get("/v1/models?limit=1").await["object"], "list");
}

#[tokio::test]
async fn who_may_use_some_models_is_told_of_no_others() {
    let limited = |path: &str| {
        let mut request = OPENAI.request("GET", path);
        request.extensions_mut().insert(AllowedModels::new(["org/*", "acme/gr*", "elsewhere/small"]));
        Door::new(unreached(), list()).oneshot(request)
    };
    let (_, _, body) = read(limited("/v1/models").await.unwrap()).await;
    assert_eq!(ids(&serde_json::from_slice(&body).unwrap()), ["org/large", "größe"]);
    for (path, status) in [("/v1/models/org/large", 200), ("/v1/models/small", 404), ("/v1/models/none", 404)] {
        assert_eq!(limited(path).await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test]
async fn anthropics_clients_turn_the_pages_of_the_list() {
    let first = ANTHROPIC.get("/v1/models?limit=2&beta=true").await;
    assert_eq!((ids(&first), &first["has_more"]), (vec!["small", "org/large"], &true.into()));
    assert_eq!((&first["first_id"], &first["last_id"]), (&"small".into(), &"org/large".into()));
    let second = ANTHROPIC.get("/v1/models?limit=2&after_id=org%2Flarge").await;
    assert_eq!((ids(&second), &second["has_more"]), (vec!["größe"], &false.into()));
    let back = ANTHROPIC.get("/v1/models?before_id=gr%C3%B6%C3%9Fe&limit=1").await;
    assert_eq!((ids(&back), &back["has_more"]), (vec!["org/large"], &true.into()));
    for path in ["/v1/models?limit=0", "/v1/models?limit=1001", "/v1/models?after_id=none"] {
        ANTHROPIC.is_refused(ANTHROPIC.request("GET", path), 400).await;
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
    for client in CLIENTS {
        for (path, id) in spellings {
            let found = client.get(path).await;
            assert_eq!(found["id"], id);
            match client.dialect {
                Dialect::OpenAi => {
                    assert_eq!((&found["object"], &found["owned_by"]), (&"model".into(), &"acme".into()))
                }
                Dialect::Anthropic => {
                    assert_eq!(found["type"], "model");
                    assert_eq!(found["created_at"], "2023-11-14T22:13:20Z");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_model_is_a_404_of_the_dialect() {
    for client in CLIENTS {
        for path in ["/v1/models/none", "/v1/models/%FF%00", "/v1/models/org"] {
            let (headers, error) = client.is_refused(client.request("GET", path), 404).await;
            assert_eq!(headers["x-llm-error-kind"], "unknown_model");
            match client.dialect {
                Dialect::OpenAi => assert_eq!(error["code"], "model_not_found"),
                Dialect::Anthropic => assert_eq!(error["type"], "not_found_error"),
            }
        }
    }
}

#[tokio::test]
async fn the_door_of_its_own_answers_wherever_it_is_mounted() {
    for (client, its_own) in [(OPENAI, "owned_by"), (ANTHROPIC, "display_name")] {
        for path in ["/v1/models/small", "/models/small", "/small", "/v1/models/small/"] {
            let response = Models::new(list()).oneshot(client.request("GET", path)).await.unwrap();
            let (status, _, body) = read(response).await;
            assert_eq!(status, 200, "{path}");
            assert!(String::from_utf8_lossy(&body).contains(its_own), "{path}");
        }
    }
}

#[tokio::test]
async fn models_are_only_read() {
    for client in CLIENTS {
        for path in ["/v1/models", "/v1/models/small"] {
            let (headers, _) = client.is_refused(client.request("POST", path), 405).await;
            assert_eq!(headers["allow"], "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn a_replaced_list_is_seen_by_open_doors() {
    let models = list();
    let door = Door::openai(unreached(), models.clone());
    models.replace([model("new")]);
    let response = door.clone().oneshot(OPENAI.request("GET", "/v1/models/small")).await.unwrap();
    OPENAI.assert_refused(response, 404).await;
    assert_eq!(door.oneshot(OPENAI.request("GET", "/v1/models/new")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn calls_find_their_door() {
    for client in CLIENTS {
        for door in [client.own_door(says("ok")), Door::new(says("ok"), list())] {
            let bare = client.path.strip_prefix("/v1").unwrap();
            for path in [client.path, bare, &format!("{bare}/"), &format!("{}?beta=true", client.path)] {
                let (status, _, body) = read(door.clone().oneshot(post(path, client.whole)).await.unwrap()).await;
                assert_eq!((status.as_u16(), client.text_of(&body).as_str()), (200, "ok"), "{path}");
            }
        }
    }
    let embedding = r#"{"model":"m","input":["a"]}"#;
    for door in [Door::openai(says("ok"), list()), Door::new(says("ok"), list())] {
        assert_eq!(door.oneshot(post("/v1/embeddings", embedding)).await.unwrap().status(), 200);
    }
    let count = Output::TokenCount(TokenCount { input_tokens: 7, provenance: Provenance::Estimated });
    let (counts, _) = recording(count);
    for door in [Door::anthropic(counts.clone(), list()), Door::new(counts, list())] {
        let response = door.oneshot(post("/v1/messages/count_tokens", ANTHROPIC.whole)).await.unwrap();
        assert_eq!(read(response).await.2, r#"{"input_tokens":7}"#);
    }
}

/// A call is answered in the dialect of its path, whatever its headers say.
#[tokio::test]
async fn at_a_shared_door_the_path_of_a_call_says_what_is_spoken() {
    for (client, other) in [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)] {
        let mut request = client.post("{");
        request.headers_mut().extend(other.request("POST", "/").headers().clone());
        client.is_refused(request, 400).await;
    }
}

#[tokio::test]
async fn any_other_path_is_a_404_of_the_dialect() {
    let unknown =
        ["/", "/v1", "/v1/", "/v2/models", "/v1/modelsx", "/v1/completions", "/v1//chat/completions", "/v1/%2e"];
    for client in CLIENTS {
        for path in unknown {
            let (headers, error) = client.is_refused(client.request("POST", path), 404).await;
            assert_eq!(headers["x-should-retry"], "false");
            assert_eq!(error["type"], "invalid_request_error");
        }
    }
    for path in ["/v1/messages/batches", "/v1/messages/"] {
        ANTHROPIC.is_refused(post(path, "{"), if path.ends_with('s') { 404 } else { 400 }).await;
    }
    for (client, other) in [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)] {
        let response = client.own_door(unreached()).oneshot(other.post(other.whole)).await.unwrap();
        client.assert_refused(response, 404).await;
    }
}

#[tokio::test]
async fn a_call_with_get_is_refused_with_the_right_method() {
    let paths = [
        (OPENAI, "/v1/chat/completions"),
        (OPENAI, "/v1/embeddings"),
        (ANTHROPIC, "/v1/messages"),
        (ANTHROPIC, "/v1/messages/count_tokens"),
    ];
    for (client, path) in paths {
        let (headers, _) = client.is_refused(client.request("GET", path), 405).await;
        assert_eq!(headers["allow"], "POST");
    }
}
