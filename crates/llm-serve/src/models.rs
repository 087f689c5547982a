//! The door that tells which models there are.

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use llm_core::{AllowedModels, Error, ErrorKind, TargetRef};
use llm_wire::{ModelInfo, anthropic, openai};
use percent_encoding::percent_decode_str;
use tower_service::Service;

use crate::{
    DoorBody, DoorOptions, ResponseFuture, dialect::CallerDialect, endpoint::relative, page::Page, refusal::Refusal,
    responder::Responder,
};

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

/// Serves `GET /v1/models` and `GET /v1/models/{id}` as [`Door::new`](crate::Door::new) does: in Anthropic's shape to
/// who sends an `anthropic-version`, else in OpenAI's. An id may hold slashes, bare or percent-encoded. Who is limited to
/// some models by [`AllowedModels`] in the request's extensions is told of those only: by their ids, or with their owner's
/// name and a slash before that.
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
        let path = relative(request.uri().path());
        let path = path.strip_prefix("/models").unwrap_or(path);
        let id = path.strip_prefix('/').unwrap_or(path);
        let dialect = CallerDialect::of(request.uri(), request.headers());
        ResponseFuture::ready(answer(&self.list, id, dialect, &request))
    }
}

/// Tells of the model `id`, percent-encoded, or of all where it is empty.
pub(crate) fn answer<B>(
    list: &ModelList,
    id: &str,
    dialect: CallerDialect,
    request: &Request<B>,
) -> Response<DoorBody> {
    let responder = Responder::new(dialect, request.headers(), &DoorOptions::new());
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return responder.refuse(&Refusal::wrong_method("GET, HEAD"));
    }
    let models = list.snapshot();
    let models = match request.extensions().get::<AllowedModels>() {
        None => Cow::Borrowed(&*models),
        Some(allowed) => models.iter().filter(|model| may_use(allowed, model)).cloned().collect(),
    };
    let told = if id.is_empty() {
        match dialect {
            CallerDialect::OpenAi => Ok(openai::encode_models(&models)),
            CallerDialect::Anthropic => {
                Page::find(&models, request.uri()).map(|page| anthropic::encode_models(page.models, page.has_more))
            }
        }
    } else {
        let id = percent_decode_str(id).decode_utf8_lossy();
        let model = models.iter().find(|model| model.id == *id);
        model.map(|model| dialect.encode_model(model)).ok_or_else(unknown)
    };
    told.map_or_else(|error| responder.refuse(&error.into()), |body| responder.tell(body))
}

/// Whether it is allowed by its name, or with its owner's before that.
fn may_use(allowed: &AllowedModels, model: &ModelInfo) -> bool {
    allowed.permits_target(TargetRef { provider: &model.owned_by, model: &model.id, key: None })
}

fn unknown() -> Error {
    Error::new(ErrorKind::UnknownModel, "there is no such model")
}
