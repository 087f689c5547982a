//! The door that tells which models there are.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use llm_core::{Error, ErrorKind};
use llm_wire::openai::{self, ModelInfo};
use percent_encoding::percent_decode_str;
use tower_service::Service;

use crate::{DoorBody, DoorOptions, ResponseFuture, refusal::Refusal, responder::Responder};

/// The models that a door tells of. Clones share the list, which can be replaced while doors are open.
///
/// ```
/// # use llm_serve::{ModelInfo, ModelList};
/// let model = |id: &str| ModelInfo { id: id.to_owned(), created: 1_700_000_000, owned_by: "example".to_owned() };
///
/// let list = ModelList::from_iter([model("small")]);
/// let open_door = list.clone();
/// list.replace([model("small"), model("large")]);
/// assert_eq!(open_door.snapshot().len(), 2);
/// ```
#[derive(Clone, Default)]
pub struct ModelList(Arc<RwLock<Arc<[ModelInfo]>>>);

impl ModelList {
    /// Puts other models into the list, for all who share it.
    pub fn replace(&self, models: impl IntoIterator<Item = ModelInfo>) {
        let models = models.into_iter().collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = models;
    }

    /// The models as they are now.
    pub fn snapshot(&self) -> Arc<[ModelInfo]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FromIterator<ModelInfo> for ModelList {
    fn from_iter<I: IntoIterator<Item = ModelInfo>>(models: I) -> Self {
        Self(Arc::new(RwLock::new(models.into_iter().collect())))
    }
}

impl From<Vec<ModelInfo>> for ModelList {
    fn from(models: Vec<ModelInfo>) -> Self {
        Self::from_iter(models)
    }
}

impl fmt::Debug for ModelList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot().iter().map(|model| &model.id)).finish()
    }
}

/// Serves OpenAI's `GET /v1/models` and `GET /v1/models/{id}`. An id may hold slashes, bare or percent-encoded.
///
/// See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Models {
    list: ModelList,
}

impl Models {
    /// A door that tells of `models`.
    pub fn new(models: impl Into<ModelList>) -> Self {
        Self { list: models.into() }
    }
}

impl<B> Service<Request<B>> for Models {
    type Response = Response<DoorBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let path = request.uri().path();
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let path = path.strip_prefix("/models").unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let id = path.strip_prefix('/').unwrap_or(path);
        ResponseFuture::ready(answer(&self.list, id, request.method(), request.headers()))
    }
}

/// Tells of the model `id`, percent-encoded, or of all where it is empty.
pub(crate) fn answer(list: &ModelList, id: &str, method: &Method, headers: &HeaderMap) -> Response<DoorBody> {
    let responder = Responder::new(headers, &DoorOptions::new());
    if !matches!(*method, Method::GET | Method::HEAD) {
        return responder.refuse(&Refusal::wrong_method("GET, HEAD"));
    }
    let models = list.snapshot();
    if id.is_empty() {
        return responder.json(StatusCode::OK, openai::encode_models(&models));
    }
    let id = percent_decode_str(id).decode_utf8_lossy();
    match models.iter().find(|model| model.id == *id) {
        Some(model) => responder.json(StatusCode::OK, openai::encode_model(model)),
        None => responder.refuse(&Error::new(ErrorKind::UnknownModel, "there is no such model").into()),
    }
}
